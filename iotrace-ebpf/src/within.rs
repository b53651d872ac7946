//! The file that the current thread's system call is about: for requests that do not lead to one by themselves.

use crate::{
    file,
    kernel::{Pointer, current, offset, present, read},
    maps::{FILE_CALLS, config},
    task,
};
use iotrace_common::call::{FileCalls, MOVES_BYTES, SYNCS_FILE, TABLE_LEN};

/// PF_IO_WORKER, PF_USER_WORKER (since 6.4) and PF_KTHREAD of include/linux/sched.h: threads that are in no system call.
const PF_WORKERS: u32 = 0x10 | 0x4000 | 0x0020_0000;
/// TS_COMPAT of arch/x86/include/asm/thread_info.h: numbers are those of 32-bit tasks.
const TS_COMPAT: u32 = 2;

/// The inode that the current thread reads or writes directly; null when it does not, or does so by other calls (io_uring, AIO).
#[inline(always)]
pub fn read_or_written_directly() -> Pointer {
    let (kind, file) = call();
    let directly = kind == MOVES_BYTES && read::<u32>(file, offset!(file_flags)) & config!(direct_flag) != 0;
    if directly { read(file, offset!(file_inode)) } else { core::ptr::null() }
}

/// The inode that the current thread syncs, or writes to, which syncs with O_SYNC; null when it does neither.
#[inline(always)]
pub fn synced_or_written() -> Pointer {
    let (kind, file) = call();
    let syncs = kind == MOVES_BYTES || kind == SYNCS_FILE;
    if syncs { read(file, offset!(file_inode)) } else { core::ptr::null() }
}

/// What the call does with its file, and the file; zero and null where there is none.
#[inline(always)]
fn call() -> (u8, Pointer) {
    let nothing = (0, core::ptr::null());
    let thread = current();
    if read::<u32>(thread, offset!(task_flags)) & PF_WORKERS != 0
        || present!(task_status) && read::<u32>(thread, offset!(task_status)) & TS_COMPAT != 0
    {
        return nothing;
    }
    let Some(registers) = task::registers() else { return nothing };
    let number = registers.number() as u32 as usize;
    if number >= TABLE_LEN {
        return nothing;
    }
    let table = (&raw const FILE_CALLS).cast::<FileCalls>();
    // SAFETY: FILE_CALLS is a static of that type and the number is below its length; volatile, because the loader fills it.
    let kind = unsafe { core::ptr::read_volatile((&raw const (*table).native).cast::<u8>().add(number)) };
    if kind == 0 {
        return nothing;
    }
    let file = file::of_descriptor(registers.argument(0, 0) as i32);
    if file.is_null() { nothing } else { (kind, file) }
}
