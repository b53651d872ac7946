//! Waits: threads that leave the CPU inside a call on a file, or in a sleep that no signal ends, until they run again.

use crate::{
    calls::{self, Spec, member},
    file::{self, Place},
    filter,
    kernel::{Pointer, load, now, offset, present, read, rounds},
    maps::{BEGAN, SCRATCH, SCRATCH_SWITCH, STACK, STACKS, WAITING, WAITS, config, count, enabled},
    process,
    registers::Registers,
    task,
};
use aya_ebpf::{
    EbpfContext,
    bindings::BPF_NOEXIST,
    cty::c_void,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated},
};
use iotrace_common::{
    call::{self, NONE},
    file::kind_bit,
    loss,
    wait::{DEEP, FRAMES, FROM_FILE, IOWAIT, NO_CALL, Stack, WaitKey, WaitState, WaitSum},
};

/// TASK_INTERRUPTIBLE and TASK_UNINTERRUPTIBLE of include/linux/sched.h.
const ASLEEP: u32 = INTERRUPTIBLE | UNINTERRUPTIBLE;
const INTERRUPTIBLE: u32 = 1;
const UNINTERRUPTIBLE: u32 = 2;
/// TASK_WAKING of include/linux/sched.h.
const WAKING: u32 = 0x200;
/// PF_IO_WORKER and PF_KTHREAD of include/linux/sched.h: they are in no call.
const PF_KERNEL: u32 = 0x10 | 0x0020_0000;
/// Bits of a lock's owner that are no part of its address (kernel/locking/rwsem.c); the first: readers have it.
const OWNER_FLAGS: u64 = 7;
const OWNED_BY_READERS: u64 = 1;

/// The CPU goes from one task to another. `state`: of `prev`.
#[inline(always)]
pub fn switched(ctx: &impl EbpfContext, preempted: bool, prev: Pointer, next: Pointer, state: u32) {
    began_to_run(next);
    if !preempted && state & ASLEEP != 0 {
        fell_asleep(ctx, prev, state);
    }
}

/// The state of a task that leaves the CPU, where the tracepoint does not tell. Another CPU may be about to wake it already
/// (try_to_wake_up of kernel/sched/core.c): how it fell asleep is then told by what it waits for.
#[inline(always)]
pub fn state(prev: Pointer) -> u32 {
    // SAFETY: an argument of the tracepoint.
    let state = unsafe { load(prev, offset!(task_state)) };
    match state {
        WAKING if waits_for_io(prev) => UNINTERRUPTIBLE,
        WAKING => INTERRUPTIBLE,
        _ => state,
    }
}

/// A task runs again: its wait, if it was in one, is over.
#[inline(always)]
fn began_to_run(next: Pointer) -> Option<()> {
    // SAFETY: an argument of the tracepoint.
    let tid: u32 = unsafe { load(next, offset!(task_pid)) };
    let state = WAITING.get_ptr_mut(tid)?;
    // SAFETY: the map returned a valid pointer, and a thread is on one CPU only.
    let state = unsafe { &mut *state };
    if state.begin_ns == 0 {
        return None;
    }
    // SAFETY: the map returned a valid pointer.
    let began_ns = unsafe { *BEGAN.get_ptr(0)? };
    let end_ns = now();
    let begin_ns = if state.begin_ns < began_ns { began_ns } else { state.begin_ns };
    let waited_ns = end_ns.saturating_sub(begin_ns);
    state.begin_ns = 0;
    // Before tracing began nothing counts, and of what began before, the part since.
    if began_ns == 0 || waited_ns < config!(min_latency_ns) {
        return None;
    }
    count(loss::SEEN);
    let key = &state.key;
    let sum = match WAITS.get_ptr_mut(key) {
        Some(sum) => sum,
        None => {
            let new = &WaitSum { ns: 0, count: 0, max_ns: 0, comm: state.comm, uid: state.uid, holder: 0 };
            let _ = WAITS.insert(key, new, 0);
            match WAITS.get_ptr_mut(key) {
                Some(sum) => sum,
                None => {
                    count(loss::WAITS_FULL);
                    return None;
                }
            }
        }
    };
    // SAFETY: the map returned a valid pointer; the key has the thread, which runs here.
    let sum = unsafe { &mut *sum };
    sum.ns += waited_ns;
    sum.count += 1;
    if waited_ns > sum.max_ns {
        sum.max_ns = waited_ns;
    }
    if state.holder != 0 {
        sum.holder = state.holder;
    }
    Some(())
}

/// The current task, which is `prev`, leaves the CPU and will not run before somebody wakes it.
#[inline(always)]
fn fell_asleep(ctx: &impl EbpfContext, prev: Pointer, state: u32) -> Option<()> {
    // SAFETY: an argument of the tracepoint.
    if unsafe { load::<u32>(prev, offset!(task_flags)) } & PF_KERNEL != 0 {
        return None;
    }
    let deep = state & UNINTERRUPTIBLE != 0;
    let regs = task::registers()?;
    let number = regs.number();
    let spec = if number < 0 { None } else { calls::spec(number) };
    // Most sleeps end here: in poll, futex, nanosleep.
    if spec.is_none() && !deep {
        return None;
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    if !filter::thread_wanted(pid_tgid) {
        return None;
    }
    let compat = spec.map_or(0, |(_, compat)| compat);
    let (file, from) = match spec {
        Some((spec, compat)) => file_of(regs, spec, compat),
        None => (core::ptr::null(), false),
    };
    let mut flags = if deep { DEEP } else { 0 } | if from { FROM_FILE } else { 0 };
    let (mut id, mut holder) = (0, 0);
    if file.is_null() {
        if enabled!(FILTER_DISK) {
            return None;
        }
    } else {
        let place = match spec {
            Some((spec, _)) if member!(spec.action) == call::SYNC_FS => Place::of_mount(file),
            _ => Place::of_file(file),
        };
        let key = place.key();
        if config!(wait_kinds) & kind_bit(key.mode()) == 0 || !filter::device_wanted(key.dev) {
            return None;
        }
        id = file::number(&key, place, SCRATCH_SWITCH);
        holder = lock_owner(place.inode, prev);
    }
    if waits_for_io(prev) {
        flags |= IOWAIT;
    }
    let key = WaitKey {
        process_start_ns: process::introduce(pid_tgid, false, SCRATCH_SWITCH),
        file: id,
        stack: stack(ctx),
        tid: pid_tgid as u32,
        pid: (pid_tgid >> 32) as u32,
        number: if number < 0 { NO_CALL } else { calls::number_of(number, compat) },
        flags,
    };
    let (uid, comm) = (bpf_get_current_uid_gid() as u32, task::comm());
    if let Some(known) = WAITING.get_ptr_mut(key.tid) {
        // SAFETY: the map returned a valid pointer, and the thread is here.
        let known = unsafe { &mut *known };
        known.key = key;
        known.comm = comm;
        known.uid = uid;
        known.holder = holder;
        known.begin_ns = now();
    } else if WAITING.insert(key.tid, WaitState { begin_ns: now(), key, comm, uid, holder }, 0).is_err() {
        count(loss::WAITS_FULL);
    }
    Some(())
}

/// The file that the call in flight is about, and whether bytes come from it. Of two, the pipe, else the one that is read.
#[inline(always)]
fn file_of(regs: Registers<false>, spec: Spec, compat: u32) -> (Pointer, bool) {
    let (read_fd, write_fd) = (member!(spec.read_fd), member!(spec.write_fd));
    let from = if read_fd == NONE { core::ptr::null() } else { opened(regs, read_fd, compat) };
    let to = if write_fd == NONE { core::ptr::null() } else { opened(regs, write_fd, compat) };
    if to.is_null() || (!from.is_null() && !is_pipe(to)) { (from, true) } else { (to, false) }
}

#[inline(always)]
fn opened(regs: Registers<false>, argument: u8, compat: u32) -> Pointer {
    file::of_descriptor(regs.argument(argument, compat) as i32)
}

#[inline(always)]
fn is_pipe(file: Pointer) -> bool {
    file::kind(read(file, offset!(file_inode))) == file::S_IFIFO
}

/// Whether the task is counted as one that waits for I/O.
#[inline(always)]
fn waits_for_io(task: Pointer) -> bool {
    let bit = config!(iowait_bit);
    bit != 0 && read::<u8>(task, (bit / 8) as usize) >> (bit % 8) & 1 != 0
}

/// The thread that has the lock of an inode, when it is another one.
#[inline(always)]
fn lock_owner(inode: Pointer, own: Pointer) -> u32 {
    if !present!(inode_lock_owner) {
        return 0;
    }
    let owner: u64 = read(inode, offset!(inode_lock_owner));
    let task = owner & !OWNER_FLAGS;
    if owner & OWNED_BY_READERS != 0 || task == 0 || task == crate::kernel::number(own) {
        return 0;
    }
    read(task as Pointer, offset!(task_pid))
}

/// The key of the current stack, which is kept when it is new; 0 when it cannot be read.
#[inline(always)]
fn stack(ctx: &impl EbpfContext) -> u64 {
    /// A prime of 64 bits (FNV).
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let Some(stack) = STACK.get_ptr_mut(0) else { return 0 };
    let Some(spare) = SCRATCH.get_ptr_mut(SCRATCH_SWITCH) else { return 0 };
    // SAFETY: this CPU's own buffer of that length; programs of this tracepoint do not interrupt each other.
    let length =
        unsafe { generated::bpf_get_stack(ctx.as_ptr(), stack.cast::<c_void>(), size_of::<Stack>() as u32, 0) };
    if length <= 0 {
        return 0;
    }
    let mut key: u64 = 0xcbf2_9ce4_8422_2325;
    let each = |frame| {
        // SAFETY: inside of the buffer.
        let address = unsafe { (&raw const (*stack).0).cast::<u64>().add(frame).read_volatile() };
        // The kernel clears what it does not fill (kernel/bpf/stackmap.c, 5.10 to 7.2). The length that it returns would do too,
        // but then the verifier knows another one after each number of rounds, and goes through all the rest for each.
        if address == 0 {
            return false;
        }
        key = (key ^ address).wrapping_mul(PRIME);
        key ^= key >> 32;
        true
    };
    // SAFETY: the map returned a valid pointer to this CPU's value, in which nothing is kept.
    unsafe { rounds(FRAMES, spare.cast(), each) };
    if STACKS.get_ptr(key).is_none() {
        // SAFETY: written above.
        let whole: &Stack = unsafe { &*stack };
        // Another CPU may have been first. Where there is no room, user space finds none.
        let _ = STACKS.insert(key, whole, BPF_NOEXIST as u64);
    }
    key
}

/// A thread is no more, or runs another program.
#[inline(always)]
pub fn forget(tid: u32) {
    if enabled!(WAITS) {
        let _ = WAITING.remove(tid);
    }
}
