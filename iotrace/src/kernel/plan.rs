//! What a command asks of the kernel side.

use crate::kernel::{block::BlockOp, calls::FileOps, mechanism::Mechanism};
use iotrace_common::config::CommFilter;

/// What is traced, and what becomes of it. Nothing that is not asked for is attached.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Operations on files that count.
    pub files: FileOps,
    /// Add reads, writes and syncs up by thread and file.
    pub sum: bool,
    /// Count failures of sums by their errno.
    pub errnos: bool,
    /// Count writes of sums by their size.
    pub write_sizes: bool,
    /// Of opens, only those count that fail because of the disk.
    pub failed_opens: bool,
    /// Of opens that succeed, the name that was asked for is told too. (Where names are followed it always is.)
    pub open_names: bool,
    /// Times do not count: what can be seen when a call ends is not looked at when it begins.
    pub no_latency: bool,
    /// Send each read, write and sync.
    pub stream_io: bool,
    /// Send each sync, and each write that syncs by itself.
    pub stream_sync: bool,
    /// Look for copy-ups of overlayfs: an open tells of its own.
    pub copy_ups: bool,
    /// Send each of them.
    pub stream_copy_ups: bool,
    /// Files that come and go are followed: here, not in the kernel.
    pub lives: bool,
    /// Send each block request.
    pub stream_block: bool,
    /// Add block requests up; the value says what tells histograms of a disk apart.
    pub histogram: Option<Grouping>,
    /// Add up what threads wait for.
    pub waits: bool,
    /// File types on which waits count; as `kinds`.
    pub wait_kinds: u32,
    /// File types that count: `iotrace_common::file::kind_bit`. Bit 0: calls without a file.
    pub kinds: u32,
    /// Whose operations count.
    pub filters: KernelFilters,
    /// Bytes of the ring buffer, a power of two.
    pub buffer: u32,
    /// Bytes of all maps and caches together.
    pub max_memory: u64,
    /// The way in; `None`: the best that works.
    pub mechanism: Option<Mechanism>,
    /// Debug statements of the kernel programs: 0 is off, 4 is debug (`aya_log::Level`).
    pub log_level: u8,
}

/// What tells histograms of block requests of a disk apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// The operation.
    Operation,
    /// Besides, whether the device's cache is flushed or passed by.
    Flush,
    /// The operation and all flags.
    Flags,
}

impl Plan {
    /// Whether pages of mappings count: they have no latency, and do not fail.
    pub fn counts_mappings(&self) -> bool {
        self.files.mmap && !self.filters.failed && self.filters.min_latency_ns == 0
    }

    /// Whether block requests are traced.
    pub fn block(&self) -> bool {
        self.stream_block || self.histogram.is_some()
    }
}

impl KernelFilters {
    /// Whether some threads do not count.
    pub fn by_thread(&self) -> bool {
        let some = self.pids.is_some() || self.tids.is_some() || self.uids.is_some() || self.comm.is_some();
        some || !self.ignored.is_empty()
    }
}

/// Filters that the kernel side applies. `None` lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct KernelFilters {
    /// Processes.
    pub pids: Option<Vec<u32>>,
    /// Children of `pids` too, from the moment they are made.
    pub follow: bool,
    /// Not these processes.
    pub ignored: Vec<u32>,
    /// Threads.
    pub tids: Option<Vec<u32>>,
    /// Users.
    pub uids: Option<Vec<u32>>,
    /// Thread names.
    pub comm: Option<Box<CommFilter>>,
    /// Devices, in the kernel's encoding.
    pub disks: Option<Vec<u32>>,
    /// Shortest latency that counts, nanoseconds.
    pub min_latency_ns: u64,
    /// Only what failed.
    pub failed: bool,
    /// Block operations.
    pub block_ops: Option<Vec<BlockOp>>,
}
