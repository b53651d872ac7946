//! Counting writes by their size.

use crate::maps::WRITE_SIZES;
use core::arch::asm;
use iotrace_common::write_sizes::CLASSES;

/// Counts a write of a sum that wrote so many bytes.
///
/// A global function that takes numbers only, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_write(slot: u32, bytes: u64) -> u64 {
    // What found no slot has no size of its own either.
    if slot == 0 {
        return 0;
    }
    let Some(sizes) = WRITE_SIZES.get_ptr_mut(slot) else { return 0 };
    // SAFETY: the map returned a valid pointer, the class is below CLASSES, and who writes a slot is alone.
    unsafe { *(&raw mut (*sizes).counts).cast::<u64>().add(class_of(bytes)) += 1 }
    0
}

/// The number of bits that a size takes, which this target cannot count: a search by halves.
#[inline(always)]
fn class_of(bytes: u64) -> usize {
    const LAST: u64 = CLASSES as u64 - 1;
    const { assert!(CLASSES == 16) };
    if bytes >> LAST != 0 {
        return LAST as usize;
    }
    let mut rest = bytes;
    let mut class = 0u64;
    if rest >> 8 != 0 {
        rest >>= 8;
        class += 8;
    }
    if rest >> 4 != 0 {
        rest >>= 4;
        class += 4;
    }
    if rest >> 2 != 0 {
        rest >>= 2;
        class += 2;
    }
    // 0, 1, 2 or 3 is left.
    class += if rest > 1 { 2 } else { rest };
    // The verifier must see the bound here.
    // SAFETY: a mask of one register.
    unsafe { asm!("{0} &= 15", inout(reg) class) };
    class as usize
}
