//! Counting failed operations by what they said.

use crate::{
    latency::atomic_add,
    maps::{ERRNOS, count},
};
use iotrace_common::{errno::ErrnoKey, loss};

/// Counts a failure of a sum. `ret`: a negated errno.
#[inline(always)]
pub fn add(slot: u32, op: u8, ret: i64) {
    let key = ErrnoKey { slot, errno: ret.wrapping_neg() as u16, op: op as u16 };
    if ERRNOS.get_ptr_mut(key).is_none() {
        // Another CPU may have been first (BPF_NOEXIST): then its count is used.
        let _ = ERRNOS.insert(key, 0, 1);
    }
    match ERRNOS.get_ptr_mut(key) {
        // SAFETY: the map returned a valid pointer; all CPUs only add to it, atomically.
        Some(failures) => unsafe { atomic_add(failures, 1) },
        None => count(loss::ERRNOS_FULL),
    }
}
