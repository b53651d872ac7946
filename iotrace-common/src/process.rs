//! Processes seen for the first time.

use crate::record::{COMM_LEN, Header};
use bytemuck::{Pod, Zeroable};

/// Most bytes of a control group's path that are sent.
pub const CGROUP_MAX: usize = 1024;
/// Most components of a control group's path that are walked.
pub const CGROUP_DEPTH: usize = 16;

/// What `/proc/PID` would say; sent before the first operation of a process, and again after it ran another program.
///
/// Followed by `names` bytes: the control group's path, from the leaf up, each name ended by NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ProcessRecord {
    /// [`crate::record::PROCESS`].
    pub header: Header,
    /// Start of the process, nanoseconds since boot: with `pid`, its identity.
    pub start_ns: u64,
    /// `cgroup_id` in the v2 hierarchy.
    pub cgroup: u64,
    /// Process id.
    pub pid: u32,
    /// Process id of the parent.
    pub ppid: u32,
    /// Real user id.
    pub uid: u32,
    /// Bytes of names that follow.
    pub names: u32,
    /// Name of the process (its main thread's).
    pub comm: [u8; COMM_LEN],
}

/// Value of the map of processes that were announced.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ProcessState {
    /// Start of the process, nanoseconds since boot.
    pub start_ns: u64,
}
