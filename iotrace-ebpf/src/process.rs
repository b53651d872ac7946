//! Processes: announced when first seen, followed over fork, forgotten at exit.

use crate::{
    kernel::{Pointer, current, offset, present, read, read_name},
    maps::{EVENTS, PIDS, PROCESSES, SCRATCH, count, enabled},
    task, wait,
};
use aya_ebpf::{
    bindings::BPF_RB_FORCE_WAKEUP,
    cty::c_void,
    helpers::{bpf_get_current_uid_gid, generated},
};
use core::arch::asm;
use iotrace_common::{
    loss,
    process::{CGROUP_DEPTH, CGROUP_MAX, ProcessRecord, ProcessState},
    record::{Header, PROCESS},
};

const HEAD: usize = size_of::<ProcessRecord>();
/// Longest name of a control group (fs/kernfs/kernfs-internal.h: limited as file names are).
const COMPONENT: usize = 256;

/// Announces the current process, unless that was done, or it is one of the kernel's own. Returns its start, nanoseconds since boot.
#[inline(always)]
pub fn introduce(pid_tgid: u64, kernel: bool, scratch: u32) -> u64 {
    let leader: Pointer = read(current(), offset!(task_group_leader));
    let start_ns = read(leader, offset!(task_start));
    if !kernel {
        announce_process((pid_tgid >> 32) as u32, leader as u64, start_ns, scratch);
    }
    start_ns
}

/// Sends what `/proc/PID` would say, unless it was sent before. Returns 1 when it was sent now.
///
/// A global function that takes numbers only, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn announce_process(pid: u32, leader: u64, start_ns: u64, scratch: u32) -> u64 {
    let leader = leader as Pointer;
    if let Some(known) = PROCESSES.get_ptr(pid) {
        // SAFETY: the map returned a valid pointer.
        if unsafe { (*known).start_ns } == start_ns {
            return 0;
        }
    }
    let Some(buffer) = SCRATCH.get_ptr_mut(scratch) else { return 0 };
    let buffer = buffer.cast::<u8>();
    // SAFETY: the buffer is this CPU's own and longer than a record with all its names.
    unsafe {
        let names = control_group(buffer.add(HEAD));
        let record = buffer.cast::<ProcessRecord>();
        let parent: Pointer = read(leader, offset!(task_real_parent));
        (*record).header = Header { kind: PROCESS, len: (HEAD + names) as u32 };
        (*record).start_ns = start_ns;
        (*record).cgroup = generated::bpf_get_current_cgroup_id();
        (*record).pid = pid;
        (*record).ppid = read(parent, offset!(task_tgid));
        (*record).uid = bpf_get_current_uid_gid() as u32;
        (*record).names = names as u32;
        (*record).comm = read_name(leader, offset!(task_comm));
        let sent = generated::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast::<c_void>(),
            buffer.cast::<c_void>(),
            (HEAD + names) as u64,
            // At once: what user space reads about a process may be gone with it.
            BPF_RB_FORCE_WAKEUP as u64,
        );
        if sent != 0 {
            count(loss::PROCESSES);
            return 0;
        }
    }
    // A full map costs only a repeated record.
    let _ = PROCESSES.insert(pid, ProcessState { start_ns }, 0);
    1
}

/// Writes the names of the current task's control group from the leaf up. Where v1 hierarchies are mounted beside an empty v2 one,
/// the memory controller's hierarchy tells the group.
///
/// # Safety
///
/// `names` must have room for [`CGROUP_MAX`] + [`COMPONENT`] bytes.
#[inline(always)]
unsafe fn control_group(names: *mut u8) -> usize {
    if !(present!(task_cgroups) && present!(cgroup_kn) && present!(kernfs_name) && present!(kernfs_parent)) {
        return 0;
    }
    let set: Pointer = read(current(), offset!(task_cgroups));
    let mut node: Pointer = core::ptr::null();
    let mut parent: Pointer = core::ptr::null();
    if present!(css_set_default) {
        let group: Pointer = read(set, offset!(css_set_default));
        node = read(group, offset!(cgroup_kn));
        parent = read(node, offset!(kernfs_parent));
    }
    if parent.is_null() && present!(css_set_memory) && present!(css_cgroup) {
        let state: Pointer = read(set, offset!(css_set_memory));
        let group: Pointer = read(state, offset!(css_cgroup));
        node = read(group, offset!(cgroup_kn));
    }
    let mut position: usize = 0;
    for _ in 0..CGROUP_DEPTH {
        // SAFETY: a mask of one register; see path.rs.
        unsafe { asm!("{0} &= 1023", inout(reg) position) };
        parent = read(node, offset!(kernfs_parent));
        if parent.is_null() {
            break;
        }
        let name: Pointer = read(node, offset!(kernfs_name));
        // SAFETY: the caller gave room for CGROUP_MAX + COMPONENT bytes.
        let length = unsafe {
            generated::bpf_probe_read_kernel_str(
                names.add(position).cast::<c_void>(),
                COMPONENT as u32,
                name.cast::<c_void>(),
            )
        };
        if length <= 0 || position + length as usize >= CGROUP_MAX {
            break;
        }
        position += length as usize;
        node = parent;
    }
    // SAFETY: a mask of one register.
    unsafe { asm!("{0} &= 1023", inout(reg) position) };
    position
}

/// A task made another one: a followed process's child is followed from its first instruction.
#[inline(always)]
pub fn forked(parent: Pointer, child: Pointer) {
    if !enabled!(FOLLOW) {
        return;
    }
    let (parent, child): (u32, u32) = (read(parent, offset!(task_tgid)), read(child, offset!(task_tgid)));
    if child != parent && PIDS.get_ptr(parent).is_some() && PIDS.insert(child, 1u8, 0).is_err() {
        count(loss::FOLLOWED_FULL);
    }
}

/// A task runs another program: its name is a new one, so it is announced again.
#[inline(always)]
pub fn executed(task: Pointer) {
    let (pid, tid): (u32, u32) = (read(task, offset!(task_tgid)), read(task, offset!(task_pid)));
    task::forget(tid);
    wait::forget(tid);
    let _ = PROCESSES.remove(pid);
}

/// A thread ends; with the last of a process, the process.
#[inline(always)]
pub fn exited(task: Pointer) {
    let (pid, tid): (u32, u32) = (read(task, offset!(task_tgid)), read(task, offset!(task_pid)));
    task::forget(tid);
    wait::forget(tid);
    let signal: Pointer = read(task, offset!(task_signal));
    // do_exit() of kernel/exit.c takes the thread off this count before the tracepoint.
    if read::<i32>(signal, offset!(signal_live)) == 0 {
        let _ = PROCESSES.remove(pid);
        if enabled!(FOLLOW) {
            let _ = PIDS.remove(pid);
        }
    }
}
