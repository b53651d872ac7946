//! Who: the thread's own record, and its process.

use crate::{
    kernel::{Pointer, now, offset, read},
    maps::{NEW_THREAD, THREADS, count},
    process,
};
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use iotrace_common::{
    loss,
    record::{COMM_LEN, Task},
    thread::Thread,
};

/// The current thread's record, made when it is first seen. Only the thread itself writes there.
///
/// `scratch`: the buffer for the record of its process, when that is new.
#[inline(always)]
pub fn thread(pid_tgid: u64, scratch: u32) -> Option<*mut Thread> {
    let tid = pid_tgid as u32;
    if let Some(thread) = THREADS.get_ptr_mut(tid) {
        return Some(thread);
    }
    let zeroed = NEW_THREAD.get(0)?;
    if THREADS.insert(tid, zeroed, 0).is_err() {
        count(loss::THREADS_FULL);
        return None;
    }
    let thread = THREADS.get_ptr_mut(tid)?;
    // SAFETY: the map returned a valid pointer, and no other thread uses this key.
    unsafe {
        (*thread).born_ns = now();
        (*thread).process_start_ns = process::introduce(pid_tgid, false, scratch);
    }
    Some(thread)
}

/// PF_KTHREAD of include/linux/sched.h.
const PF_KTHREAD: u32 = 0x0020_0000;

/// Whether a task is one of the kernel's own. A worker of io_uring is not: it belongs to its process.
#[inline(always)]
pub fn is_kernel(task: Pointer) -> bool {
    read::<u32>(task, offset!(task_flags)) & PF_KTHREAD != 0
}

/// Who runs now, for a record.
#[inline(always)]
pub fn describe() -> Task {
    let pid_tgid = bpf_get_current_pid_tgid();
    Task {
        pid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        uid: bpf_get_current_uid_gid() as u32,
        _pad: 0,
        comm: bpf_get_current_comm().unwrap_or([0; COMM_LEN]),
    }
}
