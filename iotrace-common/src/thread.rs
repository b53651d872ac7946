//! What the kernel side keeps per thread: the call in flight, and the last file of each side.

use crate::file::FileKey;
use bytemuck::{Pod, Zeroable};

/// Index into [`Thread::side`]: where bytes come from.
pub const READ_SIDE: usize = 0;
/// Index into [`Thread::side`]: where bytes go, and what is synced.
pub const WRITE_SIDE: usize = 1;

/// `Side::wanted`: the operation on this side counts.
pub const WANTED: u32 = 1;

/// [`Thread::call`]: a usual case, see `quick.rs` of the kernel side.
pub const QUICK: u32 = 1 << 8;

/// [`Thread::number`]: the number is one of the 32-bit table.
pub const COMPAT_NUMBER: u32 = 1 << 31;

/// One file of a call. What was found for the last file stays, so that the next call on it need not search again.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Side {
    /// Identity of the last file.
    pub key: FileKey,
    /// [`crate::file::FileRecord::id`], 0 when not known.
    pub file: u64,
    /// Address of the `struct file` of the call in flight.
    pub address: u64,
    /// Address of the `struct inode` of the last file; 0 when it is not known.
    pub inode: u64,
    /// Position, or [`crate::io::UNKNOWN`].
    pub offset: u64,
    /// `f_flags`.
    pub file_flags: u32,
    /// Slot of the sums, 0 when none.
    pub sum: u32,
    /// [`WANTED`] while a call is in flight on this side.
    pub wanted: u32,
    /// The file or its mount is marked synchronous.
    pub sync: u32,
    /// 1 when `key`, `file` and `sum` belong together.
    pub known: u32,
    /// 1 when the file's name is not in the hash of names.
    pub unhashed: u32,
}

/// One thread. Only the thread itself writes here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Thread {
    /// When it was first seen, nanoseconds of CLOCK_MONOTONIC.
    pub born_ns: u64,
    /// Start of its process, nanoseconds since boot.
    pub process_start_ns: u64,
    /// When the call in flight began.
    pub begin_ns: u64,
    /// Arguments of the call in flight; two more, never used, make the index a mask.
    pub args: [u64; 8],
    /// Bytes asked for, or [`crate::io::UNKNOWN`].
    pub requested: u64,
    /// Number of the call in flight in [`crate::call::NAMES`], and [`QUICK`]; 0 when none.
    pub call: u32,
    /// System call number of the call in flight; [`COMPAT_NUMBER`] set for one of the 32-bit table.
    pub number: u32,
    /// Thread id.
    pub tid: u32,
    /// Who stands here, 0 when nobody does; see `task.rs` of the kernel side.
    pub owner: u32,
    /// The files.
    pub side: [Side; 2],
}
