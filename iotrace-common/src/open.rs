//! Opens, successful or not.

use crate::record::{Header, Task};
use bytemuck::{Pod, Zeroable};

/// Most bytes of the name that was asked for (limits.h: PATH_MAX, the final NUL included).
pub const NAME_MAX: usize = 4096;

/// `OpenRecord::state`: no name follows. There is none, it could not be read from the caller's memory, or nobody asked for it.
pub const NO_NAME: u32 = 1;

/// One finished open, or truncate by name (`call` tells): both have a name. Followed by `name` bytes: the name as it was asked for, without the final NUL; none
/// of an open that succeeded, unless [`crate::config::OPEN_NAMES`] or [`crate::config::NAMING`] asks for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct OpenRecord {
    /// [`crate::record::OPEN`].
    pub header: Header,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From entry to return, nanoseconds.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// [`crate::file::FileRecord::id`] of the file that was opened; 0 when the open failed.
    pub file: u64,
    /// [`crate::file::FileRecord::id`] of the directory from which the name of a failed open, or of a truncate, counts; of all opens where
    /// names are followed ([`crate::config::NAMING`]). 0 when not known.
    pub base: u64,
    /// Inode number of the opened file, 0 when the open failed.
    pub ino: u64,
    /// The descriptor, or a negated errno.
    pub ret: i64,
    /// The O_ flags that were asked for; the length, of a truncate.
    pub open_flags: u64,
    /// Time that a copy-up of overlayfs took in it, nanoseconds; 0 when there was none, or nobody looked for it.
    pub copy_up_ns: u64,
    /// The permission bits that were asked for.
    pub open_mode: u32,
    /// Device, as in [`crate::file::FileKey::dev`].
    pub dev: u32,
    /// File type of the opened file: S_IFMT bits of `i_mode`.
    pub mode: u32,
    /// Number of the system call in [`crate::call::NAMES`].
    pub call: u32,
    /// Bytes of the name that follow.
    pub name: u32,
    /// [`NO_NAME`].
    pub state: u32,
    /// FMODE_ flags of the opened file (include/linux/fs.h), 0 when the open failed.
    pub file_mode: u32,
    /// Not used.
    pub _pad: u32,
    /// Address of the caller's mount namespace: paths of one namespace can be compared.
    pub namespace: u64,
}
