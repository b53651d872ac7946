//! Reading the kernel's structures at offsets that the loader looked up.

use aya_ebpf::{Global, cty::c_void, helpers::generated};
use core::mem::{MaybeUninit, size_of};
use iotrace_common::{layout::KernelLayout, record::COMM_LEN};

/// Offsets of this kernel, written by the loader before it loads the programs.
#[unsafe(no_mangle)]
pub static LAYOUT: Global<KernelLayout> = Global::new(KernelLayout::UNKNOWN);

/// Address of a structure in the kernel.
pub type Pointer = *const u8;

/// The offset of a member: a constant for the verifier, since the loader freezes the map it lies in.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::layout_at(core::mem::offset_of!(iotrace_common::layout::KernelLayout, $field))
    };
}
pub(crate) use offset;

/// Whether this kernel has a member.
macro_rules! present {
    ($field:ident) => {
        $crate::kernel::offset!($field) != iotrace_common::layout::ABSENT as usize
    };
}
pub(crate) use present;

/// The word at this place of the layout; use `offset!`.
#[inline(always)]
pub fn layout_at(place: usize) -> usize {
    // SAFETY: `place` is the offset of a field of the layout; volatile, because the loader changes it behind the compiler's back.
    unsafe { core::ptr::read_volatile((&raw const LAYOUT).cast::<u8>().add(place).cast::<u32>()) as usize }
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

/// Reads a member of any address; zero when it cannot be read.
#[inline(always)]
pub fn read<T: Copy>(base: Pointer, offset: usize) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the helper writes size_of::<T>() bytes into value or leaves it, and checks the source itself. T is a number or a
    // pointer: zero is a value of it.
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

/// Reads a thread's name. As words: bytes would be zeroed by a call of memset, which takes room on the stack.
#[inline(always)]
pub fn read_name(base: Pointer, offset: usize) -> [u8; COMM_LEN] {
    let words = read::<[u64; COMM_LEN / 8]>(base, offset);
    // SAFETY: any bytes are a name, and both have the same size.
    unsafe { core::mem::transmute::<[u64; COMM_LEN / 8], [u8; COMM_LEN]>(words) }
}

/// Reads from the current task's memory; `None` when it cannot be read.
#[inline(always)]
pub fn read_user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::zeroed();
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
