//! An operation on an open or mapped file: a read, a write, a sync, a change of its length or room.

use super::{DecodeError, Task, split};
use crate::kernel::calls;
use iotrace_common::{
    io::{IO_SYNC, IoRecord, OP_ALLOCATE, OP_MMAP_READ, OP_MMAP_WRITE, OP_READ, OP_TRUNCATE, OP_WRITE, UNKNOWN},
    record,
};

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes came in.
    Read,
    /// Bytes went out.
    Write,
    /// Data was made durable.
    Fsync,
    /// Room was made, or given back.
    Allocate,
    /// The file was made shorter or longer.
    Truncate,
    /// A page fault brought bytes in.
    MmapRead,
    /// Bytes of a mapping became dirty.
    MmapWrite,
}

impl Operation {
    /// The `type` of its events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Fsync => "fsync",
            Self::Allocate => "fallocate",
            Self::Truncate => "truncate",
            Self::MmapRead => "mmap_read",
            Self::MmapWrite => "mmap_write",
        }
    }

    /// Whether it came through a mapping and not by a call: it has no latency, cannot fail, and nobody asked for a number of bytes.
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::MmapRead | Self::MmapWrite)
    }
}

/// One finished operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Io {
    /// What.
    pub operation: Operation,
    /// Name of the system call.
    pub call: &'static str,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From begin to end, nanoseconds; 0 for what has no latency.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// Number of the file, 0 when it has no known path.
    pub file: u64,
    /// Inode number and device, when there is a file.
    pub inode: Option<(u64, u32)>,
    /// Position in the file.
    pub offset: Option<u64>,
    /// Bytes asked for.
    pub requested: Option<u64>,
    /// Bytes, or the errno.
    pub result: Result<u64, i32>,
    /// `f_flags` of the open file.
    pub file_flags: u32,
    /// A write that syncs by itself.
    pub sync: bool,
}

impl Io {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (wire, _) = split::<IoRecord>(record::IO, bytes)?;
        let operation = match wire.op {
            OP_READ => Operation::Read,
            OP_WRITE => Operation::Write,
            OP_ALLOCATE => Operation::Allocate,
            OP_TRUNCATE => Operation::Truncate,
            OP_MMAP_READ => Operation::MmapRead,
            OP_MMAP_WRITE => Operation::MmapWrite,
            _ => Operation::Fsync,
        };
        Ok(Self {
            operation,
            call: calls::name(u32::from(wire.call)),
            begin_ns: wire.begin_ns,
            latency_ns: wire.latency_ns,
            task: wire.task.into(),
            file: wire.file,
            inode: (wire.mode != 0).then_some((wire.ino, wire.dev)),
            offset: known(wire.offset),
            requested: known(wire.requested).filter(|_| !operation.is_mapped()),
            result: result(wire.ret),
            file_flags: wire.file_flags,
            sync: wire.flags & IO_SYNC != 0,
        })
    }
}

/// A number that the kernel side may not know.
pub(super) fn known(value: u64) -> Option<u64> {
    (value != UNKNOWN).then_some(value)
}

/// A system call's return value: a number, or a negated errno.
pub(super) fn result(ret: i64) -> Result<u64, i32> {
    u64::try_from(ret).map_err(|_| i32::try_from(ret.saturating_neg()).unwrap_or(i32::MAX))
}

#[cfg(test)]
#[path = "io_tests.rs"]
mod tests;
