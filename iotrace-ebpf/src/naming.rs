//! Calls that take a name from a file or give it another: the names that were asked for, and the directories from which they count.
//!
//! Which file it is, user space finds out from the files that it knows by these names.

use crate::{
    calls::{Spec, argument, member},
    file::{self, AT_FDCWD, Place},
    kernel::zero,
    maps::{EVENTS, NAMING_LEN, SCRATCH_EXIT, SCRATCH_NAMING, count, wakeup},
    task,
};
use aya_ebpf::{
    cty::c_void,
    helpers::{bpf_get_current_pid_tgid, generated},
};
use core::arch::asm;
use iotrace_common::{
    call::{self, NONE},
    loss,
    naming::{NameSpot, NamingRecord, UNREADABLE},
    open::NAME_MAX,
    record::{Header, NAMING},
    thread::Thread,
};

const HEAD: usize = size_of::<NamingRecord>();
const _: () = assert!(HEAD + 2 * NAME_MAX <= NAMING_LEN);

/// A call on names ends. `number`: `Thread::number`.
///
/// A global function that takes numbers only, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn naming_ends(number: u32, ret: i64, latency_ns: u64) -> u64 {
    let thread = task::find(bpf_get_current_pid_tgid() as u32);
    if let (Some(thread), Some(spec)) = (thread, Spec::of(number)) {
        // SAFETY: the map returned a valid pointer, and only this thread writes there.
        end(unsafe { &*thread }, spec, ret, latency_ns);
    }
    0
}

#[inline(always)]
fn end(thread: &Thread, spec: Spec, ret: i64, latency_ns: u64) -> Option<()> {
    let buffer = SCRATCH_NAMING.get_ptr_mut(0)?.cast::<u8>();
    let record = buffer.cast::<NamingRecord>();
    let (name, directory) = (member!(spec.name), member!(spec.directory));
    let two = member!(spec.action) != call::UNLINK;
    let flags = member!(spec.open_flags);
    // SAFETY: the buffer is this CPU's own and has room for a head and two longest names: `spot` writes at most `NAME_MAX` bytes
    // from a position that is below `NAME_MAX`.
    unsafe {
        // On which disk the file is, the directory from which a long name counts does not tell.
        let of_first = &raw mut (*record).name;
        spot(of_first, buffer.add(HEAD), argument(thread, name), directory_of(thread, directory));
        let mut first = length_of(of_first);
        asm!("{0} &= 4095", inout(reg) first);
        let of_second = &raw mut (*record).other;
        zero(of_second);
        if two {
            // The second name stands behind the first, in the same form.
            let step = if directory == NONE { 1 } else { 2 };
            let directory = if directory == NONE { NONE } else { directory + step };
            let from = buffer.add(HEAD + first);
            spot(of_second, from, argument(thread, name + step), directory_of(thread, directory));
        }
        count(loss::SEEN);
        let mut second = length_of(of_second);
        // The verifier must see the bounds here.
        asm!("{0} &= 4095", "{1} &= 4095", inout(reg) first, inout(reg) second);
        let length = HEAD + first + second;
        (*record).header = Header { kind: NAMING, len: length as u32 };
        (*record).begin_ns = thread.begin_ns;
        (*record).latency_ns = latency_ns;
        (*record).task = task::describe();
        (*record).namespace = task::mounts();
        (*record).ret = ret;
        (*record).flags = argument(thread, flags) as u32;
        (*record).call = member!(spec.call) as u32;
        let sent = generated::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast::<c_void>(),
            buffer.cast::<c_void>(),
            length as u64,
            wakeup(),
        );
        if sent != 0 {
            count(loss::EVENTS);
        }
    }
    Some(())
}

/// The descriptor from which a name counts.
#[inline(always)]
fn directory_of(thread: &Thread, index: u8) -> i32 {
    if index == NONE { AT_FDCWD } else { argument(thread, index) as i32 }
}

/// Bytes of a name, read where they stand: the verifier need not know where they come from.
///
/// # Safety
///
/// `spot` must be in a buffer.
#[inline(always)]
unsafe fn length_of(spot: *const NameSpot) -> usize {
    // SAFETY: the caller's promise.
    unsafe { (&raw const (*spot).length).read_volatile() as usize }
}

/// Reads a name, and finds the directory from which it counts. What is found is written at once: a variable would be a constant on one way
/// and a value on another, and the verifier would go through all that follows for each.
///
/// # Safety
///
/// `spot` must be in a buffer, and `to` must have room for [`NAME_MAX`] bytes.
#[inline(always)]
unsafe fn spot(spot: *mut NameSpot, to: *mut u8, address: u64, directory: i32) {
    // SAFETY: the caller's promise. The kernel has read the name before, so it is in memory; where another thread has unmapped it
    // since, the read fails.
    unsafe {
        ((*spot).base, (*spot).directory) = (0, 0);
        ((*spot).length, (*spot).state) = (0, UNREADABLE);
        let length = generated::bpf_probe_read_user_str(to.cast::<c_void>(), NAME_MAX as u32, address as *const c_void);
        let mut absolute = false;
        if length > 0 {
            ((*spot).length, (*spot).state) = ((length - 1) as u32, 0);
            absolute = *to == b'/';
        }
        if let Some(place) = Place::of_names(directory, absolute) {
            let key = place.key();
            (*spot).base = file::number(&key, place, SCRATCH_EXIT);
            (*spot).directory = place.dentry as u64;
        }
    }
}
