//! Reads, writes and syncs.

use crate::record::{Header, Task};
use bytemuck::{Pod, Zeroable};

/// `IoRecord::op`: bytes came in.
pub const OP_READ: u8 = 1;
/// `IoRecord::op`: bytes went out.
pub const OP_WRITE: u8 = 2;
/// `IoRecord::op`: data was made durable.
pub const OP_SYNC: u8 = 3;
/// `IoRecord::op`: room was made or given back (fallocate).
pub const OP_ALLOCATE: u8 = 4;
/// `IoRecord::op`: the file was made shorter or longer (ftruncate; truncate by name comes as an [`crate::open::OpenRecord`]).
pub const OP_TRUNCATE: u8 = 5;
/// `IoRecord::op`: a page fault brought bytes in. No latency, and `ret` is the number of bytes.
pub const OP_MMAP_READ: u8 = 6;
/// `IoRecord::op`: bytes of a mapping became dirty. No latency, and `ret` is the number of bytes.
pub const OP_MMAP_WRITE: u8 = 7;

/// `IoRecord::flags`: the write syncs by itself (O_SYNC, O_DSYNC, RWF_SYNC, RWF_DSYNC, or a file or mount marked so).
pub const IO_SYNC: u8 = 1;

/// `IoRecord::offset`, `IoRecord::requested`: not known.
pub const UNKNOWN: u64 = u64::MAX;

/// One finished operation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct IoRecord {
    /// [`crate::record::IO`].
    pub header: Header,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From entry to return, nanoseconds.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// [`crate::file::FileRecord::id`], or 0 when the file has no known path.
    pub file: u64,
    /// Inode number, 0 when there is no file.
    pub ino: u64,
    /// Where in the file, or [`UNKNOWN`].
    pub offset: u64,
    /// Bytes asked for, or [`UNKNOWN`].
    pub requested: u64,
    /// What the kernel returned: bytes, or a negated errno.
    pub ret: i64,
    /// Device, as in [`crate::file::FileKey::dev`].
    pub dev: u32,
    /// `f_flags` of the open file (O_APPEND and so on).
    pub file_flags: u32,
    /// File type: S_IFMT bits of `i_mode`.
    pub mode: u16,
    /// Number of the system call in [`crate::call::NAMES`].
    pub call: u8,
    /// [`OP_READ`] and the others.
    pub op: u8,
    /// [`IO_SYNC`].
    pub flags: u8,
    /// Not used.
    pub _pad: [u8; 3],
}
