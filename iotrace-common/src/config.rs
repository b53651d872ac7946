//! What the loader tells the kernel side; constants of its instructions, so what a command does not use is not loaded.

use bytemuck::{Pod, Zeroable};

/// `Config::flags`: add reads, writes and syncs up by thread and file.
pub const SUM: u64 = 1 << 0;
/// `Config::flags`: send a record for each sync.
pub const STREAM_SYNC: u64 = 1 << 1;
/// `Config::flags`: send a record for each read, write and sync.
pub const STREAM_IO: u64 = 1 << 2;
/// `Config::flags`: send a record for each block request.
pub const STREAM_BLOCK: u64 = 1 << 3;
/// `Config::flags`: add block requests up in histograms.
pub const HISTOGRAM: u64 = 1 << 4;
/// `Config::flags`: only processes in the `PIDS` map.
pub const FILTER_PID: u64 = 1 << 5;
/// `Config::flags`: only threads in the `TIDS` map.
pub const FILTER_TID: u64 = 1 << 6;
/// `Config::flags`: only users in the `UIDS` map.
pub const FILTER_UID: u64 = 1 << 7;
/// `Config::flags`: only thread names that match `COMM`.
pub const FILTER_COMM: u64 = 1 << 8;
/// `Config::flags`: only devices in the `DISKS` map.
pub const FILTER_DISK: u64 = 1 << 9;
/// `Config::flags`: only operations that failed.
pub const FILTER_FAILED: u64 = 1 << 10;
/// `Config::flags`: children of processes in `PIDS` join it.
pub const FOLLOW: u64 = 1 << 11;
/// `Config::flags`: some 32-bit system call is traced.
pub const COMPAT: u64 = 1 << 12;

/// `Config::flags`: not the processes in the `IGNORED` map.
pub const IGNORE: u64 = 1 << 13;

/// `Config::flags`: opens count.
pub const OPENS: u64 = 1 << 14;

/// `Config::flags`: the kernel has `bpf_get_current_task_btf` (Linux 5.11).
pub const TASK_BTF: u64 = 1 << 15;

/// `Config::flags`: the kernel has `bpf_task_pt_regs` (Linux 5.15).
pub const TASK_REGS: u64 = 1 << 16;

/// `Config::flags`: io_uring's completions do not tell the request (until 5.15).
pub const URING_BY_DATA: u64 = 1 << 17;

/// `Config::flags`: reads count.
pub const READS: u64 = 1 << 18;
/// `Config::flags`: writes count.
pub const WRITES: u64 = 1 << 19;
/// `Config::flags`: syncs count.
pub const SYNCS: u64 = 1 << 20;

/// `Config::flags`: 32-bit tasks are not traced, as their calls have other numbers (arm64).
pub const ONLY_64_BIT: u64 = 1 << 21;

/// `Config::flags`: the kernel can be told what is at an address (`bpf_rdonly_cast`, Linux 6.2).
pub const CAST: u64 = 1 << 22;

/// `Config::flags`: times do not count, and calls are looked at when they end, where their arguments are at hand then.
pub const AT_END: u64 = 1 << 23;

/// `Config::flags`: calls that give or take names count.
pub const NAMING: u64 = 1 << 24;

/// `Config::flags`: waits are added up.
pub const WAITS: u64 = 1 << 25;

/// `Config::flags`: copy-ups of overlayfs are looked for.
pub const COPY_UPS: u64 = 1 << 26;
/// `Config::flags`: send a record for each copy-up.
pub const STREAM_COPY_UPS: u64 = 1 << 27;
/// `Config::flags`: some setting says which threads count.
pub const FILTER_THREAD: u64 = 1 << 28;

/// `Config::flags`: the kernel ends loops by itself (`may_goto`, Linux 6.9), so that the verifier need not look at each round.
pub const MAY_GOTO: u64 = 1 << 29;

/// `Config::flags`: failures are counted by their errno.
pub const ERRNOS: u64 = 1 << 30;
/// `Config::flags`: of opens, only those count that fail because of the disk: [`crate::errno::tells_of_the_disk`].
pub const FAILED_OPENS: u64 = 1 << 31;
/// `Config::flags`: some setting says which results count, or how long an operation must take.
pub const FILTER_RESULT: u64 = 1 << 32;
/// `Config::flags`: writes of sums are counted by their size.
pub const WRITE_SIZES: u64 = 1 << 33;

/// `Config::flags`: opens that succeed are told with the name that was asked for; those that fail always are.
pub const OPEN_NAMES: u64 = 1 << 34;

/// Scratch buffers of a CPU, where there is one program at a tracepoint.
pub const SCRATCHES: u32 = 12;
/// Further ones for each further program at tracepoints of block requests.
pub const SCRATCHES_AGAIN: u32 = 3;
/// Most equal programs at such a tracepoint.
pub const TURNS: u32 = 3;

/// Settings of one run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Config {
    /// Requests and operations shorter than this do not count, nanoseconds.
    pub min_latency_ns: u64,
    /// Block operations that count: bit per `cmd_flags & 0xff`.
    pub block_ops: u64,
    /// What to do: [`SUM`] and the others.
    pub flags: u64,
    /// iotrace's own process: never traced.
    pub self_pid: u32,
    /// File types that count: [`crate::file::kind_bit`].
    pub kinds: u32,
    /// File types on which waits count, likewise.
    pub wait_kinds: u32,
    /// Which bit of `struct task_struct` says that a task waits for I/O (`in_iowait`), counted from the start; 0 when not known.
    pub iowait_bit: u32,
    /// Which part of `cmd_flags` tells histograms apart.
    pub histogram_flags: u32,
    /// Bytes of a page as a power of two.
    pub page_shift: u32,
    /// Number of the flag that marks a large folio (`PG_head` of include/linux/page-flags.h).
    pub page_head: u32,
    /// Bytes in the ring buffer from which on its reader is woken; it looks by itself from time to time.
    pub wake_bytes: u32,
    /// Flags that together mark a page of the swap cache (`PG_swapcache` and `PG_swapbacked`); 0 when not known.
    pub page_swap: u32,
    /// Flag of a request of io_uring that is not finished, and carried out once more (`REQ_F_REISSUE`); 0 when not known.
    pub uring_again: u32,
    /// `f_flags` of a file that is read and written directly (`O_DIRECT`, whose number depends on the architecture).
    pub direct_flag: u32,
    /// Flags of a bio that make the device flush its cache: `REQ_PREFLUSH` and `REQ_FUA`.
    pub flush_flags: u32,
    /// Address of the function at the end of direct I/O of files (`iomap_dio_bio_end_io`), 0 when not known.
    pub end_direct: u64,
    /// The same of the part of a bio that was split (`bio_chain_endio`).
    pub end_chain: u64,
    /// The same of a bio for a buffer head (`end_bio_bh_io_sync`).
    pub end_buffer: u64,
    /// The same of a bio of btrfs (`btrfs_simple_end_io`).
    pub end_btrfs: u64,
    /// The same of a bio of device-mapper, for one of a mapped device (`clone_endio`).
    pub end_mapped: u64,
    /// The same of a bio of dm-crypt (`crypt_endio`).
    pub end_crypt: u64,
}

/// A glob over thread names as a bit-parallel automaton: state `i` means that `i` tokens have matched.
///
/// A step on character `c`: `((state & class[c]) << 1) | (state & star)`. Bit 0 is the start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CommFilter {
    /// Bit `i` of `class[c]`: token `i` matches byte `c`.
    pub class: [u64; 256],
    /// Bit `i`: a `*` stands before token `i`.
    pub star: u64,
    /// The state that means: all matched.
    pub accept: u64,
}
