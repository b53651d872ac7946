//! Block requests.

use crate::record::{Header, Task};
use bytemuck::{Pod, Zeroable};

/// One completed request.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct BlockRecord {
    /// [`crate::record::BLOCK`].
    pub header: Header,
    /// When it entered the block layer, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From then until it was given to the device, nanoseconds.
    pub queue_ns: u64,
    /// From the device's start until completion, nanoseconds.
    pub device_ns: u64,
    /// Who put it into the queue (may be a kernel worker).
    pub task: Task,
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
}
