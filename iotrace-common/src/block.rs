//! Block requests.

use crate::record::{Header, Task};
use bytemuck::{Pod, Zeroable};

/// Most shares in a record. A request with more has records of its own for them.
pub const SHARES: usize = 4;
/// Most bios of a request that are looked at: a request of 1,280 KiB (the block layer's default limit) of single pages has 320.
pub const BIOS: u32 = 512;

/// [`RequestState::flags`]: the thread that put the request into the queue passes the filters.
pub const WANTED: u32 = 1;
/// [`RequestState::flags`]: that thread is one of the kernel's own.
pub const KERNEL: u32 = 2;
/// [`BlockRecord::flags`]: some bytes were made dirty by a thread that passes the filters.
pub const DIRTIER_WANTED: u32 = 4;
/// [`BlockRecord::flags`]: of some bytes it is not known who made them dirty, or they were not made dirty at all.
pub const UNOWNED: u32 = 8;

/// [`BlockShare::charged`]: nobody is known.
pub const BY_NOBODY: u32 = 0;
/// [`BlockShare::charged`]: to the thread that made the first page of the bio dirty.
pub const BY_PAGE: u32 = 1;
/// [`BlockShare::charged`]: to the thread that last made some page of the file dirty.
pub const BY_FILE: u32 = 2;
/// [`BlockShare::charged`]: to the thread that asked for a flush.
pub const BY_ASKER: u32 = 3;
/// [`BlockShare::charged`]: to the thread that sent the bio to a mapped device; nobody is known who made its pages dirty.
pub const BY_SENDER: u32 = 4;

/// [`BlockShare::flags`]: [`BlockShare::task`] passes the filters.
pub const SHARE_WANTED: u32 = 1;
/// [`BlockShare::flags`]: pages of the swap cache.
pub const SHARE_SWAP: u32 = 2;
/// [`BlockShare::flags`]: memory of a process, not of a file.
pub const SHARE_ANONYMOUS: u32 = 4;
/// [`BlockShare::flags`]: [`BlockShare::task`] is one of the kernel's own.
pub const SHARE_KERNEL: u32 = 8;

/// One completed request, or when it is issued a part of its shares; followed by `shares` times a [`BlockShare`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct BlockRecord {
    /// [`crate::record::BLOCK`]; [`crate::record::BLOCK_PART`], in which only `id` and `shares` mean something.
    pub header: Header,
    /// Number of the request, the same in its parts; 0 when it was not seen to be issued.
    pub id: u64,
    /// When it entered the block layer, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From then until it was given to the device, nanoseconds.
    pub queue_ns: u64,
    /// From the device's start until completion, nanoseconds.
    pub device_ns: u64,
    /// Who put it into the queue (may be a kernel worker).
    pub task: Task,
    /// Start of that process, nanoseconds since boot.
    pub start_ns: u64,
    /// First sector, 512 bytes each.
    pub sector: u64,
    /// Bytes completed.
    pub bytes: u64,
    /// `request.cmd_flags`: operation in the low byte, flags above (include/linux/blk_types.h; numbers differ by version).
    pub cmd_flags: u32,
    /// The whole disk, as in [`crate::file::FileKey::dev`].
    pub disk: u32,
    /// The partition, where known, else the disk.
    pub part: u32,
    /// What the driver reported: `blk_status_t` or errno, which one, BTF tells; 0 is success.
    pub error: i32,
    /// [`WANTED`], [`KERNEL`], [`DIRTIER_WANTED`], [`UNOWNED`].
    pub flags: u32,
    /// Number of [`BlockShare`]s that follow, at most [`SHARES`].
    pub shares: u32,
}

/// Bytes of a request that go to or come from one file for one process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct BlockShare {
    /// Bytes when the request was issued.
    pub bytes: u64,
    /// [`crate::file::FileRecord::id`], 0 when there is no file or it has no name.
    pub file: u64,
    /// Address of the `struct inode`: an identity within the request only. 0: no page of a file.
    pub inode: u64,
    /// Inode number.
    pub ino: u64,
    /// Address of the kernel's function that is called at the end: of the bio (`bi_end_io`), or of its buffer (`b_end_io`).
    pub end: u64,
    /// Start of the process of `task`, nanoseconds since boot.
    pub start_ns: u64,
    /// Device of the file system; of a block device its own number. As in [`crate::file::FileKey::dev`].
    pub dev: u32,
    /// File type: S_IFMT bits of `i_mode`; 0 for inodes that file systems have for themselves.
    pub mode: u32,
    /// [`BY_NOBODY`], [`BY_PAGE`], [`BY_FILE`], [`BY_ASKER`] or [`BY_SENDER`].
    pub charged: u32,
    /// [`SHARE_WANTED`], [`SHARE_SWAP`], [`SHARE_ANONYMOUS`], [`SHARE_KERNEL`].
    pub flags: u32,
    /// Who made the pages dirty, asked for the flush, or sent the bio.
    pub task: Task,
}

/// Value of the map of records in the making, keyed by the request's address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Charges {
    /// The record; `flags` and `shares` are right from issue on.
    pub record: BlockRecord,
    /// What is sent behind it.
    pub shares: [BlockShare; SHARES],
}

/// State of a request between its first event and its completion, keyed by its address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct RequestState {
    /// When it entered the block layer, nanoseconds.
    pub begin_ns: u64,
    /// When it was last given to the device, 0 before.
    pub issue_ns: u64,
    /// Bytes completed so far (a request may complete in parts).
    pub bytes: u64,
    /// Sector at issue.
    pub sector: u64,
    /// Who.
    pub task: Task,
    /// Start of that process, nanoseconds since boot; 0 when nobody asks for it.
    pub start_ns: u64,
    /// Address of the `struct inode` that the submitting thread reads or writes directly, 0 when it does not.
    pub direct: u64,
    /// Addresses of the first and the last `struct bio` of that call: what was merged later is not its own.
    pub direct_bios: [u64; 2],
    /// [`WANTED`], [`KERNEL`].
    pub flags: u32,
    /// At issue, when bios are looked at one by one: 1 from the first to the last of `direct_bios`.
    pub inside: u32,
    /// Bytes that were left when a part of it last completed, that part among them; 0 before.
    pub left: u32,
    /// Whole disk, as a kernel device number (`major << 20 | minor`); 0 when it has none.
    pub disk: u32,
    /// Partition, else the disk.
    pub part: u32,
    #[doc(hidden)]
    pub _pad: u32,
}

/// A page of a file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct PageKey {
    /// Address of the `struct inode`.
    pub inode: u64,
    /// Number of the page in the file; of a large folio that of its first page.
    pub index: u64,
}

/// Who sent a bio to a device of device-mapper.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Sender {
    /// Who.
    pub who: Dirtier,
    /// The sector behind its last one: what is sent ahead in parts is taken from its front. So it tells a bio from one that stood at its
    /// address before.
    pub behind: u64,
}

/// Who made a page dirty, or sent a bio.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Dirtier {
    /// Who.
    pub task: Task,
    /// Start of the process, nanoseconds since boot.
    pub start_ns: u64,
    /// [`SHARE_WANTED`], [`SHARE_KERNEL`].
    pub flags: u32,
    /// Not used.
    pub _pad: u32,
}
