//! The head of every record in the ring buffer, and who caused it.

use bytemuck::{Pod, Zeroable};

/// [`Header::kind`] of a [`crate::file::FileRecord`].
pub const FILE: u32 = 1;
/// [`Header::kind`] of a [`crate::process::ProcessRecord`].
pub const PROCESS: u32 = 2;
/// [`Header::kind`] of an [`crate::io::IoRecord`].
pub const IO: u32 = 3;
/// [`Header::kind`] of an [`crate::open::OpenRecord`].
pub const OPEN: u32 = 4;
/// [`Header::kind`] of a [`crate::block::BlockRecord`].
pub const BLOCK: u32 = 5;

/// [`Header::kind`] of a [`crate::block::BlockRecord`] with shares of a request that has not completed.
pub const BLOCK_PART: u32 = 6;
/// [`Header::kind`] of a [`crate::naming::NamingRecord`].
pub const NAMING: u32 = 7;

/// First eight bytes of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Header {
    /// Which record this is.
    pub kind: u32,
    /// Bytes of the whole record, header included.
    pub len: u32,
}

/// Length of `task_struct.comm` (include/linux/sched.h, TASK_COMM_LEN).
pub const COMM_LEN: usize = 16;

/// The thread on whose behalf something happened.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Task {
    /// Process id (the kernel's tgid), in the initial pid namespace.
    pub pid: u32,
    /// Thread id (the kernel's pid), in the initial pid namespace.
    pub tid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// Not used.
    pub _pad: u32,
    /// Name of the thread, ended by NUL when shorter than the field.
    pub comm: [u8; COMM_LEN],
}
