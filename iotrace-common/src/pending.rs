//! Asynchronous operations between submission and completion, kept on the kernel side only.

use crate::{file::FileKey, record::Task};
use bytemuck::{Pod, Zeroable};

/// What tells one from all others in flight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct PendingKey {
    /// io_uring: address of the request, or of the ring where completions do not tell the request. AIO: address of the iocb.
    pub a: u64,
    /// io_uring: 0, or the `user_data` that goes with the ring. AIO: [`AIO`] and the process id.
    pub b: u64,
}

/// `PendingKey::b` of Linux AIO.
pub const AIO: u64 = 1 << 63;

/// `Pending::flags`: the file's own position counts.
pub const CURRENT_POSITION: u32 = 2;
/// `Pending::flags`: a write with RWF_DSYNC or RWF_SYNC.
pub const SYNC_REQUESTED: u32 = 4;
/// `Pending::flags`: the file or its mount is marked synchronous, or the file was opened so.
pub const SYNC_FILE: u32 = 8;
/// `Pending::flags`: another one in flight had the same key.
pub const AMBIGUOUS: u32 = 16;

/// One operation in flight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Pending {
    /// When it was submitted, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// [`crate::thread::Thread::born_ns`] of the submitting thread.
    pub born_ns: u64,
    /// Start of its process, nanoseconds since boot.
    pub process_start_ns: u64,
    /// Who submitted it.
    pub task: Task,
    /// Address of the `struct io_kiocb`; 0 for AIO.
    pub request: u64,
    /// Where in the file, or [`crate::io::UNKNOWN`].
    pub offset: u64,
    /// Bytes asked for, or [`crate::io::UNKNOWN`].
    pub requested: u64,
    /// The file; that of io_uring is found at completion.
    pub key: FileKey,
    /// [`crate::file::FileRecord::id`], 0 when not known.
    pub file: u64,
    /// `f_flags` of the open file.
    pub file_flags: u32,
    /// [`CURRENT_POSITION`] and the others.
    pub flags: u32,
    /// [`crate::io::OP_READ`] and the others.
    pub op: u32,
    /// Number in [`crate::call::NAMES`].
    pub call: u32,
}
