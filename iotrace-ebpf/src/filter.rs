//! Whose operations count: tested before anything else.

use crate::{
    maps::{COMM, DISKS, IGNORED, PIDS, TIDS, UIDS, config, enabled},
    task,
};
use core::arch::asm;
use iotrace_common::config::CommFilter;

/// Whether requests of some threads count, and others do not.
#[inline(always)]
pub fn by_thread() -> bool {
    enabled!(FILTER_PID) || enabled!(FILTER_TID) || enabled!(FILTER_UID) || enabled!(FILTER_COMM)
}

/// Whether requests of the current thread count: those of iotrace itself do, unless threads are filtered.
#[inline(always)]
pub fn submitter_wanted(pid_tgid: u64) -> bool {
    !by_thread() || thread_wanted(pid_tgid)
}

/// Whether the current thread is to be traced.
#[inline(always)]
pub fn thread_wanted(pid_tgid: u64) -> bool {
    let pid = (pid_tgid >> 32) as u32;
    let tid = pid_tgid as u32;
    if pid == config!(self_pid) {
        return false;
    }
    if enabled!(IGNORE) && IGNORED.get_ptr(pid).is_some() {
        return false;
    }
    if enabled!(FILTER_PID) && PIDS.get_ptr(pid).is_none() {
        return false;
    }
    if enabled!(FILTER_TID) && TIDS.get_ptr(tid).is_none() {
        return false;
    }
    if enabled!(FILTER_UID) && UIDS.get_ptr(task::uid()).is_none() {
        return false;
    }
    !enabled!(FILTER_COMM) || comm_matches()
}

/// Whether a device is to be traced.
#[inline(always)]
pub fn device_wanted(dev: u32) -> bool {
    !enabled!(FILTER_DISK) || DISKS.get_ptr(dev).is_some()
}

/// Whether an operation that took so long and returned this is to be counted.
#[inline(always)]
pub fn result_wanted(latency_ns: u64, failed: bool) -> bool {
    latency_ns >= config!(min_latency_ns) && (failed || !enabled!(FILTER_FAILED))
}

/// Runs the automaton of `CommFilter` over the current thread's name.
#[inline(always)]
fn comm_matches() -> bool {
    let comm = task::comm();
    let filter = (&raw const COMM).cast::<CommFilter>();
    let mut state = 1u64;
    for byte in comm {
        if byte == 0 {
            break;
        }
        let mut index = byte as usize;
        // SAFETY: a mask of one register, which kernels before 6.2 must see: the compiler takes bytes from a word, and leaves out
        // the mask of the last. Then: COMM is a static of that type and the index is a byte; volatile, because the loader fills it.
        let (class, star) = unsafe {
            asm!("{0} &= 255", inout(reg) index);
            (
                core::ptr::read_volatile((&raw const (*filter).class).cast::<u64>().add(index)),
                core::ptr::read_volatile(&raw const (*filter).star),
            )
        };
        state = ((state & class) << 1) | (state & star);
    }
    // SAFETY: as above.
    state & unsafe { core::ptr::read_volatile(&raw const (*filter).accept) } != 0
}
