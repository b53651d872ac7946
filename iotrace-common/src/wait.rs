//! Waits: what threads were blocked on, added up in the kernel.

use crate::record::COMM_LEN;
use bytemuck::{Pod, Zeroable};

/// Frames of a stack that are kept, from the innermost on.
pub const FRAMES: usize = 48;

/// `WaitKey::number`: in no system call, so in a page fault or on the way in or out.
pub const NO_CALL: u32 = u32::MAX;

/// `WaitKey::flags`: the task was marked as waiting for I/O (`task_struct.in_iowait`).
pub const IOWAIT: u32 = 1;
/// `WaitKey::flags`: no signal could wake it (TASK_UNINTERRUPTIBLE).
pub const DEEP: u32 = 2;
/// `WaitKey::flags`: the file is the one that bytes come from.
pub const FROM_FILE: u32 = 4;
/// `WaitKey::flags`: begun before tracing. `stack` and `file` are then numbers that user space gave.
pub const EARLIER: u32 = 8;

/// Frames of one stack, addresses of instructions; 0 behind the last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Stack(pub [u64; FRAMES]);

/// Whose waits for what.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct WaitKey {
    /// Start of the process, nanoseconds since boot.
    pub process_start_ns: u64,
    /// [`crate::file::FileRecord::id`] of the file of the call in flight, 0 when there is none or it could not be sent.
    pub file: u64,
    /// Key of the stack in the map of stacks, 0 when it could not be read.
    pub stack: u64,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Number of the system call ([`crate::thread::COMPAT_NUMBER`] set for one of the 32-bit table), or [`NO_CALL`].
    pub number: u32,
    /// [`IOWAIT`] and the others.
    pub flags: u32,
}

/// The sum of finished waits. Written by one thread at a time: that which begins to run again.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct WaitSum {
    /// From leaving the CPU to being on one again, nanoseconds.
    pub ns: u64,
    /// How often.
    pub count: u64,
    /// The longest, nanoseconds.
    pub max_ns: u64,
    /// Name of the thread when it was first seen to wait so.
    pub comm: [u8; COMM_LEN],
    /// Real user id.
    pub uid: u32,
    /// Thread that had the lock of the file's inode when a wait began, the last one; 0 when nobody else had.
    pub holder: u32,
}

/// A thread: the wait that it is in, or was in last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct WaitState {
    /// When the wait began, nanoseconds of CLOCK_MONOTONIC; 0 when it is over.
    pub begin_ns: u64,
    /// What it is.
    pub key: WaitKey,
    /// Name of the thread.
    pub comm: [u8; COMM_LEN],
    /// Real user id.
    pub uid: u32,
    /// As [`WaitSum::holder`].
    pub holder: u32,
}
