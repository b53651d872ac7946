//! The bytes of a file of types.

use memmap2::{Mmap, MmapOptions};
use std::{
    fs::File,
    io::{self, Read},
    ops::Deref,
    path::Path,
};

/// What a file holds: seen in the kernel's own memory where it allows that, else read.
pub(super) enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Bytes {
    /// The kernel lets its types be mapped, privately, since 6.16 (kernel/bpf/sysfs_btf.c, `btf_sysfs_vmlinux_mmap`). Before that, and for
    /// types of modules, they are copied, which takes the kernel longer than it takes us to look through them.
    pub(super) fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        // SAFETY: the kernel's types stay as they are until it ends. Any bytes are read as types or refused, and of other files, which only
        // tests have here, nobody takes anything away.
        if let Ok(mapped) = unsafe { MmapOptions::new().map_copy_read_only(&file) } {
            return Ok(Self::Mapped(mapped));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self::Read(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Read(bytes)
    }
}
