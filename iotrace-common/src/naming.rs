//! Calls that take a name from a file or give it another: unlink, rename, link.

use crate::record::{Header, Task};
use bytemuck::{Pod, Zeroable};

/// [`NameSpot::state`]: the name could not be read from the caller's memory.
pub const UNREADABLE: u32 = 1;

/// A name, and the directory from which it counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct NameSpot {
    /// [`crate::file::FileRecord::id`] of the directory; 0 when not known.
    pub base: u64,
    /// Address of the directory's dentry, an identity as those of [`crate::file::FileKey`]; 0 when not known.
    pub directory: u64,
    /// Bytes of the name, without the final NUL.
    pub length: u32,
    /// [`UNREADABLE`].
    pub state: u32,
}

/// One finished call. Followed by the bytes of the first name, and those of the second where the call has one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct NamingRecord {
    /// [`crate::record::NAMING`].
    pub header: Header,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From entry to return, nanoseconds.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// The name that is taken away, or is there already.
    pub name: NameSpot,
    /// The new name.
    pub other: NameSpot,
    /// Address of the caller's mount namespace: paths of one namespace can be compared.
    pub namespace: u64,
    /// 0, or a negated errno.
    pub ret: i64,
    /// The flags that were asked for: AT_REMOVEDIR, RENAME_EXCHANGE and so on.
    pub flags: u32,
    /// Number of the system call in [`crate::call::NAMES`].
    pub call: u32,
}
