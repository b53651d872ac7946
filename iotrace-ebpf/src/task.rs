//! Who: the thread's own record, and its process.

use crate::{
    kernel::{Pointer, current, now, offset, read},
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
    let leader: Pointer = read(current(), offset!(task_group_leader));
    // SAFETY: the map returned a valid pointer, and no other thread uses this key.
    unsafe {
        (*thread).born_ns = now();
        (*thread).process_start_ns = read(leader, offset!(task_start));
        process::announce_process((pid_tgid >> 32) as u32, leader as u64, (*thread).process_start_ns, scratch);
    }
    Some(thread)
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
