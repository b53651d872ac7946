//! Loops of which the verifier looks at a few rounds instead of all of them, where the kernel ends loops by itself (`may_goto`, since
//! 6.9). It stops when a round begins as one before did: what counts rounds must not be known to it then.

use crate::maps::enabled;
use core::arch::asm;
use iotrace_common::mark;

/// Whether the kernel ends the loop: after millions of rounds. False on kernels that do not, where the verifier drops the check.
#[inline(always)]
pub fn exhausted() -> bool {
    let ended: u64;
    // SAFETY: writes one register. The loader puts `may_goto` in the place of the jump, which is never taken as it stands.
    unsafe {
        asm!(
            "{0} = 1",
            "if {0} s> {mark} goto +1",
            "{0} = 0",
            out(reg) ended,
            mark = const mark::MAY_GOTO,
            options(nomem, nostack),
        );
    }
    ended != 0
}

/// Zero. The verifier does not know that, where the kernel ends loops by itself. `spare`: memory of a map that may be written to.
///
/// # Safety
///
/// `spare` must be valid for a write.
#[inline(always)]
pub unsafe fn unknown_zero(spare: *mut u64) -> usize {
    if !enabled!(MAY_GOTO) {
        return 0;
    }
    // SAFETY: the caller's promise. What stands in a map is not known to the verifier.
    unsafe {
        spare.write_volatile(0);
        spare.read_volatile() as usize
    }
}

/// Calls with the numbers below `most`, until it is told to stop. Where the kernel ends loops by itself, the verifier looks at a few
/// rounds, else at all. `spare`: as for [`unknown_zero`].
///
/// # Safety
///
/// `spare` must be valid for a write.
#[inline(always)]
pub unsafe fn rounds(most: usize, spare: *mut u64, mut each: impl FnMut(usize) -> bool) {
    if enabled!(MAY_GOTO) {
        // SAFETY: the caller's promise.
        let mut number = unsafe { unknown_zero(spare) };
        while !exhausted() {
            // SAFETY: does nothing; the compiler keeps the number in one register, whose bound the verifier sees below.
            unsafe { asm!("/* {0} */", inout(reg) number) };
            if number >= most || !each(number) {
                return;
            }
            number += 1;
        }
        return;
    }
    let mut number = 0;
    while number < most && each(number) {
        number += 1;
    }
}
