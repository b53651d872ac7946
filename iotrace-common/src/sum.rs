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
    /// How the file was reached: 0 by the thread's own calls, else [`WAY_MAPPED`], or [`WAY_ASYNC`] and the number of the CPU that
    /// finished it: who writes a slot is alone.
    pub way: u32,
    /// The file.
    pub file: FileKey,
}

/// `SumKey::way`: asynchronous I/O (io_uring, Linux AIO). The lower bits are the CPU.
pub const WAY_ASYNC: u32 = 1 << 30;
/// `SumKey::way`: pages of a mapping. `reads` and `read_bytes` are what page faults brought in, `writes` and `write_bytes` what became
/// dirty.
pub const WAY_MAPPED: u32 = 1 << 31;

/// Programs that may interrupt each other where the kernel preempts them do not share what belongs to a CPU. System calls.
pub const WHO_CALL: u32 = 0;
/// As [`WHO_CALL`]: submissions to io_uring.
pub const WHO_SUBMIT: u32 = 1;
/// As [`WHO_CALL`]: completions of io_uring.
pub const WHO_COMPLETE: u32 = 2;
/// As [`WHO_CALL`]: pages that come into the page cache. This and the next see mappings.
pub const WHO_FAULT: u32 = 3;
/// As [`WHO_CALL`]: pages that become dirty.
pub const WHO_DIRTY: u32 = 4;
/// Number of these.
pub const WHO_COUNT: u32 = 5;

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
    /// Of `write_ns`, the part in writes that sync by themselves.
    pub sync_write_ns: u64,
    /// Longest single operation, nanoseconds.
    pub max_ns: u64,
    /// Longest sync, or write that syncs by itself, nanoseconds.
    pub sync_max_ns: u64,
    /// Calls that failed.
    pub errors: u64,
    /// fallocate calls, failed ones included.
    pub allocates: u64,
    /// truncate and ftruncate calls, failed ones included.
    pub truncates: u64,
}

impl Counters {
    /// Adds another's counters.
    pub fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.syncs += other.syncs;
        self.sync_writes += other.sync_writes;
        self.read_bytes += other.read_bytes;
        self.write_bytes += other.write_bytes;
        self.read_ns += other.read_ns;
        self.write_ns += other.write_ns;
        self.sync_ns += other.sync_ns;
        self.sync_write_ns += other.sync_write_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sync_max_ns = self.sync_max_ns.max(other.sync_max_ns);
        self.errors += other.errors;
        self.allocates += other.allocates;
        self.truncates += other.truncates;
    }

    /// What came since `before`. A maximum cannot be taken apart: it is the new one where it grew, else 0.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown = |now, before| if now > before { now } else { 0 };
        Self {
            reads: self.reads.wrapping_sub(before.reads),
            writes: self.writes.wrapping_sub(before.writes),
            syncs: self.syncs.wrapping_sub(before.syncs),
            sync_writes: self.sync_writes.wrapping_sub(before.sync_writes),
            read_bytes: self.read_bytes.wrapping_sub(before.read_bytes),
            write_bytes: self.write_bytes.wrapping_sub(before.write_bytes),
            read_ns: self.read_ns.wrapping_sub(before.read_ns),
            write_ns: self.write_ns.wrapping_sub(before.write_ns),
            sync_ns: self.sync_ns.wrapping_sub(before.sync_ns),
            sync_write_ns: self.sync_write_ns.wrapping_sub(before.sync_write_ns),
            max_ns: grown(self.max_ns, before.max_ns),
            sync_max_ns: grown(self.sync_max_ns, before.sync_max_ns),
            errors: self.errors.wrapping_sub(before.errors),
            allocates: self.allocates.wrapping_sub(before.allocates),
            truncates: self.truncates.wrapping_sub(before.truncates),
        }
    }

    /// Operations of all kinds.
    pub fn operations(&self) -> u64 {
        self.reads + self.writes + self.syncs + self.allocates + self.truncates
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.operations() == 0
    }

    /// Nanoseconds in all operations.
    pub fn total_ns(&self) -> u64 {
        self.read_ns + self.write_ns + self.sync_ns
    }

    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.read_bytes + self.write_bytes
    }

    /// Syncs, and writes that sync by themselves.
    pub fn all_syncs(&self) -> u64 {
        self.syncs + self.sync_writes
    }

    /// Nanoseconds in them.
    pub fn all_syncs_ns(&self) -> u64 {
        self.sync_ns + self.sync_write_ns
    }
}

/// A run of free slots that a CPU takes at once and hands out one by one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FreeSlots {
    /// The next one.
    pub next: u32,
    /// Behind the last one.
    pub end: u32,
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
    /// Address of the file's `struct inode`, as [`crate::thread::Side::inode`]: an identity that never leaves the program.
    pub inode: u64,
    /// As [`crate::thread::Side::sync`].
    pub sync: u32,
    /// As [`crate::thread::Side::unhashed`].
    pub unhashed: u32,
    /// How often and how much.
    pub counters: Counters,
}
