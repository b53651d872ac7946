//! Who: the thread's own record, and its process.

use crate::{
    kernel::{Pointer, cast, current, load, now, offset, present, read, typed, zeroed},
    maps::{NEW_THREAD, PLACE_OWNERS, PLACES, THREADS, count, enabled},
    process,
    registers::Registers,
};
use aya_ebpf::{
    bindings::BPF_NOEXIST,
    cty::c_void,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated},
};
use core::mem::MaybeUninit;
use iotrace_common::{
    loss,
    record::{COMM_LEN, Task},
    thread::Thread,
};

/// Places at which a thread may stand. With a quarter of all taken, one of 65,000 threads finds none.
const TRIES: u32 = 8;
/// From one of them to the next: no small number, as numbers of threads come in rows.
const STRIDE: u32 = 4099;
/// `Thread::owner`: somebody stands there. Not part of a thread's number.
const TAKEN: u32 = 1 << 31;

/// The first place of a thread.
#[inline(always)]
pub fn first_place(tid: u32) -> u32 {
    tid & (PLACES - 1)
}

/// `Thread::owner` where a thread stands.
#[inline(always)]
pub fn owner(tid: u64) -> u64 {
    tid | TAKEN as u64
}

/// The record of a thread, if it has one.
#[inline(always)]
pub fn find(tid: u32) -> Option<*mut Thread> {
    let mut place = tid;
    for _ in 0..TRIES {
        let thread = THREADS.get_ptr_mut(place & (PLACES - 1))?;
        // SAFETY: the map returned a valid pointer.
        if unsafe { (*thread).owner } == tid | TAKEN {
            return Some(thread);
        }
        place = place.wrapping_add(STRIDE);
    }
    None
}

/// The current thread's record, made when it is first seen. Only the thread itself writes there.
///
/// `scratch`: the buffer for the record of its process, when that is new.
#[inline(always)]
pub fn thread(pid_tgid: u64, scratch: u32) -> Option<*mut Thread> {
    let tid = pid_tgid as u32;
    if let Some(thread) = find(tid) {
        return Some(thread);
    }
    let thread = take(tid)?;
    // SAFETY: the map returned a valid pointer, and no other thread has this place.
    unsafe {
        (*thread).born_ns = now();
        (*thread).tid = tid;
        (*thread).owner = tid | TAKEN;
        (*thread).process_start_ns = process::introduce(pid_tgid, false, scratch);
    }
    Some(thread)
}

/// A free place for a thread, all zero.
#[inline(always)]
fn take(tid: u32) -> Option<*mut Thread> {
    let mut place = tid;
    for _ in 0..TRIES {
        let index = place & (PLACES - 1);
        if PLACE_OWNERS.insert(index, tid, BPF_NOEXIST as u64).is_ok() {
            return THREADS.get_ptr_mut(index);
        }
        place = place.wrapping_add(STRIDE);
    }
    count(loss::THREADS_FULL);
    None
}

/// A thread is no more, or another: its place is free. Its call in flight, if it had one, is told as unmatched.
#[inline(always)]
pub fn forget(tid: u32) {
    let mut place = tid;
    for _ in 0..TRIES {
        let index = place & (PLACES - 1);
        let Some(thread) = THREADS.get_ptr_mut(index) else { return };
        // SAFETY: the map returned a valid pointer, and the thread does nothing else any more.
        if unsafe { (*thread).owner } == tid | TAKEN {
            // A thread that is killed leaves its call before it ends: the end of this one was not seen.
            // SAFETY: as above.
            if unsafe { (*thread).call } != 0 {
                count(loss::UNMATCHED);
            }
            // First it must look as it shall be found.
            if let Some(zeroed) = NEW_THREAD.get(0) {
                let _ = THREADS.set(index, zeroed, 0);
                let _ = PLACE_OWNERS.remove(index);
            }
            return;
        }
        place = place.wrapping_add(STRIDE);
    }
}

/// PF_KTHREAD of include/linux/sched.h.
const PF_KTHREAD: u32 = 0x0020_0000;

/// Whether a task is one of the kernel's own. A worker of io_uring is not: it belongs to its process.
#[inline(always)]
pub fn is_kernel(task: Pointer) -> bool {
    read::<u32>(task, offset!(task_flags)) & PF_KTHREAD != 0
}

/// THREAD_SIZE of x86-64.
const THREAD_SIZE: usize = 16384;

/// The registers with which the current task came into the kernel; `None` where it is not known where they are.
#[inline(always)]
pub fn registers() -> Option<Registers<false>> {
    let regs = if enabled!(TASK_REGS) {
        // SAFETY: the helpers have no preconditions.
        unsafe { generated::bpf_task_pt_regs(generated::bpf_get_current_task_btf()) as Pointer }
    } else {
        // task_pt_regs() of arch/x86/include/asm/processor.h: at the top of the stack.
        if !present!(regs_last) {
            return None;
        }
        let stack: Pointer = read(current(), offset!(task_stack));
        stack.wrapping_add(THREAD_SIZE).wrapping_sub(offset!(regs_last) + 8)
    };
    // SAFETY: probe reads check the address.
    Some(unsafe { Registers::new(regs) })
}

/// The current task, to be read with typed loads. A cast takes the verifier's trust away: of each member of what it trusts it looks the
/// structure up under three more names (`btf_nested_type_is_trusted` of kernel/bpf/btf.c), each time among all types, and that
/// was a quarter of the time that loading took.
#[inline(always)]
pub fn typed() -> Pointer {
    // SAFETY: the helper has no preconditions; what is loaded from its result the verifier tracks.
    let task = unsafe { generated::bpf_get_current_task_btf() as Pointer };
    if enabled!(CAST) { cast(task, offset!(type_task)) } else { task }
}

/// Address of the current task's mount namespace.
#[inline(always)]
pub fn mounts() -> u64 {
    if enabled!(CAST) {
        let namespaces = typed!(typed(), task_nsproxy, u64) as Pointer;
        return if namespaces.is_null() { 0 } else { typed!(namespaces, nsproxy_mounts, u64) };
    }
    let namespaces: Pointer = read(current(), offset!(task_nsproxy));
    read(namespaces, offset!(nsproxy_mounts))
}

/// Who runs now, for a record.
#[inline(always)]
pub fn describe() -> Task {
    let pid_tgid = bpf_get_current_pid_tgid();
    Task { pid: (pid_tgid >> 32) as u32, tid: pid_tgid as u32, uid: uid(), _pad: 0, comm: comm() }
}

/// Real user id of the current thread in the initial user namespace.
#[inline(always)]
pub fn uid() -> u32 {
    if enabled!(CAST) {
        // What the helper does besides is to look numbers of that namespace up in it.
        let cred = typed!(typed(), task_cred, u64) as Pointer;
        return if cred.is_null() { 0 } else { typed!(cred, cred_uid, u32) as u32 };
    }
    bpf_get_current_uid_gid() as u32
}

/// Nobody.
#[inline(always)]
pub fn nobody() -> Task {
    // SAFETY: zeros are a value of it.
    unsafe { zeroed() }
}

/// Name of the current thread. As words: bytes would be moved one by one.
#[inline(always)]
pub fn comm() -> [u8; COMM_LEN] {
    if enabled!(CAST) {
        // SAFETY: what is loaded the verifier tracks; what is there is cast to two words. Any bytes are a name, and both types have the same size.
        return unsafe {
            let task = generated::bpf_get_current_task_btf() as Pointer;
            let words = cast(task.wrapping_add(offset!(task_comm)), offset!(type_words));
            core::mem::transmute::<[u64; COMM_LEN / 8], [u8; COMM_LEN]>([load(words, 0), load(words, 8)])
        };
    }
    let mut words = MaybeUninit::<[u64; COMM_LEN / 8]>::uninit();
    // SAFETY: the helper writes that many bytes, whatever happens; any bytes are a name, and both types have the same size.
    unsafe {
        generated::bpf_get_current_comm(words.as_mut_ptr().cast::<c_void>(), COMM_LEN as u32);
        core::mem::transmute::<[u64; COMM_LEN / 8], [u8; COMM_LEN]>(words.assume_init())
    }
}
