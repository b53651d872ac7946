//! Block requests: from insert to issue to completion.

use crate::{
    charge, filter, flush,
    kernel::{Pointer, copy, current, is_again, load, now, number, offset, present, read},
    latency,
    maps::{BEGAN, CHARGES, SCRATCH_INSERT, SCRATCH_ISSUE, config, count, enabled, own},
    process, requests, task, within,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::{
    block::{Charges, DIRTIER_WANTED, KERNEL, RequestState, UNOWNED, WANTED},
    loss,
    record::BLOCK,
};

/// REQ_OP_WRITE (include/linux/blk_types.h).
const WRITE: u32 = 1;

/// A request enters a queue.
#[inline(always)]
pub fn inserted(request: Pointer) {
    let entry = requests::entry(request);
    if is_again() && entry.is_some_and(|entry| begun(request, entry)) {
        return;
    }
    begin(request, 0, entry, own(SCRATCH_INSERT));
}

/// A request is given to the device.
#[inline(always)]
pub fn issued(request: Pointer) {
    let entry = requests::entry(request);
    if is_again() && entry.is_some_and(|entry| begun(request, entry) && was_issued(entry)) {
        return;
    }
    let issue_ns = now();
    let first = match entry.and_then(|entry| issued_before(request, entry, issue_ns)) {
        Some(before) => before == 0,
        None => begin(request, issue_ns, entry, own(SCRATCH_ISSUE)),
    };
    if enabled!(STREAM_BLOCK) && first && !charge::note(request) {
        if let Some(entry) = requests::entry(request) {
            requests::forget(request, entry);
        }
        requests::no_room();
    }
}

/// Notes when a known request is issued, and returns when it was before, 0 for never. `None` when the request is not known.
#[inline(always)]
fn issued_before(request: Pointer, state: *mut RequestState, issue_ns: u64) -> Option<u64> {
    if !begun(request, state) {
        return None;
    }
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    unsafe {
        let before = (*state).issue_ns;
        (*state).issue_ns = issue_ns;
        (*state).sector = load(request, offset!(rq_sector));
        Some(before)
    }
}

/// Whether an entry is that of the request at its address, and not of one that stood there before.
#[inline(always)]
fn begun(request: Pointer, state: *mut RequestState) -> bool {
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    let begin_ns = unsafe { (*state).begin_ns };
    begin_ns != requests::IDLE && begin_ns >= started_ns(request)
}

/// Whether a known request was given to the device.
#[inline(always)]
fn was_issued(state: *mut RequestState) -> bool {
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    unsafe { (*state).issue_ns != 0 }
}

/// Whether the request that was at the address before was issued, and its end has not been seen: the kernel ran no program then.
/// One that was never issued was merged into another.
#[inline(always)]
fn never_ended(before: *mut RequestState, started: u64) -> bool {
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    let begin_ns = unsafe { (*before).begin_ns };
    begin_ns != requests::IDLE && begin_ns < started && was_issued(before)
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

/// Remembers a request, unless it does not count. `entry`: what there is at its address.
#[inline(always)]
fn begin(request: Pointer, issue_ns: u64, entry: Option<*mut RequestState>, scratch: u32) -> bool {
    // SAFETY: an argument of the tracepoint.
    let (cmd_flags, sector): (u32, u64) =
        unsafe { (load(request, offset!(rq_cmd_flags)), load(request, offset!(rq_sector))) };
    if config!(block_ops) >> (cmd_flags & 63) & 1 == 0 {
        return false;
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    let wanted = filter::submitter_wanted(pid_tgid);
    let (mut flags, mut start_ns) = (if wanted { WANTED } else { 0 }, 0);
    let (mut direct, mut direct_bios) = (0, [0; 2]);
    if enabled!(STREAM_BLOCK) {
        // Whose pages these are is known when the request is issued.
        let kernel = task::is_kernel(current());
        flags |= if kernel { KERNEL } else { 0 };
        start_ns = process::introduce(pid_tgid, kernel, scratch);
        direct = within::read_or_written_directly() as u64;
        // Until now only this thread has put bios into it.
        let request = number(request) as Pointer;
        direct_bios = [read(request, offset!(rq_bio)), read(request, offset!(rq_last_bio))];
    } else if !wanted {
        return false;
    }
    let started = started_ns(request);
    let device @ (disk, part) = device(request);
    if entry.is_some_and(|entry| never_ended(entry, started)) && is_wanted(device) {
        count(loss::UNMATCHED);
    }
    let begin_ns = if started != 0 { started } else { now() };
    // Histograms are of nobody.
    if !enabled!(STREAM_BLOCK)
        && let Some(entry) = entry
    {
        requests::begin_again(entry, begin_ns, issue_ns, sector, device, flags);
        return true;
    }
    let task = if enabled!(STREAM_BLOCK) { task::describe() } else { task::nobody() };
    let state = RequestState {
        begin_ns,
        issue_ns,
        bytes: 0,
        sector,
        task,
        start_ns,
        direct,
        direct_bios,
        flags,
        inside: 0,
        left: 0,
        disk,
        part,
        _pad: 0,
    };
    requests::remember(request, entry, &state)
}

/// A request was merged into another one and is no more.
#[inline(always)]
pub fn merged(request: Pointer) {
    if let Some(entry) = requests::entry(request) {
        requests::forget(request, entry);
    }
}

/// A request, or a part of it, completes.
#[inline(always)]
pub fn completed(request: Pointer, error: i32, bytes: u32) -> Option<()> {
    let end_ns = now();
    if enabled!(STREAM_BLOCK) && bytes == 0 {
        flush::served(request);
    }
    // SAFETY: an argument of the tracepoint.
    let (cmd_flags, left): (u32, u32) =
        unsafe { (load(request, offset!(rq_cmd_flags)), load(request, offset!(rq_len))) };
    if config!(block_ops) >> (cmd_flags & 63) & 1 == 0 {
        return None;
    }
    let Some(state) = requests::find(request) else {
        // A program before this one may just have finished it.
        if !is_again()
            && (!filter::by_thread() || enabled!(STREAM_BLOCK))
            && missed(request, bytes)
            && is_wanted(device(request))
        {
            count(loss::UNMATCHED);
        }
        return None;
    };
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    unsafe {
        if bytes == 0 && (*state).bytes == 0 && cmd_flags & charge::OPERATION == WRITE {
            // The shell of a flush, and the kernel ran no program when what it wrote was done.
            if was_issued(state) && is_wanted(((*state).disk, (*state).part)) {
                count(loss::UNMATCHED);
            }
            forget(request, state);
            return None;
        }
        if bytes < left {
            // Unless a program before this one has added this part.
            if !is_again() || (*state).left != left {
                (*state).bytes += bytes as u64;
                (*state).left = left;
            }
            return None;
        }
        (*state).bytes += bytes as u64;
        finished(request, &mut *state, cmd_flags, error, end_ns);
    }
    forget(request, state);
    Some(())
}

/// A request is done, and with it what was noted of its bios.
#[inline(always)]
fn forget(request: Pointer, state: *mut RequestState) {
    requests::forget(request, state);
    if enabled!(STREAM_BLOCK) {
        let _ = CHARGES.remove(request as u64);
    }
}

/// All of a request has completed.
#[inline(always)]
fn finished(request: Pointer, state: &mut RequestState, cmd_flags: u32, error: i32, end_ns: u64) {
    let device @ (disk, part) = (state.disk, state.part);
    if !is_wanted(device) {
        return;
    }
    if state.issue_ns == 0 {
        state.issue_ns = state.begin_ns;
    }
    let queue_ns = state.issue_ns.saturating_sub(state.begin_ns);
    let device_ns = end_ns.saturating_sub(state.issue_ns);
    if !filter::result_wanted(queue_ns + device_ns, error != 0) {
        return;
    }
    if enabled!(HISTOGRAM) {
        if !enabled!(STREAM_BLOCK) {
            count(loss::SEEN);
        }
        latency::add(disk, cmd_flags, state.bytes, error != 0, queue_ns, device_ns);
    }
    if !enabled!(STREAM_BLOCK) {
        return;
    }
    let Some(charges) = charge::of(request) else { return count(loss::REQUESTS_FULL) };
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    unsafe {
        if filter::by_thread() && !is_anyones(&raw const *charges, state.flags) {
            return;
        }
        count(loss::SEEN);
        let record = &raw mut (*charges).record;
        (*record).begin_ns = state.begin_ns;
        (*record).queue_ns = queue_ns;
        (*record).device_ns = device_ns;
        copy(&raw const state.task, &raw mut (*record).task);
        (*record).start_ns = state.start_ns;
        (*record).sector = state.sector;
        (*record).bytes = state.bytes;
        (*record).cmd_flags = cmd_flags;
        (*record).disk = disk;
        (*record).part = part;
        (*record).error = error;
        (*record).flags |= state.flags;
        if !charge::send(charges, BLOCK) {
            count(loss::EVENTS);
        }
    }
}

/// Whether a request belongs to a thread that passes the filters: one that made pages dirty, else the one that submitted it.
///
/// # Safety
///
/// `charges` must lie in a map.
#[inline(always)]
unsafe fn is_anyones(charges: *const Charges, submitter: u32) -> bool {
    // SAFETY: the caller's promise.
    let (flags, shares) = unsafe { ((*charges).record.flags, (*charges).record.shares) };
    flags & DIRTIER_WANTED != 0 || ((flags & UNOWNED != 0 || shares == 0) && submitter & WANTED != 0)
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

/// Whether the filter of devices lets a disk pass, or its partition.
#[inline(always)]
fn is_wanted((disk, part): (u32, u32)) -> bool {
    filter::device_wanted(disk) || filter::device_wanted(part)
}

/// A request's disk and partition.
#[inline(always)]
fn device(request: Pointer) -> (u32, u32) {
    let request = requests::to_follow(request);
    let disk = disk(request);
    (disk, part(request, disk))
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
