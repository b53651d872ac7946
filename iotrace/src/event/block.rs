//! A block request.

use super::{DecodeError, Task, split};
use iotrace_common::{block::BlockRecord, record};

/// One completed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// When it entered the block layer, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// Until it was given to the device, nanoseconds.
    pub queue_ns: u64,
    /// In the device, nanoseconds.
    pub device_ns: u64,
    /// Who put it into the queue.
    pub task: Task,
    /// First sector of 512 bytes.
    pub sector: u64,
    /// Bytes completed.
    pub bytes: u64,
    /// Operation and flags: see `kernel::block::BlockFacts`.
    pub cmd_flags: u32,
    /// The whole disk.
    pub disk: u32,
    /// The partition, else the disk.
    pub part: u32,
    /// What the driver reported: see `kernel::block::BlockFacts::errno`.
    pub error: i32,
}

impl Block {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (wire, _) = split::<BlockRecord>(record::BLOCK, bytes)?;
        Ok(Self {
            begin_ns: wire.begin_ns,
            queue_ns: wire.queue_ns,
            device_ns: wire.device_ns,
            task: wire.task.into(),
            sector: wire.sector,
            bytes: wire.bytes,
            cmd_flags: wire.cmd_flags,
            disk: wire.disk,
            part: wire.part,
            error: wire.error,
        })
    }
}
