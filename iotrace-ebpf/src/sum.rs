//! Adding up by thread and file, in place.

use crate::{
    maps::{CPU_SUMS, FREE_SUMS, OTHER_SUMS, SUM_INDEX, SUMS, count},
    task,
};
use iotrace_common::{
    io::{OP_READ, OP_WRITE},
    loss,
    sum::{Counters, FreeSlots, Sum, SumKey},
    thread::{Side, Thread},
};

/// The slot of a thread and file, taken from the free ones when it is new; 0 when none is free.
#[inline(always)]
pub fn slot(thread: &Thread, tid: u32, pid: u32, side: &Side) -> u32 {
    let key = SumKey { born_ns: thread.born_ns, tid, way: 0, file: side.key };
    if let Some(slot) = SUM_INDEX.get_ptr(key) {
        // SAFETY: the map returned a valid pointer.
        return unsafe { *slot };
    }
    let slot = take();
    if slot == 0 {
        return 0;
    }
    let Some(sum) = SUMS.get_ptr_mut(slot) else { return 0 };
    if SUM_INDEX.insert(key, slot, 0).is_err() {
        let _ = FREE_SUMS.push(FreeSlots { next: slot, end: slot + 1 }, 0);
        return 0;
    }
    let who = task::describe();
    // SAFETY: the slot was free, so this thread alone has it.
    unsafe {
        (*sum).counters = Counters::default();
        (*sum).file = side.file;
        (*sum).process_start_ns = thread.process_start_ns;
        (*sum).pid = pid;
        (*sum).uid = who.uid;
        (*sum).comm = who.comm;
        (*sum).key = key;
    }
    slot
}

/// A free slot, 0 when there is none. The programs that call this run without preemption, so a CPU's slots are its own.
#[inline(always)]
fn take() -> u32 {
    let Some(free) = CPU_SUMS.get_ptr_mut(0) else { return 0 };
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

/// Adds one finished operation.
#[inline(always)]
pub fn add(slot: u32, op: u8, sync: bool, ret: i64, latency_ns: u64) {
    let sum: *mut Sum = if slot != 0 {
        match SUMS.get_ptr_mut(slot) {
            Some(sum) => sum,
            None => return,
        }
    } else {
        count(loss::SUMS_FULL);
        match OTHER_SUMS.get_ptr_mut(0) {
            Some(sum) => sum,
            None => return,
        }
    };
    // SAFETY: the map returned a valid pointer, and only this thread (this CPU, for the others) writes there.
    let counters = unsafe { &mut (*sum).counters };
    let bytes = if ret > 0 { ret as u64 } else { 0 };
    if op == OP_READ {
        counters.reads += 1;
        counters.read_bytes += bytes;
        counters.read_ns += latency_ns;
    } else if op == OP_WRITE {
        counters.writes += 1;
        counters.write_bytes += bytes;
        counters.write_ns += latency_ns;
        if sync {
            counters.sync_writes += 1;
            counters.sync_write_ns += latency_ns;
        }
    } else {
        counters.syncs += 1;
        counters.sync_ns += latency_ns;
    }
    let synced = if op == OP_WRITE { sync } else { op != OP_READ };
    if synced && latency_ns > counters.sync_max_ns {
        counters.sync_max_ns = latency_ns;
    }
    if ret < 0 {
        counters.errors += 1;
    }
    if latency_ns > counters.max_ns {
        counters.max_ns = latency_ns;
    }
}
