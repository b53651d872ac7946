//! All maps. The loader shrinks those that a command does not use.

use crate::kernel::turn;
use aya_ebpf::{
    Global,
    bindings::{BPF_F_MMAPABLE, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    cty::c_void,
    helpers::generated,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, Queue, RingBuf},
};
pub use iotrace_common::sum::{WHO_CALL, WHO_COMPLETE, WHO_COUNT, WHO_DIRTY, WHO_FAULT, WHO_SUBMIT};
use iotrace_common::{
    block::{BlockShare, Charges, Dirtier, PageKey, RequestState, Sender},
    call::{CallTable, FileCalls},
    config::{CommFilter, Config, SCRATCHES, SCRATCHES_AGAIN, TURNS},
    copyup::CopyUp,
    errno::ErrnoKey,
    file::{FileKey, SeenFile},
    latency::{Extremes, Histogram, HistogramKey},
    loss,
    pending::{Pending, PendingKey},
    process::ProcessState,
    sum::{FreeSlots, Sum, SumKey},
    thread::Thread,
    wait::{Stack, WaitKey, WaitState, WaitSum},
    write_sizes::WriteSizes,
};

/// System calls that count in this run, by number.
#[unsafe(no_mangle)]
pub static CALLS: Global<CallTable> = Global::new(CallTable::EMPTY);

/// System calls that are about the file in their first argument, by number.
#[unsafe(no_mangle)]
pub static FILE_CALLS: Global<FileCalls> = Global::new(FileCalls::EMPTY);

/// Thread names that count.
#[unsafe(no_mangle)]
pub static COMM: Global<CommFilter> = Global::new(CommFilter { class: [0; 256], star: 0, accept: 0 });

/// Set when programs that do not go on with another are to do nothing any more: the others then lead nowhere.
#[unsafe(no_mangle)]
pub static mut STOPPED: u32 = 0;

/// Records for user space.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Threads and their calls in flight. An array, because a lookup in it is a few instructions: a thread stands at one of the few
/// places that its number leads to (`task.rs`).
#[map]
pub static THREADS: Array<Thread> = Array::with_max_entries(PLACES, 0);

/// Which places of `THREADS` are taken, and by whom.
#[map]
pub static PLACE_OWNERS: HashMap<u32, u32> = HashMap::with_max_entries(PLACES, 0);

/// Places of `THREADS`, a power of two.
pub const PLACES: u32 = 32768;

/// One zeroed thread: too large for the stack.
#[map]
pub static NEW_THREAD: Array<Thread> = Array::with_max_entries(1, 0);

/// Files whose path was sent. The oldest go first: their path is then sent again.
#[map]
pub static FILES: LruHashMap<FileKey, u64> = LruHashMap::with_max_entries(65536, 0);

/// Files that a CPU has seen not long ago, by a hash: a look there costs a fifth of one into `FILES`.
#[map]
pub static SEEN_FILES: PerCpuArray<SeenFile> = PerCpuArray::with_max_entries(1 << SEEN_FILES_BITS, 0);
/// Entries of `SEEN_FILES`, as a power of two.
pub const SEEN_FILES_BITS: u32 = 10;
/// Paths that were sent.
#[map]
pub static ANNOUNCED: Array<u64> = Array::with_max_entries(1, 0);

/// Processes that were announced, by process id.
#[map]
pub static PROCESSES: HashMap<u32, ProcessState> = HashMap::with_max_entries(16384, 0);

/// Sums by thread and file. Slot 0 is never used.
#[map]
pub static SUMS: Array<Sum> = Array::with_max_entries(65536, BPF_F_MMAPABLE);

/// Which slot of `SUMS` belongs to whom.
#[map]
pub static SUM_INDEX: HashMap<SumKey, u32> = HashMap::with_max_entries(65536, 0);

/// Slots that were used not long ago, by a hash of thread and file: a guess, as the slot itself says whose it is.
#[map]
pub static RECENT: Array<u32> = Array::with_max_entries(1 << RECENT_BITS, 0);
/// Entries of `RECENT`, as a power of two.
pub const RECENT_BITS: u32 = 16;

/// Free slots of `SUMS`, filled by user space.
#[map]
pub static FREE_SUMS: Queue<FreeSlots> = Queue::with_max_entries(65536, 0);

/// Free slots that a CPU has taken.
#[map]
pub static CPU_SUMS: PerCpuArray<FreeSlots> = PerCpuArray::with_max_entries(WHO_COUNT, 0);

/// Sums of what found no free slot, for each of [`WHO_CALL`] and the others.
#[map]
pub static OTHER_SUMS: PerCpuArray<Sum> = PerCpuArray::with_max_entries(WHO_COUNT, 0);

/// Failures of sums by what they said.
#[map]
pub static ERRNOS: HashMap<ErrnoKey, u64> = HashMap::with_max_entries(4096, 0);

/// Writes of sums by their size, at the slot of the sum.
#[map]
pub static WRITE_SIZES: Array<WriteSizes> = Array::with_max_entries(65536, 0);

/// Asynchronous operations between submission and completion.
#[map]
pub static PENDING: HashMap<PendingKey, Pending> = HashMap::with_max_entries(16384, 0);

/// What a thread is adding to the page cache, by thread: where the addition is seen to begin and to end.
#[map]
pub static ADDING: HashMap<u32, u64> = HashMap::with_max_entries(4096, 0);

/// Where such an operation is put together: [`WHO_CALL`] and the others.
#[map]
pub static NEW_PENDING: PerCpuArray<Pending> = PerCpuArray::with_max_entries(WHO_COUNT, 0);

/// Requests between insert or issue and completion, by address; and entries of those that are done.
#[map]
pub static REQUESTS: HashMap<u64, RequestState> = HashMap::with_max_entries(16384, 0);
/// Entries of `REQUESTS`.
#[map]
pub static REQUEST_COUNT: Array<u64> = Array::with_max_entries(1, 0);
/// Entries are kept for the next request while there are no more than that.
pub const REQUESTS_KEPT: u64 = 8192;

/// Records of requests that were issued, by address.
#[map]
pub static CHARGES: HashMap<u64, Charges> = HashMap::with_max_entries(16384, 0);

/// One zeroed record: too large for the stack.
#[map]
pub static NEW_CHARGES: Array<Charges> = Array::with_max_entries(1, 0);

/// Who made which page dirty. The oldest go first: then `DIRTY_FILES` is asked.
#[map]
pub static DIRTY_PAGES: LruHashMap<PageKey, Dirtier> = LruHashMap::with_max_entries(65536, 0);

/// Who last made a page of a file dirty, by the address of its inode.
#[map]
pub static DIRTY_FILES: LruHashMap<u64, Dirtier> = LruHashMap::with_max_entries(16384, 0);

/// Who asked for a flush, by the address of the bio.
#[map]
pub static FLUSHERS: LruHashMap<u64, BlockShare> = LruHashMap::with_max_entries(4096, 0);

/// Who sent a bio to a device of device-mapper, by its address.
#[map]
pub static SENDERS: LruHashMap<u64, Sender> = LruHashMap::with_max_entries(8192, 0);

/// Copy-ups of calls in flight, by thread.
#[map]
pub static COPY_UPS: LruHashMap<u32, CopyUp> = LruHashMap::with_max_entries(4096, 0);

/// One zeroed copy-up: too large for the stack.
#[map]
pub static NEW_COPY_UP: Array<CopyUp> = Array::with_max_entries(1, 0);

/// When all programs were attached, nanoseconds of CLOCK_MONOTONIC; 0 before.
#[map]
pub static BEGAN: Array<u64> = Array::with_max_entries(1, 0);

/// Latency by disk and operation.
#[map]
pub static HISTOGRAMS: HashMap<HistogramKey, Histogram> = HashMap::with_max_entries(64, 0);

/// One zeroed histogram: too large for the stack.
#[map]
pub static NEW_HISTOGRAM: Array<Histogram> = Array::with_max_entries(1, 0);

/// Shortest and longest latency by disk and operation.
#[map]
pub static EXTREMES: PerCpuHashMap<HistogramKey, Extremes> = PerCpuHashMap::with_max_entries(64, 0);

/// What each thread waits for, or waited for last, by its number.
#[map]
pub static WAITING: HashMap<u32, WaitState> = HashMap::with_max_entries(16384, 0);

/// Finished waits, added up.
#[map]
pub static WAITS: HashMap<WaitKey, WaitSum> = HashMap::with_max_entries(32768, 0);

/// Stacks of threads that wait, by a hash of them.
#[map]
pub static STACKS: HashMap<u64, Stack> = HashMap::with_max_entries(8192, 0);

/// Where a stack is put first.
#[map]
pub static STACK: PerCpuArray<Stack> = PerCpuArray::with_max_entries(1, 0);

/// Processes to trace.
#[map]
pub static PIDS: HashMap<u32, u8> = HashMap::with_max_entries(16384, 0);

/// Processes that print iotrace's own output.
#[map]
pub static IGNORED: HashMap<u32, u8> = HashMap::with_max_entries(64, 0);

/// Threads to trace.
#[map]
pub static TIDS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 0);

/// Users to trace.
#[map]
pub static UIDS: HashMap<u32, u8> = HashMap::with_max_entries(256, 0);

/// Devices to trace, in the kernel's encoding.
#[map]
pub static DISKS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 0);

/// Bytes of one scratch buffer: a record's head, a full path, and one component more that the verifier must allow for.
pub const SCRATCH_LEN: usize = 8192;

/// A buffer on whose first bytes a record is built.
#[repr(C, align(8))]
pub struct Scratch(pub [u8; SCRATCH_LEN]);

/// Scratch buffers: [`SCRATCH_ENTER`] and the others, so that programs that may interrupt each other do not share one.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SCRATCHES + (TURNS - 1) * SCRATCHES_AGAIN, 0);
/// Paths, at the begin of a call.
pub const SCRATCH_ENTER: u32 = 0;
/// Paths, at the end of a call.
pub const SCRATCH_EXIT: u32 = 1;
/// Names of opened files.
pub const SCRATCH_OPEN: u32 = 2;
/// Paths, of what [`WHO_SUBMIT`] and those after it see.
pub const SCRATCH_OTHER: u32 = 3;
/// Paths and processes of copy-ups.
pub const SCRATCH_COPY_UP: u32 = 7;
/// Paths and processes, where a task leaves the CPU.
pub const SCRATCH_SWITCH: u32 = 8;
/// Processes, where a request enters a queue.
pub const SCRATCH_INSERT: u32 = 9;
/// Paths and processes, where a request is given to the device.
pub const SCRATCH_ISSUE: u32 = 10;
/// Paths and processes, where a flush is asked for.
pub const SCRATCH_FLUSH: u32 = 11;

/// The scratch buffer for one of [`SCRATCH_INSERT`] and those after it: each of equal programs at a tracepoint has its own, as threads
/// may be in all of them.
#[inline(always)]
pub fn own(scratch: u32) -> u32 {
    scratch + turn() * SCRATCHES_AGAIN
}

/// Bytes for a record of two names: its head, the longest names, and what the verifier must allow for.
pub const NAMING_LEN: usize = 12288;

/// A buffer for a record of names.
#[repr(C, align(8))]
pub struct NamingScratch(pub [u8; NAMING_LEN]);

/// Records of names, at the end of a call: larger than other scratch buffers.
#[map]
pub static SCRATCH_NAMING: PerCpuArray<NamingScratch> = PerCpuArray::with_max_entries(1, 0);

/// The scratch buffer for paths of one of [`WHO_CALL`] and the others.
pub const fn scratch_of(who: u32) -> u32 {
    if who == WHO_CALL { SCRATCH_ENTER } else { SCRATCH_OTHER - WHO_SUBMIT + who }
}

/// Counters of `iotrace_common::loss`.
#[map]
pub static LOSS: PerCpuArray<u64> = PerCpuArray::with_max_entries(loss::COUNT, 0);

/// A setting: a constant for the verifier.
macro_rules! config {
    ($field:ident) => {{
        use iotrace_common::{config::Config, mark};
        const PLACE: usize = core::mem::offset_of!(Config, $field);
        let low = $crate::kernel::constant!(mark::CONFIG, PLACE);
        // Of a setting of 32 bits the compiler drops it.
        let high = $crate::kernel::constant!(mark::CONFIG, PLACE + 4, pure,);
        $crate::maps::setting(|config: &Config| config.$field, low as u32 as u64 | high << 32)
    }};
}
pub(crate) use config;

/// Whether a flag of the configuration is set.
macro_rules! enabled {
    ($flag:ident) => {
        $crate::kernel::constant!(iotrace_common::mark::FLAG, iotrace_common::config::$flag.trailing_zeros()) != 0
    };
}
pub(crate) use enabled;

/// A setting's value from its bits; use `config!`.
#[inline(always)]
pub fn setting<T: Setting>(_field: fn(&Config) -> T, bits: u64) -> T {
    T::of(bits)
}

/// What settings are.
pub trait Setting {
    /// From its bits.
    fn of(bits: u64) -> Self;
}

impl Setting for u32 {
    #[inline(always)]
    fn of(bits: u64) -> Self {
        bits as u32
    }
}

impl Setting for u64 {
    #[inline(always)]
    fn of(bits: u64) -> Self {
        bits
    }
}

/// Flags for a new record. To wake the reader costs more than all the rest, so it is woken when enough has come; what is less it
/// finds when it looks by itself.
#[inline(always)]
pub fn wakeup() -> u64 {
    // SAFETY: EVENTS is a ring buffer.
    let waiting = unsafe {
        generated::bpf_ringbuf_query((&raw const EVENTS).cast_mut().cast::<c_void>(), BPF_RB_AVAIL_DATA as u64)
    };
    if waiting >= config!(wake_bytes) as u64 { BPF_RB_FORCE_WAKEUP as u64 } else { BPF_RB_NO_WAKEUP as u64 }
}

/// Adds one to a counter of `iotrace_common::loss`.
#[inline(always)]
pub fn count(counter: u32) {
    if let Some(value) = LOSS.get_ptr_mut(counter) {
        // SAFETY: the map returned a valid pointer to this CPU's value.
        unsafe { *value += 1 }
    }
}
