//! What a system call was given.

use crate::{
    calls::{Spec, member},
    kernel::{Pointer, load, offset, present, read},
    maps::enabled,
};
use iotrace_common::{call::NONE, thread::Thread};

/// The registers with which a task entered the kernel: `struct pt_regs`.
///
/// `TYPED`: the verifier knows the pointer, and plain loads will do.
#[derive(Clone, Copy)]
pub struct Registers<const TYPED: bool>(Pointer);

impl<const TYPED: bool> Registers<TYPED> {
    /// # Safety
    ///
    /// With `TYPED` the pointer must be an argument of a tracepoint or a trampoline.
    #[inline(always)]
    pub unsafe fn new(regs: Pointer) -> Self {
        Self(regs)
    }

    #[inline(always)]
    fn at(self, offset: usize) -> u64 {
        // SAFETY: the promise made to `new`.
        if TYPED { unsafe { load(self.0, offset) } } else { read(self.0, offset) }
    }

    /// Number of the system call: its low word, the only one that arm64 has.
    #[inline(always)]
    pub fn number(self) -> i64 {
        let offset = offset!(regs_number);
        // SAFETY: the promise made to `new`.
        (if TYPED { unsafe { load::<i32>(self.0, offset) } } else { read::<i32>(self.0, offset) }) as i64
    }

    /// One of the first three arguments of the system call, or 0: descriptors are among them.
    #[inline(always)]
    pub fn argument(self, index: u8, compat: u32) -> u64 {
        if compat != 0 && present!(compat_arg0) {
            return match index {
                0 => self.at(offset!(compat_arg0)),
                1 => self.at(offset!(compat_arg1)),
                2 => self.at(offset!(compat_arg2)),
                _ => 0,
            };
        }
        match index {
            0 => self.at(offset!(regs_arg0)),
            1 => self.at(offset!(regs_arg1)),
            2 => self.at(offset!(regs_arg2)),
            _ => 0,
        }
    }
}

/// Keeps the arguments: at the end, registers may have changed.
///
/// # Safety
///
/// `thread` must be valid.
#[inline(always)]
pub unsafe fn arguments<const TYPED: bool>(thread: *mut Thread, regs: Registers<TYPED>, spec: Spec, compat: u32) {
    macro_rules! argument {
        ($native:ident, $compat:ident) => {
            if compat != 0 { regs.at(offset!($compat)) as u32 as u64 } else { regs.at(offset!($native)) }
        };
    }
    if compat != 0 && !present!(compat_arg0) {
        return;
    }
    let first = argument!(regs_arg0, compat_arg0);
    // Most calls have one descriptor, which comes first, and of the rest only records tell.
    if !enabled!(STREAM_IO) && member!(spec.read_fd) ^ member!(spec.write_fd) == NONE && member!(spec.rw_flags) == NONE
    {
        // SAFETY: the caller's promise.
        return unsafe { (*thread).args[0] = first };
    }
    // SAFETY: the caller's promise.
    unsafe {
        (*thread).args = [
            first,
            argument!(regs_arg1, compat_arg1),
            argument!(regs_arg2, compat_arg2),
            argument!(regs_arg3, compat_arg3),
            argument!(regs_arg4, compat_arg4),
            argument!(regs_arg5, compat_arg5),
            0,
            0,
        ];
    }
}
