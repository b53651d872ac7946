//! The usual case of a read, write or sync, in as few instructions as it can be done: its file is the one that the thread used last, or
//! one that it used not long ago, and the operation is only added up; a sync may be told too. Each such call has programs of its own at
//! its function, in which its number is a constant. Whatever is not usual goes on with the body for all calls (`calls.rs`), which keeps the same records.
//!
//! Used where members can be read with plain loads (`bpf_rdonly_cast`), and records of reads and writes are not asked for.

use crate::{
    errno,
    file::copy,
    filter, io,
    kernel::{Pointer, cast, constant, now, offset, typed},
    maps::{RECENT, STOPPED, SUMS, THREADS, count, enabled},
    sum, task,
    write_sizes::count_write,
};
use aya_ebpf::{EbpfContext, cty::c_void, helpers::generated};
use core::arch::asm;
use iotrace_common::{
    config::Config,
    file::FileKey,
    io::{OP_READ, OP_SYNC, OP_WRITE, UNKNOWN},
    loss, mark,
    thread::{QUICK, READ_SIDE, Thread, WANTED, WRITE_SIDE},
};

/// O_DSYNC of include/uapi/asm-generic/fcntl.h; O_SYNC holds its bit.
const O_DSYNC: u64 = 0o10000;

/// A number of the system call whose function a program is at; `place`: see `iotrace_common::mark::CALL`.
macro_rules! call {
    ($place:expr) => {
        $crate::kernel::constant!(mark::CALL, $place) as u32
    };
}

/// The side of a call on which an operation is.
const fn side_of(op: u8) -> usize {
    if op == OP_READ { READ_SIDE } else { WRITE_SIDE }
}

/// Beginning of an operation.
#[inline(always)]
pub fn begins<const OP: u8>(ctx: &impl EbpfContext, regs: Pointer) -> i32 {
    if begin::<OP>(regs).is_none() {
        go_on(ctx);
    }
    0
}

/// Beginning of a call that has a name.
#[inline(always)]
pub fn begins_named(ctx: &impl EbpfContext, regs: Pointer) -> i32 {
    if begin_named(regs).is_none() {
        go_on(ctx);
    }
    0
}

/// End of an operation.
#[inline(always)]
pub fn ends<const OP: u8>(ctx: &impl EbpfContext, regs: Pointer, ret: i64) -> i32 {
    if end::<OP>(regs, ret).is_none() {
        go_on(ctx);
    }
    0
}

/// Goes on with the body for all calls.
#[inline(always)]
fn go_on(ctx: &impl EbpfContext) {
    let array: u64;
    // SAFETY: writes one register, with the array that the loader puts in the place of the mark. Then: the helper takes a context
    // and an array of programs.
    unsafe {
        asm!("{0} = {1} ll", out(reg) array, const mark::ARRAY, options(pure, nomem, nostack));
        generated::bpf_tail_call(ctx.as_ptr(), array as *mut c_void, 0);
    }
}

/// Whether programs are to do nothing any more.
#[inline(always)]
fn is_stopped() -> bool {
    // SAFETY: a static of this object; volatile, because the loader writes there.
    unsafe { (&raw const STOPPED).read_volatile() != 0 }
}

/// The current task.
#[inline(always)]
fn current() -> Pointer {
    // SAFETY: the helper has no preconditions; what is loaded from its result the verifier tracks.
    unsafe { generated::bpf_get_current_task_btf() as Pointer }
}

/// The current thread's record, where it stands at the first of its places.
#[inline(always)]
fn own(task: Pointer) -> Option<&'static mut Thread> {
    let tid = typed!(task, task_pid, u32);
    let thread = THREADS.get_ptr_mut(task::first_place(tid as u32))?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let thread = unsafe { &mut *thread };
    (thread.owner as u64 == task::owner(tid)).then_some(thread)
}

/// Whether the current thread is to be traced.
#[inline(always)]
fn is_wanted(task: Pointer) -> bool {
    let pid = typed!(task, task_tgid, u32);
    if enabled!(FILTER_THREAD) {
        return filter::thread_wanted(pid << 32 | typed!(task, task_pid, u32));
    }
    pid != own_process()
}

/// iotrace's own process, with one instruction.
#[inline(always)]
fn own_process() -> u64 {
    constant!(mark::CONFIG, core::mem::offset_of!(Config, self_pid))
}

/// `None`: not the usual case; what is changed then says only what is true.
#[inline(always)]
fn begin<const OP: u8>(regs: Pointer) -> Option<()> {
    if is_stopped() {
        return Some(());
    }
    let task = current();
    if !is_wanted(task) {
        return Some(());
    }
    let thread = own(task)?;
    if thread.call != 0 {
        return None;
    }
    find::<OP>(thread, task, regs)?;
    thread.call = call!(mark::CALL_NAME);
    thread.number = call!(mark::CALL_NUMBER);
    thread.begin_ns = now();
    Some(())
}

/// As [`begin`]. The call's end is not a usual case: it takes the record as it would have it from the body for all calls.
#[inline(always)]
fn begin_named(regs: Pointer) -> Option<()> {
    if is_stopped() {
        return Some(());
    }
    let task = current();
    if !is_wanted(task) {
        return Some(());
    }
    let thread = own(task)?;
    if thread.call != 0 {
        return None;
    }
    // No such call has more.
    thread.args[0] = typed!(regs, regs_arg0, u64);
    thread.args[1] = typed!(regs, regs_arg1, u64);
    thread.args[2] = typed!(regs, regs_arg2, u64);
    thread.args[3] = typed!(regs, regs_arg3, u64);
    thread.side[READ_SIDE].wanted = 0;
    thread.side[WRITE_SIDE].wanted = 0;
    thread.call = call!(mark::CALL_NAME) & !QUICK;
    thread.number = call!(mark::CALL_NUMBER);
    thread.begin_ns = now();
    Some(())
}

#[inline(always)]
fn end<const OP: u8>(regs: Pointer, ret: i64) -> Option<()> {
    let (thread, latency_ns) = if enabled!(AT_END) {
        if OP == OP_SYNC && enabled!(STREAM_SYNC) {
            return None;
        }
        if is_stopped() {
            return Some(());
        }
        let task = current();
        if !is_wanted(task) {
            return Some(());
        }
        let thread = own(task)?;
        if thread.call != 0 {
            return None;
        }
        find::<OP>(thread, task, regs)?;
        (thread, 0)
    } else {
        let task = current();
        let Some(thread) = own(task) else {
            // It may have a record elsewhere, but not where it is none of those that count.
            return if is_wanted(task) { None } else { Some(()) };
        };
        let end_ns = now();
        if thread.call != call!(mark::CALL_NAME) {
            return None;
        }
        thread.call = 0;
        let begin_ns = thread.begin_ns;
        let latency_ns = end_ns.saturating_sub(begin_ns);
        (thread, latency_ns)
    };
    if !enabled!(FILTER_RESULT) || filter::result_wanted(latency_ns, ret < 0) {
        count(loss::SEEN);
        let side = &thread.side[side_of(OP)];
        add::<OP>(side.sum, ret, latency_ns);
        if OP == OP_SYNC && enabled!(STREAM_SYNC) {
            io::send(thread, side, call!(mark::CALL_NAME) as u8, OP, false, UNKNOWN, ret, latency_ns);
        }
    }
    Some(())
}

/// Finds the file of the call, and notes that it is under way.
///
/// What tells a file from others is read here one by one, as the compiler must not load ahead what it may not need. A name's hash begins
/// with the address of its parent (`full_name_hash` of fs/namei.c), so that it is another in another directory.
#[inline(always)]
fn find<const OP: u8>(thread: &mut Thread, task: Pointer, regs: Pointer) -> Option<()> {
    let files = typed!(task, task_files, u64) as Pointer;
    let table = typed!(files, files_fdt, u64) as Pointer;
    if table.is_null() {
        // Where the compiler knows what RCU protects, the verifier wants to see that.
        return None;
    }
    let descriptor = typed!(regs, regs_arg0, u32);
    if descriptor >= typed!(table, fdt_max, u32) {
        return None;
    }
    let place = typed!(table, fdt_fd, u64).wrapping_add(descriptor * size_of::<Pointer>() as u64);
    // A structure that begins with such a pointer stands for an element: see `file::of_descriptor`.
    let file = typed!(cast(place as Pointer, offset!(type_kiocb)), kiocb_file, u64) as Pointer;
    let inode = typed!(file, file_inode, u64) as Pointer;
    if inode.is_null() {
        return None;
    }
    let side = &mut thread.side[side_of(OP)];
    if OP != OP_READ {
        let flags = typed!(file, file_flags, u32);
        if OP == OP_WRITE && flags & O_DSYNC != 0 {
            return None;
        }
        side.file_flags = flags as u32;
    }
    if side.inode == inode as u64 {
        let dentry = typed!(file, file_dentry, u64) as Pointer;
        let is_still = typed!(dentry, dentry_hash_len, u32) == hash(&side.key)
            && typed!(inode, inode_ino, u64) == side.key.ino
            && is_same_place(&side.key, side.unhashed, file, dentry, inode);
        if !is_still {
            return None;
        }
    } else {
        recent::<OP>(thread, file, inode)?;
    }
    let side = &mut thread.side[side_of(OP)];
    if side.sum == 0 || (OP == OP_WRITE && side.sync != 0) {
        return None;
    }
    side.address = file as u64;
    side.wanted = WANTED;
    thread.side[READ_SIDE + WRITE_SIDE - side_of(OP)].wanted = 0;
    Some(())
}

/// Whether an open file with an identity's inode number and hash is the one with this identity.
#[inline(always)]
fn is_same_place(key: &FileKey, unhashed: u32, file: Pointer, dentry: Pointer, inode: Pointer) -> bool {
    typed!(file, file_mnt, u64) == key.mnt
        && is_unhashed(dentry, unhashed)
        && typed!(inode, inode_generation, u32) == key.generation as u64
}

/// Whether a name is in the hash of names or not, as it was.
#[inline(always)]
fn is_unhashed(dentry: Pointer, unhashed: u32) -> bool {
    if typed!(dentry, dentry_hash_pprev, u64) != 0 { unhashed == 0 } else { unhashed != 0 }
}

/// The hash in `FileKey::name`: its lower half, read as such, as taking it from the whole is two instructions more.
#[inline(always)]
fn hash(key: &FileKey) -> u64 {
    // SAFETY: a part of the member; programs are little-endian (target bpfel).
    unsafe { (&raw const key.name).cast::<u32>().read_volatile() as u64 }
}

/// Makes a file that the thread used not long ago its last one.
#[inline(always)]
fn recent<const OP: u8>(thread: &mut Thread, file: Pointer, inode: Pointer) -> Option<()> {
    let dentry = typed!(file, file_dentry, u64) as Pointer;
    let (ino, name) = (typed!(inode, inode_ino, u64), typed!(dentry, dentry_hash_len, u32));
    let place = sum::recent_place(thread.born_ns, ino, name);
    // SAFETY: the maps returned valid pointers; a slot with this thread's birth and number is written by this thread alone.
    let (slot, sum) = unsafe {
        let slot = *RECENT.get_ptr(place)?;
        (slot, &*SUMS.get_ptr(slot)?)
    };
    // What was born at the same time may have another number.
    let is_own = sum.key.born_ns == thread.born_ns && sum.key.tid == thread.tid && sum.key.way == 0;
    let key = &sum.key.file;
    let is_file = sum.inode == inode as u64 && key.ino == ino && hash(key) == name && sum.file != 0;
    if !is_own || !is_file || !is_same_place(key, sum.unhashed, file, dentry, inode) {
        return None;
    }
    let side = &mut thread.side[side_of(OP)];
    copy(key, &mut side.key);
    side.inode = inode as u64;
    side.unhashed = sum.unhashed;
    side.file = sum.file;
    side.sum = slot;
    side.sync = sum.sync;
    Some(())
}

/// Adds one finished operation.
#[inline(always)]
fn add<const OP: u8>(slot: u32, ret: i64, latency_ns: u64) {
    let Some(sum) = SUMS.get_ptr_mut(slot) else { return };
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let counters = unsafe { &mut (*sum).counters };
    let bytes = if ret > 0 { ret as u64 } else { 0 };
    if OP == OP_READ {
        counters.reads += 1;
        counters.read_bytes += bytes;
        counters.read_ns += latency_ns;
    } else if OP == OP_SYNC {
        counters.syncs += 1;
        counters.sync_ns += latency_ns;
        if latency_ns > counters.sync_max_ns {
            counters.sync_max_ns = latency_ns;
        }
    } else {
        counters.writes += 1;
        counters.write_bytes += bytes;
        counters.write_ns += latency_ns;
        if enabled!(WRITE_SIZES) && ret >= 0 {
            count_write(slot, bytes);
        }
    }
    if ret < 0 {
        counters.errors += 1;
        if enabled!(ERRNOS) {
            errno::add(slot, OP, ret);
        }
    }
    if latency_ns > counters.max_ns {
        counters.max_ns = latency_ns;
    }
}
