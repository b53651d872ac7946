//! Who asks for a flush: a thread of the block layer sends it, once for all that asked meanwhile (block/blk-flush.c).

use crate::{
    charge::{self, Load},
    filter,
    kernel::{Pointer, copy, current, load, number, offset, present, read, rounds},
    maps::{CHARGES, FLUSHERS, NEW_CHARGES, SCRATCH_FLUSH, config, count, own},
    process, requests, task, within,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::{
    block::{BY_ASKER, BlockShare, DIRTIER_WANTED, SHARE_KERNEL, SHARE_WANTED, SHARES, UNOWNED},
    loss,
    record::BLOCK_PART,
};

/// REQ_OP_FLUSH of include/linux/blk_types.h, the same in all versions.
pub const FLUSH: u32 = 2;
/// Most requests that wait for one flush and are looked at.
const WAITING: usize = 64;
/// `struct list_head`: two pointers.
const LIST: usize = 16;

/// A bio enters the block layer: notes who it is that asks by it for a flush, before or after its data.
#[inline(always)]
pub fn asked(bio: Pointer) {
    // SAFETY: an argument of the tracepoint.
    let flags: u32 = unsafe { load(bio, offset!(bio_flags)) };
    if flags & config!(flush_flags) != 0 {
        note_asker(number(bio));
    }
}

/// A global function that takes numbers only, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_asker(bio: u64) -> u64 {
    let Some(zeroed) = NEW_CHARGES.get(0) else { return 0 };
    #[expect(clippy::needless_borrows_for_generic_args, reason = "a copy would stand on the stack")]
    let noted = FLUSHERS.insert(bio, &zeroed.shares[0], 0);
    // What could not be noted is not known: docs/block.md.
    if noted.is_err() {
        return 0;
    }
    let Some(share) = FLUSHERS.get_ptr_mut(bio) else { return 0 };
    let bio = bio as Pointer;
    let empty = read::<u32>(bio, offset!(bio_size)) == 0;
    let mut load = if empty { Load::nothing() } else { charge::load_of(bio) };
    let pid_tgid = bpf_get_current_pid_tgid();
    let kernel = task::is_kernel(current());
    if load.inode.is_null() {
        load.inode = within::synced_or_written();
    }
    load.bytes = 0;
    let start_ns = process::introduce(pid_tgid, kernel, own(SCRATCH_FLUSH));
    // SAFETY: the map returned a valid pointer; a bio is in one hand at a time.
    unsafe {
        charge::fill(share, &load, BY_ASKER, None, own(SCRATCH_FLUSH));
        (*share).flags |= if filter::submitter_wanted(pid_tgid) { SHARE_WANTED } else { 0 };
        (*share).flags |= if kernel { SHARE_KERNEL } else { 0 };
        (*share).start_ns = start_ns;
        (*share).task = task::describe();
    }
    0
}

/// Adds to a flush those who asked for it. They wait in one of two lists of their queue, while the other one collects who asks for the
/// next flush.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn charge_flush(request: u64) -> u64 {
    if !present!(rq_queue_of_cpu)
        || !present!(cpu_queue_flush)
        || !present!(flush_pending)
        || !present!(flush_waiting)
        || !present!(flush_request)
        || !present!(rq_flush_list)
    {
        return unknown(request);
    }
    let queue: Pointer = read(request as Pointer, offset!(rq_queue_of_cpu));
    let flush: Pointer = read(queue, offset!(cpu_queue_flush));
    if read::<u64>(flush, offset!(flush_request)) != request {
        return unknown(request);
    }
    // A bit says which one collects.
    let running = (read::<u8>(flush, offset!(flush_pending)) & 1 ^ 1) as usize;
    let head = flush as u64 + offset!(flush_waiting) as u64 + (running * LIST) as u64;
    let mut entry: u64 = read(head as Pointer, 0);
    if entry == head {
        return unknown(request);
    }
    let Some(charges) = CHARGES.get_ptr_mut(request) else { return 0 };
    let each = |_| {
        if entry == 0 || entry == head {
            return false;
        }
        let waiting = entry.wrapping_sub(offset!(rq_flush_list) as u64);
        // Its first bio is gone when the data are written; the last is the same, as nothing is merged with it.
        charge_asker(request, read(waiting as Pointer, offset!(rq_last_bio)));
        entry = read(entry as Pointer, 0);
        true
    };
    // SAFETY: the map returned a valid pointer; the time is not known before the request has ended.
    unsafe { rounds(WAITING, &raw mut (*charges).record.device_ns, each) };
    0
}

/// Of a flush it is not known who asked for it.
#[inline(always)]
fn unknown(request: u64) -> u64 {
    if let Some(charges) = CHARGES.get_ptr_mut(request) {
        // SAFETY: the map returned a valid pointer, and a request is issued by one CPU at a time.
        unsafe { (*charges).record.flags |= UNOWNED };
    }
    0
}

/// Adds who asked by a bio to the shares of a flush.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn charge_asker(request: u64, bio: u64) -> u64 {
    let Some(asker) = FLUSHERS.get_ptr(bio) else { return unknown(request) };
    let Some(charges) = CHARGES.get_ptr_mut(request) else { return 0 };
    // SAFETY: the maps returned valid pointers, and a request is issued by one CPU at a time.
    unsafe {
        (*charges).record.flags |= if (*asker).flags & SHARE_WANTED != 0 { DIRTIER_WANTED } else { 0 };
        let shares = (&raw mut (*charges).shares).cast::<BlockShare>();
        for index in 0..SHARES {
            if (*charges).record.shares <= index as u32 {
                (*charges).record.shares = index as u32 + 1;
                copy(asker, shares.add(index));
                return 0;
            }
            let share = shares.add(index);
            if (*share).task.tid == (*asker).task.tid && (*share).inode == (*asker).inode {
                return 0;
            }
        }
        // No room: these go ahead.
        if !charge::send(charges, BLOCK_PART) {
            count(loss::PATHS);
        }
        (*charges).record.shares = 1;
        copy(asker, shares);
    }
    0
}

/// A request without bytes completes: what asked by it for a flush has been served.
#[inline(always)]
pub fn served(request: Pointer) {
    // SAFETY: an argument of the tracepoint.
    let bio: u64 = unsafe { load(requests::to_follow(request), offset!(rq_last_bio)) };
    let _ = FLUSHERS.remove(bio);
}
