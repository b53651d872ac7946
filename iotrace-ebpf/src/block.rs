//! Block requests: from insert to issue to completion.

use crate::{
    filter,
    kernel::{Pointer, load, now, offset, present},
    latency::{self, atomic_add},
    maps::{BEGAN, EVENTS, REQUEST_COUNT, REQUESTS, REQUESTS_KEPT, config, count, enabled, wakeup},
    task,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::{
    block::{BlockRecord, RequestState},
    config::{FILTER_COMM, FILTER_PID, FILTER_TID, FILTER_UID},
    loss,
    record::{BLOCK, Header},
};

/// `RequestState::begin_ns` of an entry that waits for the next request at its address.
const IDLE: u64 = 0;

/// Which settings depend on the thread that submits.
const BY_THREAD: u32 = FILTER_PID | FILTER_TID | FILTER_UID | FILTER_COMM;

/// A request enters a queue.
#[inline(always)]
pub fn inserted(request: Pointer) {
    begin(request, 0, REQUESTS.get_ptr_mut(request as u64));
}

/// A request is given to the device.
#[inline(always)]
pub fn issued(request: Pointer) {
    let issue_ns = now();
    let known = REQUESTS.get_ptr_mut(request as u64);
    if let Some(state) = known {
        let started = started_ns(request);
        // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
        unsafe {
            // An older begin belongs to a request that was merged into another and never completed.
            if (*state).begin_ns != IDLE && (started == 0 || (*state).begin_ns >= started) {
                (*state).issue_ns = issue_ns;
                (*state).sector = load(request, offset!(rq_sector));
                return;
            }
        }
    }
    begin(request, issue_ns, known);
}

/// When the block layer began to account the request, 0 when it does not.
#[inline(always)]
fn started_ns(request: Pointer) -> u64 {
    if present!(rq_start) {
        // SAFETY: an argument of the tracepoint.
        unsafe { load(request, offset!(rq_start)) }
    } else {
        0
    }
}

/// `known`: what there is of the request, or of one that stood there before.
#[inline(always)]
fn begin(request: Pointer, issue_ns: u64, known: Option<*mut RequestState>) {
    // SAFETY: an argument of the tracepoint.
    let (cmd_flags, sector): (u32, u64) =
        unsafe { (load(request, offset!(rq_cmd_flags)), load(request, offset!(rq_sector))) };
    if config!(block_ops) >> (cmd_flags & 63) & 1 == 0 {
        return;
    }
    if config!(flags) & BY_THREAD != 0 && !filter::thread_wanted(bpf_get_current_pid_tgid()) {
        return;
    }
    let started = started_ns(request);
    let begin_ns = if started != 0 { started } else { now() };
    // Histograms are of nobody.
    let task = if enabled!(STREAM_BLOCK) { task::describe() } else { task::nobody() };
    let state = RequestState { begin_ns, issue_ns, bytes: 0, sector, task };
    match known {
        // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
        Some(known) => unsafe { *known = state },
        None => remember(request, &state),
    }
}

/// Takes a new entry for a request.
#[inline(always)]
fn remember(request: Pointer, state: &RequestState) {
    if REQUESTS.insert(request as u64, state, 0).is_err() {
        return count(loss::REQUESTS_FULL);
    }
    if let Some(entries) = REQUEST_COUNT.get_ptr_mut(0) {
        // SAFETY: the map returned a valid pointer, and all CPUs only add.
        unsafe { atomic_add(entries, 1) };
    }
}

/// A request is done. A queue's requests stand where they are as long as the queue does, so the entry is kept for the next one:
/// to insert and to remove one costs more than all the rest. Where many queues have many, entries go as they came.
#[inline(always)]
fn forget(request: Pointer, state: *mut RequestState) {
    let Some(entries) = REQUEST_COUNT.get_ptr_mut(0) else { return };
    // SAFETY: both maps returned valid pointers; a request is in one hand at a time, and all CPUs only add to the number.
    unsafe {
        if *entries <= REQUESTS_KEPT {
            (*state).begin_ns = IDLE;
        } else if REQUESTS.remove(request as u64).is_ok() {
            atomic_add(entries, u64::MAX);
        }
    }
}

/// A request was merged into another one and is no more.
#[inline(always)]
pub fn merged(request: Pointer) {
    if let Some(state) = REQUESTS.get_ptr_mut(request as u64) {
        forget(request, state);
    }
}

/// A request, or a part of it, completes.
#[inline(always)]
pub fn completed(request: Pointer, error: i32, bytes: u32) -> Option<()> {
    let end_ns = now();
    // SAFETY: an argument of the tracepoint.
    let (cmd_flags, left): (u32, u32) =
        unsafe { (load(request, offset!(rq_cmd_flags)), load(request, offset!(rq_len))) };
    if config!(block_ops) >> (cmd_flags & 63) & 1 == 0 {
        return None;
    }
    // SAFETY: the map returned a valid pointer.
    let known = REQUESTS.get_ptr_mut(request as u64).filter(|state| unsafe { (**state).begin_ns } != IDLE);
    let Some(known) = known else {
        if config!(flags) & BY_THREAD == 0 && missed(request, bytes) {
            count(loss::UNMATCHED);
        }
        return None;
    };
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    let state = unsafe {
        (*known).bytes += bytes as u64;
        if bytes < left {
            return None;
        }
        *known
    };
    forget(request, known);
    let disk = disk(request);
    let part = part(request, disk);
    if !filter::device_wanted(disk) && !filter::device_wanted(part) {
        return None;
    }
    let issue_ns = if state.issue_ns != 0 { state.issue_ns } else { state.begin_ns };
    let queue_ns = issue_ns.saturating_sub(state.begin_ns);
    let device_ns = end_ns.saturating_sub(issue_ns);
    if !filter::result_wanted(queue_ns + device_ns, error != 0) {
        return None;
    }
    count(loss::SEEN);
    if enabled!(HISTOGRAM) {
        latency::add(disk, cmd_flags, state.bytes, error != 0, queue_ns, device_ns);
    }
    if enabled!(STREAM_BLOCK) {
        let Some(mut entry) = EVENTS.reserve::<BlockRecord>(0) else {
            count(loss::EVENTS);
            return None;
        };
        entry.write(BlockRecord {
            header: Header { kind: BLOCK, len: size_of::<BlockRecord>() as u32 },
            begin_ns: state.begin_ns,
            queue_ns,
            device_ns,
            task: state.task,
            sector: state.sector,
            bytes: state.bytes,
            cmd_flags,
            disk,
            part,
            error,
        });
        entry.submit(wakeup());
    }
    Some(())
}

/// Whether a request without a known begin is one that should have been seen.
#[inline(always)]
fn missed(request: Pointer, bytes: u32) -> bool {
    // A request of no bytes is the shell of a flush, which is counted by its own request (block/blk-flush.c).
    if bytes == 0 {
        return false;
    }
    // What began before tracing did is not part of it.
    let began = match BEGAN.get(0) {
        Some(began) => *began,
        None => 0,
    };
    began != 0 && (!present!(rq_start) || started_ns(request) >= began)
}

/// The whole disk of a request; 0 when it has none (any more).
#[inline(always)]
fn disk(request: Pointer) -> u32 {
    // SAFETY: an argument of the tracepoint, and what is loaded from it.
    unsafe {
        let disk: Pointer = if present!(queue_disk) {
            let queue: Pointer = load(request, offset!(rq_queue));
            load(queue, offset!(queue_disk))
        } else if present!(rq_disk) {
            load(request, offset!(rq_disk))
        } else {
            return 0;
        };
        if disk.is_null() {
            return 0;
        }
        let (major, minor): (u32, u32) = (load(disk, offset!(disk_major)), load(disk, offset!(disk_minor)));
        major << 20 | minor
    }
}

/// The partition of a request, else its disk.
#[inline(always)]
fn part(request: Pointer, disk: u32) -> u32 {
    // Where `struct hd_struct` still existed, it did not hold the number.
    if !present!(rq_part) || !present!(bdev_dev) || !present!(queue_disk) {
        return disk;
    }
    // SAFETY: as in `disk`.
    unsafe {
        let part: Pointer = load(request, offset!(rq_part));
        if part.is_null() { disk } else { load(part, offset!(bdev_dev)) }
    }
}
