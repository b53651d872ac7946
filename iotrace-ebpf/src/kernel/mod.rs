//! Reading the kernel's structures at offsets that the loader looked up.

mod rounds;
mod view;
mod words;

pub use self::rounds::{exhausted, rounds, unknown_zero};
pub use self::view::cast;
pub(crate) use self::view::{View, fetch, view};
pub use self::words::{copy, zero, zeroed};

use aya_ebpf::{cty::c_void, helpers::generated};
use core::mem::{MaybeUninit, size_of};
use iotrace_common::record::COMM_LEN;

/// Address of a structure in the kernel.
pub type Pointer = *const u8;

/// A 32-bit word of a structure that the loader knows, at a place, sign-extended: an immediate that the loader replaces, so that it
/// costs one instruction and is a constant for the verifier. `iotrace_common::mark` says how.
macro_rules! constant {
    ($mark:expr, $place:expr $(, $more:ident)* $(,)?) => {{
        let value: u64;
        // SAFETY: writes one register. It is used inside such blocks too.
        #[allow(unused_unsafe)]
        unsafe {
            core::arch::asm!(
                "{0} = {1}",
                out(reg) value,
                const ($mark | $place as u32) as i32,
                options(nomem, nostack $(, $more)*)
            );
        };
        value
    }};
}
pub(crate) use constant;

/// The offset of a member, or the type of a structure.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::constant!(
            iotrace_common::mark::LAYOUT,
            core::mem::offset_of!(iotrace_common::layout::KernelLayout, $field)
        ) as usize
    };
}
pub(crate) use offset;

/// Whether this kernel has a member.
macro_rules! present {
    ($field:ident) => {
        $crate::kernel::offset!($field) != iotrace_common::layout::ABSENT as i32 as usize
    };
}
pub(crate) use present;

/// How many equal programs stand before this one at its tracepoint. Those after the first do only what the kernel has skipped the ones
/// before them for: see `docs/kernels.md`, Preemption.
#[inline(always)]
pub fn turn() -> u32 {
    constant!(iotrace_common::mark::TURN, 0) as u32
}

/// Whether there are equal programs before this one.
#[inline(always)]
pub fn is_again() -> bool {
    turn() != 0
}

/// Loads a member with a plain instruction.
///
/// # Safety
///
/// `base` must be a pointer that the verifier tracks (a tracepoint's argument or what was loaded from one): the kernel then
/// handles a fault.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: Pointer, offset: usize) -> T {
    // SAFETY: the caller's promise; the verifier checks the offset against the structure's BTF.
    unsafe { *base.add(offset).cast::<T>() }
}

/// Loads a member of 16, 32 or 64 bits with one instruction, in which the loader puts the offset; a number of 64 bits. The verifier must
/// know what is at the address: an argument, or what was loaded from one or cast.
macro_rules! typed {
    ($base:expr, $field:ident, u64) => {
        $crate::kernel::typed!(@ $base, $field, "{0} = *(u64 *)({1} + 0)")
    };
    ($base:expr, $field:ident, u32) => {
        $crate::kernel::typed!(@ $base, $field, "{0} = *(u32 *)({1} + 0)")
    };
    ($base:expr, $field:ident, u16) => {
        $crate::kernel::typed!(@ $base, $field, "{0} = *(u16 *)({1} + 0)")
    };
    (@ $base:expr, $field:ident, $load:literal) => {{
        const PLACE: usize = core::mem::offset_of!(iotrace_common::layout::KernelLayout, $field);
        let value: u64;
        let base = $base;
        // SAFETY: writes one register. The kernel handles a fault, and the verifier checks the offset.
        #[allow(unused_unsafe)]
        unsafe {
            core::arch::asm!(
                "{0} = {2}",
                $load,
                out(reg) value,
                in(reg) base,
                const (iotrace_common::mark::LOAD | PLACE as u32) as i32,
                options(pure, readonly, nostack)
            );
        };
        value
    }};
}
pub(crate) use typed;

/// Reads a member of any address; zero when it cannot be read.
#[inline(always)]
pub fn read<T: Copy>(base: Pointer, offset: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes size_of::<T>() bytes into value, zeros where the source cannot be read (kernel/trace/bpf_trace.c,
    // bpf_probe_read_kernel_common). T is a number or a pointer, or some of them: zero is a value of it.
    unsafe {
        generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
            base.wrapping_add(offset).cast::<c_void>(),
        );
        value.assume_init()
    }
}

/// The number that an address is. The verifier tracks a tracepoint's arguments as pointers, and global functions take numbers only.
#[inline(always)]
pub fn number(address: Pointer) -> u64 {
    read((&raw const address).cast::<u8>(), 0)
}

/// Reads a thread's name. As words: bytes would be moved one by one.
#[inline(always)]
pub fn read_name(base: Pointer, offset: usize) -> [u8; COMM_LEN] {
    let words = read::<[u64; COMM_LEN / 8]>(base, offset);
    // SAFETY: any bytes are a name, and both have the same size.
    unsafe { core::mem::transmute::<[u64; COMM_LEN / 8], [u8; COMM_LEN]>(words) }
}

/// Reads from the current task's memory; `None` when it cannot be read.
#[inline(always)]
pub fn read_user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: as for `read`.
    unsafe {
        let failed = generated::bpf_probe_read_user(
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
        (failed == 0).then(|| value.assume_init())
    }
}

/// The current task, as an address to read from.
#[inline(always)]
pub fn current() -> Pointer {
    // SAFETY: the helper has no preconditions.
    unsafe { generated::bpf_get_current_task() as Pointer }
}

/// A number that no other record has; never 0.
#[inline(always)]
pub fn new_id() -> u64 {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { generated::bpf_get_smp_processor_id() } as u64;
    now() << 10 | (cpu & 1023)
}

/// Nanoseconds of CLOCK_MONOTONIC.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { generated::bpf_ktime_get_ns() }
}
