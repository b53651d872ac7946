//! A copy-up of overlayfs.

use super::{
    DecodeError, Task,
    io::{known, result},
    split,
};
use crate::kernel::calls;
use iotrace_common::{copyup::CopyUpRecord, record};

/// S_IFDIR of include/uapi/linux/stat.h.
const DIRECTORY: u32 = 0o040000;

/// A call that made overlayfs copy a file up, or directories alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyUp {
    /// Name of the system call; `None` where it is none that is looked at, or no call at all.
    pub call: Option<&'static str>,
    /// When the copy-up began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From then until the call returned, nanoseconds.
    pub latency_ns: Option<u64>,
    /// Who.
    pub task: Task,
    /// Number of the overlay's file.
    pub file: u64,
    /// Number of its copy in the upper directory, 0 when not known.
    pub upper: u64,
    /// Inode number and device of the overlay's file; `None` where only its copy was seen.
    pub inode: Option<(u64, u32)>,
    /// No file but only directories above one were copied up: this is the last of them.
    pub directory: bool,
    /// Bytes of the file in the lower layer.
    pub size: Option<u64>,
    /// Bytes of pages that were written to the copy, without what the last page holds behind the file's end.
    pub bytes: Option<u64>,
    /// Time in the copy-up's own syncs, nanoseconds.
    pub sync_ns: u64,
    /// These syncs.
    pub syncs: u64,
    /// Directories that were copied up with the file, or alone.
    pub directories: u64,
    /// What the call returned, or the errno.
    pub result: Result<u64, i32>,
}

impl CopyUp {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (wire, _) = split::<CopyUpRecord>(record::COPY_UP, bytes)?;
        Ok(Self {
            call: (wire.call != 0).then(|| calls::name(wire.call)),
            begin_ns: wire.begin_ns,
            latency_ns: known(wire.latency_ns),
            task: wire.task.into(),
            file: wire.file,
            upper: wire.upper,
            inode: (wire.dev != 0).then_some((wire.ino, wire.dev)),
            directory: wire.mode == DIRECTORY,
            size: known(wire.size),
            bytes: known(wire.bytes),
            sync_ns: wire.sync_ns,
            syncs: wire.syncs.into(),
            directories: wire.directories.into(),
            result: result(wire.ret),
        })
    }
}
