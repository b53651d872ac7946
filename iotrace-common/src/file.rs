//! A file's identity, and the record that tells its path.

use crate::record::Header;
use bytemuck::{Pod, Zeroable};

/// Bit of [`FileKey::state`]: the name was removed while the file was open (`d_unlinked`, include/linux/dcache.h).
pub const STATE_DELETED: u32 = 1 << 16;

/// Bit of [`FileKey::state`]: no file, but all file systems (`sync`).
pub const STATE_EVERYTHING: u32 = 1 << 17;

/// What makes a file *this* file under *this* name: two operations with equal keys have the same path.
///
/// The addresses are identities only; they never leave the program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct FileKey {
    /// Inode number.
    pub ino: u64,
    /// Address of the `struct vfsmount` through which the file was reached.
    pub mnt: u64,
    /// Address of the parent's dentry: changes when the file moves to another directory.
    pub parent: u64,
    /// `qstr.hash_len` of the name: changes when the file is renamed.
    pub name: u64,
    /// Device of the file system in the kernel's encoding: major << 20 | minor (include/linux/kdev_t.h).
    pub dev: u32,
    /// `i_generation`: differs when an inode number is used again, where the file system keeps one.
    pub generation: u32,
    /// File type (S_IFMT bits of `i_mode`) in the low 16 bits, [`STATE_DELETED`] or [`STATE_EVERYTHING`] above. 0 means: no file.
    pub state: u32,
    /// Not used.
    pub _pad: u32,
}

impl FileKey {
    /// File type: S_IFMT bits of `i_mode`.
    pub const fn mode(&self) -> u32 {
        self.state & 0xffff
    }
}

/// A file that a CPU has seen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct SeenFile {
    /// [`FileRecord::id`], 0 when there is none.
    pub id: u64,
    /// Paths that had been sent when it was looked up.
    pub announced: u64,
    /// The file.
    pub key: FileKey,
}

/// File types by `i_mode >> 12`: the bit of each in a set of kinds.
pub const fn kind_bit(mode: u32) -> u32 {
    1 << ((mode >> 12) & 15)
}

/// Most bytes of a path that are sent; a longer one is cut at its front.
pub const PATH_MAX: usize = 4096;
/// Most components (names and crossed mounts) of a path that are walked.
pub const PATH_DEPTH: usize = 64;
/// `FileRecord::flags`: the walk ended before the root, the front of the path is missing.
pub const PATH_CUT: u32 = 1;
/// `FileRecord::flags`: the names lead to the root of the file's own file system, whose mount is not known.
pub const PATH_OF_FS: u32 = 2;
/// Bytes of a file system's name that are sent.
pub const FS_LEN: usize = 16;

/// Sent once per [`FileKey`], before the first operation that refers to it.
///
/// Followed by `names` bytes: the components from the file up to the root, each ended by NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct FileRecord {
    /// [`crate::record::FILE`].
    pub header: Header,
    /// The number by which operations refer to this file; never 0.
    pub id: u64,
    /// The identity.
    pub key: FileKey,
    /// [`PATH_CUT`], [`PATH_OF_FS`].
    pub flags: u32,
    /// Bytes of names that follow.
    pub names: u32,
    /// Name of the file system type (`ext4`), ended by NUL when shorter.
    pub fs: [u8; FS_LEN],
}
