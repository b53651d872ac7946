//! Mapped files: what page faults bring in, and what becomes dirty through a mapping.

use crate::{
    calls::{Spec, member},
    file::{self, Place},
    filter,
    kernel::{Pointer, current, now, offset, present, read},
    maps::{ADDING, EVENTS, WHO_DIRTY, WHO_FAULT, config, count, enabled, scratch_of, wakeup},
    sum, task,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::{
    call,
    file::kind_bit,
    io::{IoRecord, OP_MMAP_READ, OP_MMAP_WRITE, UNKNOWN},
    loss,
    record::{Header, IO},
    sum::WAY_MAPPED,
    thread::{READ_SIDE, Thread, WANTED, WRITE_SIDE},
};

/// PF_IO_WORKER and PF_KTHREAD of include/linux/sched.h: threads of the kernel.
const PF_KERNEL: u32 = 0x10 | 0x0020_0000;
/// Number of `fault` in `iotrace_common::call::NAMES`.
const CALL: u8 = 32;
/// `overlay` as the first eight bytes of a file system's name.
const OVERLAY: u64 = u64::from_le_bytes(*b"overlay\0");

/// A folio is being added to the page cache; whether it will be is not known yet.
#[inline(always)]
pub fn adding(mapping: Pointer, folio: Pointer) -> Option<()> {
    let pid_tgid = bpf_get_current_pid_tgid();
    if !filter::thread_wanted(pid_tgid) {
        return None;
    }
    faulting(pid_tgid, mapping)?;
    let tid = pid_tgid as u32;
    if ADDING.get_ptr(tid).is_some() {
        // The end of the addition before was not seen.
        count(loss::UNMATCHED);
    }
    if ADDING.insert(tid, folio as u64, 0).is_err() {
        count(loss::PENDING_FULL);
    }
    Some(())
}

/// The addition is over: 0 when the folio is in the page cache.
#[inline(always)]
pub fn added(result: i32) -> Option<()> {
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: the map returned a valid pointer.
    let folio = unsafe { *ADDING.get_ptr(tid)? } as Pointer;
    let _ = ADDING.remove(tid);
    if result == 0 { brought_in(folio) } else { None }
}

/// A folio was added to the page cache.
#[inline(always)]
pub fn brought_in(folio: Pointer) -> Option<()> {
    seen(folio, read(folio, offset!(folio_mapping)), OP_MMAP_READ, WHO_FAULT)
}

/// A folio became dirty.
#[inline(always)]
pub fn dirtied(folio: Pointer, mapping: Pointer) -> Option<()> {
    // Newer kernels tell the verifier that the tracepoint may pass null.
    if mapping.is_null() {
        return None;
    }
    seen(folio, mapping, OP_MMAP_WRITE, WHO_DIRTY)
}

#[inline(always)]
fn seen(folio: Pointer, mapping: Pointer, op: u8, who: u32) -> Option<()> {
    let pid_tgid = bpf_get_current_pid_tgid();
    if !filter::thread_wanted(pid_tgid) {
        return None;
    }
    let inode = faulting(pid_tgid, mapping)?;
    let place = Place::of_inode(inode)?;
    let key = place.key();
    if config!(kinds) & kind_bit(key.mode()) == 0 || !filter::device_wanted(key.dev) {
        return None;
    }
    let thread = task::thread(pid_tgid, scratch_of(who))?;
    let id = file::number(&key, place, scratch_of(who));
    let bytes = pages(folio) << config!(page_shift);
    count(loss::SEEN);
    if enabled!(SUM) {
        // SAFETY: the map returned a valid pointer, and only this thread writes there.
        let (born_ns, process_start_ns) = unsafe { ((*thread).born_ns, (*thread).process_start_ns) };
        let task = task::describe();
        let owner = sum::Owner { born_ns, process_start_ns, task: &task, file: id };
        let slot = sum::slot(&owner, &key, WAY_MAPPED | who, who);
        sum::add(slot, who, op, false, bytes as i64, 0);
    }
    if enabled!(STREAM_IO) {
        let Some(mut entry) = EVENTS.reserve::<IoRecord>(0) else {
            count(loss::EVENTS);
            return None;
        };
        let index: u64 = read(folio, offset!(folio_index));
        entry.write(IoRecord {
            header: Header { kind: IO, len: size_of::<IoRecord>() as u32 },
            begin_ns: now(),
            latency_ns: 0,
            task: task::describe(),
            file: id,
            ino: key.ino,
            offset: index << config!(page_shift),
            requested: UNKNOWN,
            ret: bytes as i64,
            dev: key.dev,
            file_flags: 0,
            mode: key.mode() as u16,
            call: CALL,
            op,
            flags: 0,
            _pad: [0; 3],
        });
        entry.submit(wakeup());
    }
    Some(())
}

/// The regular file to which a mapping belongs, if a page fault of the current thread is what looks at it.
#[inline(always)]
fn faulting(pid_tgid: u64, mapping: Pointer) -> Option<Pointer> {
    let task = current();
    if read::<u32>(task, offset!(task_flags)) & PF_KERNEL != 0 {
        return None;
    }
    let inode: Pointer = read(mapping, offset!(mapping_host));
    if file::kind(inode) != file::S_IFREG {
        return None;
    }
    (is_fault() || is_fault_inside_a_call(pid_tgid as u32, inode)).then_some(inode)
}

/// Whether the task came into the kernel by an exception: there is no system call then.
#[inline(always)]
fn is_fault() -> bool {
    task::registers().is_some_and(|regs| regs.number() < 0)
}

/// Whether a call is in flight that moves bytes of other files: it has touched the mapping as its buffer. The pages of an overlay's
/// file belong to the file below, which its calls do not name; there nobody can tell.
#[inline(always)]
fn is_fault_inside_a_call(tid: u32, inode: Pointer) -> bool {
    let Some(thread) = task::find(tid) else { return false };
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let thread = unsafe { &*thread };
    if thread.call == 0 {
        return false;
    }
    let Some(spec) = Spec::of(thread.number) else { return false };
    member!(spec.action) == call::MOVE && is_other(thread, READ_SIDE, inode) && is_other(thread, WRITE_SIDE, inode)
}

#[inline(always)]
fn is_other(thread: &Thread, index: usize, inode: Pointer) -> bool {
    let side = &thread.side[index];
    if side.wanted != WANTED {
        return true;
    }
    let own: Pointer = read(side.address as Pointer, offset!(file_inode));
    let sb: Pointer = read(own, offset!(inode_sb));
    let kind: Pointer = read(sb, offset!(sb_type));
    let name: Pointer = read(kind, offset!(fs_name));
    own != inode && read::<u64>(name, 0) != OVERLAY
}

/// Pages of a folio.
#[inline(always)]
fn pages(folio: Pointer) -> u64 {
    let flags: u64 = read(folio, offset!(folio_flags));
    if present!(folio_pages) && flags & 1 << (config!(page_head) & 63) != 0 {
        return read::<u32>(folio, offset!(folio_pages)) as u64;
    }
    1
}
