//! Requests on their way, by address.

use crate::{
    kernel::{Pointer, cast, is_again, offset, present},
    latency::atomic_add,
    maps::{REQUEST_COUNT, REQUESTS, REQUESTS_KEPT, count, enabled},
};
use iotrace_common::{block::RequestState, loss};

/// `RequestState::begin_ns` of an entry that waits for the next request at its address.
pub const IDLE: u64 = 0;

/// What there is at a request's address: of it, or of one that stood there before.
#[inline(always)]
pub fn entry(request: Pointer) -> Option<*mut RequestState> {
    REQUESTS.get_ptr_mut(request as u64)
}

/// A request whose pointers are going to be loaded: cast for the reason of [`crate::task::typed`], as an argument is trusted too.
#[inline(always)]
pub fn to_follow(request: Pointer) -> Pointer {
    if enabled!(CAST) && present!(type_request) { cast(request, offset!(type_request)) } else { request }
}

/// What is known of a request.
#[inline(always)]
pub fn find(request: Pointer) -> Option<*mut RequestState> {
    // SAFETY: the map returned a valid pointer.
    entry(request).filter(|state| unsafe { (**state).begin_ns } != IDLE)
}

/// Remembers a request, in the entry at its address if there is one. `false` when there is no room.
#[inline(always)]
pub fn remember(request: Pointer, entry: Option<*mut RequestState>, state: &RequestState) -> bool {
    if let Some(entry) = entry {
        // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
        unsafe { *entry = *state };
        return true;
    }
    if REQUESTS.insert(request as u64, state, 0).is_err() {
        no_room();
        return false;
    }
    if let Some(entries) = REQUEST_COUNT.get_ptr_mut(0) {
        // SAFETY: the map returned a valid pointer, and all CPUs only add.
        unsafe { atomic_add(entries, 1) };
    }
    true
}

/// Remembers a request of nobody in the entry of one that was nobody's: what is not set here stays zero.
#[inline(always)]
pub fn begin_again(
    entry: *mut RequestState,
    begin_ns: u64,
    issue_ns: u64,
    sector: u64,
    (disk, part): (u32, u32),
    flags: u32,
) {
    // SAFETY: the map returned a valid pointer; a request is in one hand at a time.
    let state = unsafe { &mut *entry };
    state.begin_ns = begin_ns;
    state.issue_ns = issue_ns;
    state.bytes = 0;
    state.sector = sector;
    state.flags = flags;
    state.left = 0;
    state.disk = disk;
    state.part = part;
}

/// Tells that there was no room for a request. A further program at the tracepoint finds none either, and the request's end
/// is then one of which the begin was not seen.
#[inline(always)]
pub fn no_room() {
    if !is_again() {
        count(loss::REQUESTS_FULL);
    }
}

/// A request is done. A queue's requests stand where they are as long as the queue does, so the entry is kept for the next one:
/// to insert and to remove one costs more than all the rest. Where many queues have many, entries go as they came.
#[inline(always)]
pub fn forget(request: Pointer, state: *mut RequestState) {
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
