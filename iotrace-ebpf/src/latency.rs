//! Adding block requests up in histograms.

use crate::maps::{EXTREMES, HISTOGRAMS, NEW_HISTOGRAM, config, count};
use core::arch::asm;
use iotrace_common::{
    latency::{BUCKETS, Distribution, Extremes, HistogramKey, OCTAVES, Range, SUB_BUCKETS},
    loss,
};

/// Bits of a bucket's number within its power of two.
const SUB_BITS: u32 = SUB_BUCKETS.trailing_zeros();

/// Adds one completed request.
#[inline(always)]
pub fn add(disk: u32, cmd_flags: u32, bytes: u64, failed: bool, queue_ns: u64, device_ns: u64) {
    let key = HistogramKey { disk, cmd_flags: cmd_flags & config!(histogram_flags) };
    let histogram = match HISTOGRAMS.get_ptr_mut(key) {
        Some(histogram) => histogram,
        None => {
            let Some(zeroed) = NEW_HISTOGRAM.get(0) else { return };
            // Another CPU may have been first (BPF_NOEXIST): then its histogram is used.
            let _ = HISTOGRAMS.insert(key, zeroed, 1);
            match HISTOGRAMS.get_ptr_mut(key) {
                Some(histogram) => histogram,
                None => return count(loss::HISTOGRAMS_FULL),
            }
        }
    };
    let total_ns = queue_ns + device_ns;
    // SAFETY: the map returned a valid pointer; all CPUs only add to it, atomically.
    unsafe {
        atomic_add(&raw mut (*histogram).count, 1);
        atomic_add(&raw mut (*histogram).bytes, bytes);
        if failed {
            atomic_add(&raw mut (*histogram).errors, 1);
        }
        record(&raw mut (*histogram).total, total_ns);
        record(&raw mut (*histogram).queue, queue_ns);
        record(&raw mut (*histogram).device, device_ns);
    }
    extremes(key, total_ns, queue_ns, device_ns);
}

/// Adds to a number that several CPUs change.
///
/// # Safety
///
/// `value` must be valid and only ever be changed atomically.
#[inline(always)]
pub unsafe fn atomic_add(value: *mut u64, addend: u64) {
    // The target has no atomics in `core`; this is the addition that every kernel has.
    // SAFETY: the caller's promise.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) value, in(reg) addend) };
}

/// # Safety
///
/// `distribution` must lie in a map.
#[inline(always)]
unsafe fn record(distribution: *mut Distribution, ns: u64) {
    // SAFETY: the caller's promise; the bucket is below BUCKETS.
    unsafe {
        atomic_add(&raw mut (*distribution).sum_ns, ns);
        atomic_add((&raw mut (*distribution).buckets).cast::<u64>().add(bucket_of(ns)), 1);
    }
}

/// `iotrace_common::latency::bucket_of` without the count of leading zeros, which this target does not have: a search by halves.
#[inline(always)]
fn bucket_of(ns: u64) -> usize {
    let mut rest = ns >> SUB_BITS;
    let mut octave = 0u64;
    if rest >> 32 != 0 {
        rest >>= 32;
        octave += 32;
    }
    if rest >> 16 != 0 {
        rest >>= 16;
        octave += 16;
    }
    if rest >> 8 != 0 {
        rest >>= 8;
        octave += 8;
    }
    if rest >> 4 != 0 {
        rest >>= 4;
        octave += 4;
    }
    if rest >> 2 != 0 {
        rest >>= 2;
        octave += 2;
    }
    octave += rest >> 1;
    let mut bucket = if rest == 0 {
        ns
    } else if octave >= OCTAVES as u64 {
        BUCKETS as u64 - 1
    } else {
        (octave + 1) * SUB_BUCKETS as u64 + ((ns >> octave) & (SUB_BUCKETS as u64 - 1))
    };
    // The verifier must see the bound here.
    // SAFETY: a mask of one register.
    unsafe { asm!("{0} &= 2047", inout(reg) bucket) };
    const { assert!(BUCKETS == 2048) };
    bucket as usize
}

#[inline(always)]
fn extremes(key: HistogramKey, total_ns: u64, queue_ns: u64, device_ns: u64) {
    let Some(extremes) = EXTREMES.get_ptr_mut(key) else {
        let only = |ns| Range { min_ns: ns, max_ns: ns };
        let first = Extremes { count: 1, total: only(total_ns), queue: only(queue_ns), device: only(device_ns) };
        let _ = EXTREMES.insert(key, first, 0);
        return;
    };
    // SAFETY: the map returned a valid pointer to this CPU's value.
    let extremes = unsafe { &mut *extremes };
    let first = extremes.count == 0;
    extremes.count += 1;
    widen(&mut extremes.total, total_ns, first);
    widen(&mut extremes.queue, queue_ns, first);
    widen(&mut extremes.device, device_ns, first);
}

#[inline(always)]
fn widen(range: &mut Range, ns: u64, first: bool) {
    if first || ns < range.min_ns {
        range.min_ns = ns;
    }
    if ns > range.max_ns {
        range.max_ns = ns;
    }
}
