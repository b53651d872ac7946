//! Adding up by thread and file, in place.

use crate::{
    errno, file,
    kernel::{copy, zero},
    maps::{CPU_SUMS, FREE_SUMS, OTHER_SUMS, RECENT, RECENT_BITS, SUM_INDEX, SUMS, count, enabled},
    write_sizes::count_write,
};
use iotrace_common::{
    file::FileKey,
    io::{OP_ALLOCATE, OP_MMAP_READ, OP_MMAP_WRITE, OP_READ, OP_SYNC, OP_TRUNCATE, OP_WRITE},
    loss,
    record::Task,
    sum::{FreeSlots, Sum, SumKey},
    thread::{Side, Thread},
};

/// Whose sum, as its slot says.
pub struct Owner<'a> {
    /// `Thread::born_ns`.
    pub born_ns: u64,
    /// Start of its process.
    pub process_start_ns: u64,
    /// The thread.
    pub task: &'a Task,
    /// Number of the file.
    pub file: u64,
}

/// The slot of a thread and file, taken from the free ones when it is new; 0 when none is free. `way`: `SumKey::way`. `who`: see
/// [`crate::maps::WHO_CALL`].
#[inline(always)]
pub fn slot(owner: &Owner<'_>, file: &FileKey, way: u32, who: u32) -> u32 {
    let key = SumKey { born_ns: owner.born_ns, tid: owner.task.tid, way, file: *file };
    if let Some(slot) = SUM_INDEX.get_ptr(key) {
        // SAFETY: the map returned a valid pointer.
        return unsafe { *slot };
    }
    let slot = take(who);
    if slot == 0 {
        return 0;
    }
    let Some(sum) = SUMS.get_ptr_mut(slot) else { return 0 };
    if SUM_INDEX.insert(key, slot, 0).is_err() {
        let _ = FREE_SUMS.push(FreeSlots { next: slot, end: slot + 1 }, 0);
        return 0;
    }
    // SAFETY: the slot was free, so who asks alone has it.
    unsafe {
        zero(&raw mut (*sum).counters);
        (*sum).file = owner.file;
        (*sum).process_start_ns = owner.process_start_ns;
        (*sum).pid = owner.task.pid;
        (*sum).uid = owner.task.uid;
        copy(&raw const owner.task.comm, &raw mut (*sum).comm);
        (*sum).key = key;
    }
    slot
}

/// A slot that was found before, and the number of its file; `None` where it must be looked up. For calls only: their slots have one
/// writer, and are not taken from a thread that lives. `place`: see [`recent_place`].
#[inline(always)]
pub fn recent(place: u32, thread: &Thread, file: &FileKey) -> Option<(u32, u64)> {
    // SAFETY: the map returned a valid pointer.
    let slot = unsafe { *RECENT.get_ptr(place)? };
    let sum = SUMS.get_ptr(slot)?;
    // SAFETY: the map returned a valid pointer; a slot with this thread's birth and number is written by this thread alone.
    let (key, number) = unsafe { (&(*sum).key, (*sum).file) };
    let is_own = key.born_ns == thread.born_ns && key.tid == thread.tid && key.way == 0;
    (is_own && number != 0 && file::same(&key.file, file)).then_some((slot, number))
}

/// Where `RECENT` has a thread's file; `name`: the lower half of `FileKey::name`. Addresses are left out: the verifier allows no
/// arithmetic with them.
#[inline(always)]
pub fn recent_place(born_ns: u64, ino: u64, name: u64) -> u32 {
    // 2^64 divided by the golden ratio: spreads neighbours.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    ((ino ^ name ^ born_ns).wrapping_mul(SPREAD) >> (64 - RECENT_BITS)) as u32
}

/// Remembers a slot, and in it what spares a look at the file.
#[inline(always)]
pub fn remember(place: u32, side: &Side) {
    note(side);
    if let Some(entry) = RECENT.get_ptr_mut(place) {
        // SAFETY: the map returned a valid pointer; whoever writes last wins.
        unsafe { *entry = side.sum }
    }
}

/// Notes what was found out about the file of a slot.
#[inline(always)]
pub fn note(side: &Side) {
    if let Some(sum) = SUMS.get_ptr_mut(side.sum) {
        // SAFETY: the map returned a valid pointer, and only this thread writes there; nobody looks at slot 0.
        unsafe {
            (*sum).inode = side.inode;
            (*sum).sync = side.sync;
            (*sum).unhashed = side.unhashed;
        }
    }
}

/// A free slot, 0 when there is none. A CPU's slots are those of one program at a time: see [`crate::maps::WHO_CALL`].
#[inline(always)]
fn take(who: u32) -> u32 {
    let Some(free) = CPU_SUMS.get_ptr_mut(who) else { return 0 };
    // SAFETY: the map returned a valid pointer to this CPU's value.
    let free = unsafe { &mut *free };
    if free.next >= free.end {
        let Ok(Some(more)) = FREE_SUMS.pop() else { return 0 };
        *free = more;
    }
    let slot = free.next;
    free.next += 1;
    slot
}

/// Adds one finished operation. `who`: see [`crate::maps::WHO_CALL`].
#[inline(always)]
pub fn add(slot: u32, who: u32, op: u8, sync: bool, ret: i64, latency_ns: u64) {
    let sum: *mut Sum = if slot != 0 {
        match SUMS.get_ptr_mut(slot) {
            Some(sum) => sum,
            None => return,
        }
    } else {
        count(loss::SUMS_FULL);
        match OTHER_SUMS.get_ptr_mut(who) {
            Some(sum) => sum,
            None => return,
        }
    };
    // SAFETY: the map returned a valid pointer, and only this thread (this CPU, for the others) writes there.
    let counters = unsafe { &mut (*sum).counters };
    let bytes = if ret > 0 { ret as u64 } else { 0 };
    if op == OP_READ || op == OP_MMAP_READ {
        counters.reads += 1;
        counters.read_bytes += bytes;
        counters.read_ns += latency_ns;
    } else if op == OP_ALLOCATE {
        counters.allocates += 1;
    } else if op == OP_TRUNCATE {
        counters.truncates += 1;
    } else if op == OP_WRITE || op == OP_MMAP_WRITE {
        counters.writes += 1;
        counters.write_bytes += bytes;
        counters.write_ns += latency_ns;
        if sync {
            counters.sync_writes += 1;
            counters.sync_write_ns += latency_ns;
        }
        if enabled!(WRITE_SIZES) && op == OP_WRITE && ret >= 0 {
            count_write(slot, bytes);
        }
    } else {
        counters.syncs += 1;
        counters.sync_ns += latency_ns;
    }
    let synced = sync || op == OP_SYNC;
    if synced && latency_ns > counters.sync_max_ns {
        counters.sync_max_ns = latency_ns;
    }
    if ret < 0 {
        counters.errors += 1;
        if enabled!(ERRNOS) {
            errno::add(slot, op, ret);
        }
    }
    if latency_ns > counters.max_ns {
        counters.max_ns = latency_ns;
    }
}
