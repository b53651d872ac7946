//! Reading structures whose address is only a number.

use super::{Pointer, load, read};
use crate::maps::enabled;
use core::arch::asm;
use iotrace_common::mark;

/// A structure of the kernel at some address. Where the kernel can be told what is there (`bpf_rdonly_cast`, since 6.2), its members
/// are read with plain loads, else with probe reads. What cannot be read is zero either way.
#[derive(Clone, Copy)]
pub struct View(Pointer);

/// What is at an address: `view!(address, type_file)`, with the name that the structure has in `KernelLayout`.
macro_rules! view {
    ($address:expr, $structure:ident) => {
        $crate::kernel::View::new($address, $crate::kernel::offset!($structure))
    };
}
pub(crate) use view;

/// A member of what is at an address, as a number of 64 bits: `fetch!(view!(address, type_file), file_flags, u32)`.
macro_rules! fetch {
    ($view:expr, $field:ident, $size:ident) => {{
        let view = $view;
        if $crate::maps::enabled!(CAST) {
            $crate::kernel::typed!(view.address(), $field, $size)
        } else {
            $crate::kernel::read::<$size>(view.address(), $crate::kernel::offset!($field)) as u64
        }
    }};
}
pub(crate) use fetch;

impl View {
    /// Where it is.
    #[inline(always)]
    pub fn address(self) -> Pointer {
        self.0
    }

    /// Use `view!`.
    #[inline(always)]
    pub fn new(address: Pointer, structure: usize) -> Self {
        Self(if enabled!(CAST) { cast(address, structure) } else { address })
    }

    /// A member.
    #[inline(always)]
    pub fn get<T: Copy>(self, offset: usize) -> T {
        // SAFETY: the verifier knows the pointer, since it was cast.
        if enabled!(CAST) { unsafe { load(self.0, offset) } } else { read(self.0, offset) }
    }

    /// Two numbers of 32 bits, one behind the other, as one.
    #[inline(always)]
    pub fn get_pair(self, offset: usize) -> u64 {
        if enabled!(CAST) {
            self.get::<u32>(offset) as u64 | (self.get::<u32>(offset + 4) as u64) << 32
        } else {
            self.get(offset)
        }
    }
}

/// `bpf_rdonly_cast(address, structure)` of kernel/bpf/helpers.c. The loader puts the call in the place of the mark, and the verifier
/// a move in the place of the call.
#[inline(always)]
pub fn cast(address: Pointer, structure: usize) -> Pointer {
    let typed: u64;
    // SAFETY: a call that changes the registers that calls change, and nothing else.
    unsafe {
        asm!(
            "call {mark}",
            mark = const mark::CAST,
            inlateout("r1") address as u64 => _,
            inlateout("r2") structure as u64 => _,
            lateout("r0") typed,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
            options(nomem, nostack),
        );
    }
    typed as Pointer
}
