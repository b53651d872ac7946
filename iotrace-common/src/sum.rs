//! Sums by thread and file, added up in the kernel.

use crate::{file::FileKey, record::COMM_LEN};
use bytemuck::{Pod, Zeroable};

/// Whose sum: one thread's life and one file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct SumKey {
    /// When the thread was first seen, nanoseconds: tells two threads of one number apart.
    pub born_ns: u64,
    /// Thread id.
    pub tid: u32,
    /// Not used.
    pub _pad: u32,
    /// The file.
    pub file: FileKey,
}

/// The counters: they only ever grow, so a reader subtracts what it saw before.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Counters {
    /// Read calls, failed ones included.
    pub reads: u64,
    /// Write calls, failed ones included.
    pub writes: u64,
    /// Sync calls, failed ones included.
    pub syncs: u64,
    /// Of `writes`, those that sync by themselves.
    pub sync_writes: u64,
    /// Bytes that reads returned.
    pub read_bytes: u64,
    /// Bytes that writes returned.
    pub write_bytes: u64,
    /// Nanoseconds in reads.
    pub read_ns: u64,
    /// Nanoseconds in writes.
    pub write_ns: u64,
    /// Nanoseconds in syncs.
    pub sync_ns: u64,
    /// Longest single operation, nanoseconds.
    pub max_ns: u64,
    /// Calls that failed.
    pub errors: u64,
}

/// One slot of the array of sums. Written by one thread only; `key.tid` is 0 while the slot is free.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Sum {
    /// Whose.
    pub key: SumKey,
    /// [`crate::file::FileRecord::id`], 0 when the path could not be sent.
    pub file: u64,
    /// Start of the process, nanoseconds since boot.
    pub process_start_ns: u64,
    /// Process id.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// Name of the thread when the slot was taken.
    pub comm: [u8; COMM_LEN],
    /// How often and how much.
    pub counters: Counters,
}
