//! The kernel's functions that are called when a bio is done: they say what kind of I/O it was.

use crate::kernel::{addresses, btf::Btf, kallsyms::Coming};
use std::collections::HashMap;

/// What a bio was for, by the function at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Direct I/O to a file, by `struct iomap_dio` (fs/iomap/direct-io.c).
    Direct,
    /// A part of a bio that was split (block/bio.c).
    Chain,
    /// A buffer head: the buffer's own function says more (fs/buffer.c).
    Buffer,
    /// Of btrfs, in a `struct btrfs_bio` (fs/btrfs/bio.c).
    Btrfs,
    /// Of device-mapper, in a `struct dm_target_io` (drivers/md/dm.c).
    Mapped,
    /// Of dm-crypt, by `struct dm_crypt_io` (drivers/md/dm-crypt.c).
    Crypt,
    /// The journal of ext4 (fs/jbd2/commit.c, fs/ext4/fast_commit.c).
    Ext4Journal,
    /// The log of xfs (fs/xfs/xfs_log.c).
    XfsLog,
    /// Metadata.
    Metadata,
    /// Swap (mm/page_io.c).
    Swap,
    /// A block device that is read or written itself (block/fops.c, fs/mpage.c).
    Device,
    /// Somebody waits for it in the kernel (block/bio.c): direct I/O to a block device, if the pages are a process's.
    Waited,
}

/// Names in kernels from 5.10 on.
const NAMES: &[(&str, Ending)] = &[
    ("iomap_dio_bio_end_io", Ending::Direct),
    ("bio_chain_endio", Ending::Chain),
    ("end_bio_bh_io_sync", Ending::Buffer),
    ("btrfs_simple_end_io", Ending::Btrfs),
    ("clone_endio", Ending::Mapped),
    ("crypt_endio", Ending::Crypt),
    ("journal_end_buffer_io_sync", Ending::Ext4Journal),
    ("ext4_end_buffer_io_sync", Ending::Ext4Journal),
    ("xlog_bio_end_io", Ending::XfsLog),
    ("xfs_buf_bio_end_io", Ending::Metadata),
    ("btrfs_end_super_write", Ending::Metadata),
    ("end_swap_bio_write", Ending::Swap),
    ("end_swap_bio_read", Ending::Swap),
    ("blkdev_bio_end_io", Ending::Device),
    ("blkdev_bio_end_io_async", Ending::Device),
    ("blkdev_bio_end_io_simple", Ending::Device),
    ("submit_bio_wait_endio", Ending::Waited),
];

/// The module in which a name of device-mapper's is meant: dm-clone has a function of the same name, which is called by that one and is at
/// the end of no bio.
const MAPPED: &str = "dm_mod:clone_endio";

/// Addresses of these functions in the running kernel. Empty where the kernel does not tell addresses (`kptr_restrict`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endings(HashMap<u64, Ending>);

impl Endings {
    /// Asks the kernel; where it does not answer, or not soon, reads all its symbols.
    pub fn find(btf: &Btf<'_>) -> Self {
        Self::ask(btf).unwrap_or_else(|| Coming::read(Self::parse).get().clone())
    }

    fn ask(btf: &Btf<'_>) -> Option<Self> {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).chain([MAPPED]).collect();
        let found = addresses::of(btf, &names)?;
        let endings = NAMES.iter().map(|(_, ending)| *ending).chain([Ending::Mapped]);
        let mut known: Vec<(u64, Ending)> =
            found.into_iter().zip(endings).filter(|(address, _)| *address != 0).collect();
        if let Some((address, Ending::Mapped)) = known.last().copied() {
            known.retain(|(other, ending)| *ending != Ending::Mapped || *other == address);
        }
        Some(Self(known.into_iter().collect()))
    }

    /// Lines of `/proc/kallsyms`: `address type name`, and a tab and a module behind it.
    #[must_use]
    pub fn parse(symbols: &[u8]) -> Self {
        let names: HashMap<&[u8], Ending> = NAMES.iter().map(|(name, ending)| (name.as_bytes(), *ending)).collect();
        let symbol = |line: &[u8]| {
            let mut words = line.split(|byte| byte.is_ascii_whitespace());
            let (address, name) = (words.next()?, words.nth(1)?);
            let ending = *names.get(name).filter(|_| words.next() != Some(b"[dm_clone]"))?;
            let address = u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok()?;
            (address != 0).then_some((address, ending))
        };
        Self(symbols.split(|byte| *byte == b'\n').filter_map(symbol).collect())
    }

    /// What a function's address stands for.
    pub fn of(&self, address: u64) -> Option<Ending> {
        self.0.get(&address).copied()
    }

    /// The address of a function that stands alone for something; 0 when it is not known.
    pub fn address(&self, ending: Ending) -> u64 {
        self.0.iter().find(|(_, known)| **known == ending).map_or(0, |(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &[u8] = b"ffffffff81766530 T iomap_dio_bio_end_io\n\
        ffffffff81766531 t iomap_dio_bio_end_io.cold\n\
        ffffffffc0112233 t xlog_bio_end_io\t[xfs]\n\
        ffffffffc0223344 t clone_endio\t[dm_clone]\n\
        ffffffffc0334455 t clone_endio\t[dm_mod]\n\
        not a line\n\
        0000000000000000 t end_swap_bio_write\n";

    #[test]
    fn functions_are_found_by_their_whole_name_in_kernel_and_modules() {
        let endings = Endings::parse(SYMBOLS);
        assert_eq!(endings.of(0xffff_ffff_8176_6530), Some(Ending::Direct));
        assert_eq!(endings.of(0xffff_ffff_8176_6531), None);
        assert_eq!(endings.of(0xffff_ffff_c011_2233), Some(Ending::XfsLog));
        assert_eq!(endings.address(Ending::Direct), 0xffff_ffff_8176_6530);
        assert_eq!(endings.address(Ending::Mapped), 0xffff_ffff_c033_4455);
        assert_eq!(endings.of(0xffff_ffff_c022_3344), None);
    }

    #[test]
    fn hidden_addresses_are_not_known() {
        let endings = Endings::parse(SYMBOLS);
        assert_eq!(endings.address(Ending::Swap), 0);
        assert_eq!(endings.of(0), None);
        assert_eq!(Endings::parse(b""), Endings::default());
    }
}
