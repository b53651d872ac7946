//! Which file is mapped at an address (`msync`).

use crate::kernel::{Pointer, load, offset};
use aya_ebpf::{cty::c_void, helpers::generated};

/// The file mapped at an address of the current task; null when nothing is.
///
/// `FIND`: whether the kernel has `bpf_find_vma` (5.17). A constant and not a setting: a kernel before 5.13 refuses a program that
/// holds a callback, reachable or not. Without it nothing is found.
#[inline(always)]
pub fn file_at<const FIND: bool>(address: u64) -> Pointer {
    let mut file: u64 = 0;
    if FIND {
        // SAFETY: the helper calls `found` with the mapping and the address of `file`, which outlives the call.
        unsafe {
            generated::bpf_find_vma(
                generated::bpf_get_current_task_btf(),
                address,
                found as *mut c_void,
                (&raw mut file).cast::<c_void>(),
                0,
            );
        }
    }
    file as Pointer
}

/// Called by `bpf_find_vma`, under the lock of the address space.
#[inline(never)]
extern "C" fn found(_task: *mut c_void, vma: Pointer, file: *mut u64) -> i64 {
    // SAFETY: the kernel passes a mapping and the pointer given to the helper.
    unsafe { *file = load::<u64>(vma, offset!(vma_file)) };
    0
}
