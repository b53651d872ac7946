//! Moving memory word by word. The compiler makes calls of memset and memcpy of what it could do with a few stores, and bpf-linker leaves
//! these calls: loops over bytes, each round of which the verifier looks at.

use core::arch::asm;
use core::mem::{MaybeUninit, align_of, size_of};

/// Zero, which the compiler does not know: it would gather stores of it.
#[inline(always)]
fn nothing() -> u64 {
    let zero: u64;
    // SAFETY: writes one register.
    unsafe { asm!("{0} = 0", out(reg) zero, options(pure, nomem, nostack)) };
    zero
}

/// Fills a value with zeros.
///
/// # Safety
///
/// `to` must be valid for writes, and zeros a value of it.
#[inline(always)]
pub unsafe fn zero<T>(to: *mut T) {
    if size_of::<T>().is_multiple_of(8) && align_of::<T>().is_multiple_of(8) {
        for word in 0..size_of::<T>() / 8 {
            // SAFETY: the caller's promise; inside of the value.
            unsafe { to.cast::<u64>().add(word).write(nothing()) }
        }
    } else {
        const { assert!(size_of::<T>().is_multiple_of(4) && align_of::<T>().is_multiple_of(4)) };
        for word in 0..size_of::<T>() / 4 {
            // SAFETY: as above.
            unsafe { to.cast::<u32>().add(word).write(nothing() as u32) }
        }
    }
}

/// A value of zeros.
///
/// # Safety
///
/// Zeros must be a value of the type.
#[inline(always)]
pub unsafe fn zeroed<T>() -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: there is room for a value, and the caller's promise.
    unsafe {
        zero(value.as_mut_ptr());
        value.assume_init()
    }
}

/// Copies a value. Bytes have to begin at a multiple of eight on both sides.
///
/// # Safety
///
/// `from` must be valid for reads, and `to` for writes.
#[inline(always)]
pub unsafe fn copy<T: Copy>(from: *const T, to: *mut T) {
    const { assert!(size_of::<T>().is_multiple_of(4)) };
    let by_eight = size_of::<T>().is_multiple_of(8) && align_of::<T>() != 4;
    // SAFETY: the caller's promise; inside of both. Volatile, or they would be gathered.
    unsafe {
        if by_eight {
            for word in 0..size_of::<T>() / 8 {
                to.cast::<u64>().add(word).write_volatile(from.cast::<u64>().add(word).read_volatile());
            }
        } else {
            for word in 0..size_of::<T>() / 4 {
                to.cast::<u32>().add(word).write_volatile(from.cast::<u32>().add(word).read_volatile());
            }
        }
    }
}
