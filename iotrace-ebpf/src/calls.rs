//! System calls: what they do is in the tables of `iotrace_common::call`.

use crate::{
    aio, copyup,
    file::{self, Place},
    filter, io,
    kernel::{current, load, now, offset, present, read},
    mapping,
    maps::{CALLS, SCRATCH_ENTER, count, enabled},
    naming, open,
    registers::{self, Registers},
    task,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use core::arch::asm;
use iotrace_common::{
    call::{self, CallSpec, NONE, TABLE_LEN},
    io::UNKNOWN,
    loss,
    thread::{COMPAT_NUMBER, READ_SIDE, Thread, WRITE_SIDE},
};

/// MS_SYNC of include/uapi/asm-generic/mman-common.h.
const MS_SYNC: u64 = 4;
/// TIF_32BIT of arch/arm64/include/asm/thread_info.h.
const TIF_32BIT: u64 = 1 << 22;
/// TS_COMPAT of arch/x86/include/asm/thread_info.h, as a bit's number: the call came through the 32-bit entry.
const TS_COMPAT_BIT: u32 = 1;

/// So that a mask is a bound.
const _: () = assert!(TABLE_LEN.is_power_of_two());

/// A call's description in the table.
#[derive(Clone, Copy)]
pub struct Spec(*const CallSpec);

impl Spec {
    /// The member at this place; use `member!`.
    #[inline(always)]
    pub fn at(self, place: usize) -> u8 {
        // SAFETY: made by `spec` only, so it lies in the table, and `place` is the offset of a byte in it. Volatile, because the
        // loader fills the table.
        unsafe { core::ptr::read_volatile(self.0.cast::<u8>().add(place)) }
    }
}

/// A member of a call's description.
macro_rules! member {
    ($spec:ident . $field:ident) => {
        $spec.at(core::mem::offset_of!(iotrace_common::call::CallSpec, $field))
    };
}
pub(crate) use member;

/// Whether the task is one of 32 bits whose calls are not known.
#[inline(always)]
fn is_foreign() -> bool {
    enabled!(ONLY_64_BIT)
        && present!(task_info_flags)
        && read::<u64>(current(), offset!(task_info_flags)) & TIF_32BIT != 0
}

/// The description of a call, and whether it is a 32-bit one (1) or not (0); `None` when it does not count.
///
/// A number, and one place for both tables: with a condition, the verifier would go through all that follows for each of them.
#[inline(always)]
pub fn spec(number: i64) -> Option<(Spec, u32)> {
    if number as u64 >= TABLE_LEN as u64 {
        return None;
    }
    let (native, compat) = (Spec::at_row(number as usize), Spec::at_row(number as usize + TABLE_LEN));
    let counts = member!(native.call) != 0;
    if !(enabled!(COMPAT) && present!(task_status)) {
        return (counts && !is_foreign()).then_some((native, 0));
    }
    if !counts && member!(compat.call) == 0 {
        return None;
    }
    let status: u32 = if enabled!(TASK_BTF) {
        // SAFETY: what is loaded the verifier tracks.
        unsafe { load(task::typed(), offset!(task_status)) }
    } else {
        read(current(), offset!(task_status))
    };
    let is_compat = status >> TS_COMPAT_BIT & 1;
    let spec = Spec::of_table(number as u32, is_compat);
    (member!(spec.call) != 0).then_some((spec, is_compat))
}

impl Spec {
    /// In this place of both tables: one stands behind the other.
    #[inline(always)]
    fn at_row(row: usize) -> Self {
        // SAFETY: CALLS is a static of that type, and callers see to it that the row is in it.
        Self(unsafe { (&raw const CALLS).cast::<CallSpec>().add(row) })
    }

    /// Of a number below [`TABLE_LEN`].
    #[inline(always)]
    fn of_table(number: u32, is_compat: u32) -> Self {
        let mut row = number as usize + is_compat as usize * TABLE_LEN;
        // SAFETY: a mask of one register: kernels before 6.2 must see the bound here.
        unsafe { asm!("{0} &= {last}", inout(reg) row, last = const 2 * TABLE_LEN - 1) };
        Self::at_row(row)
    }

    /// The description of a call that has begun: `Thread::number`.
    #[inline(always)]
    pub fn of(number: u32) -> Option<Self> {
        let index = number & !COMPAT_NUMBER;
        (index < TABLE_LEN as u32).then_some(Self::of_table(index, number >> COMPAT_NUMBER.trailing_zeros()))
    }
}

/// `Thread::number`.
#[inline(always)]
pub fn number_of(number: i64, is_compat: u32) -> u32 {
    number as u32 | is_compat << COMPAT_NUMBER.trailing_zeros()
}

/// An argument of the call in flight; 0 when the call has none such.
#[inline(always)]
pub fn argument(thread: &Thread, index: u8) -> u64 {
    if index == NONE { 0 } else { thread.args[(index & 7) as usize] }
}

/// Whether a call is looked at when it ends, and not when it begins. Requests of AIO may be finished before the call is that hands
/// them over, and a mapping is looked up at the beginning.
#[inline(always)]
fn is_at_end(spec: Spec) -> bool {
    let action = member!(spec.action);
    enabled!(AT_END) && action != call::SUBMIT && action != call::SYNC_MAPPING
}

/// Beginning of a system call. `FIND`: see [`mapping::file_at`]. Where the call's end will have the arguments, they are `TYPED`.
#[inline(always)]
pub fn enter<const FIND: bool, const TYPED: bool>(regs: Registers<TYPED>, number: i64) -> Option<()> {
    let (spec, compat) = spec(number)?;
    if TYPED && is_at_end(spec) {
        return None;
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    if !filter::thread_wanted(pid_tgid) {
        return None;
    }
    let thread = begin::<FIND, TYPED, false>(pid_tgid, regs, spec, compat)?;
    thread.call = member!(spec.call) as u32;
    thread.number = number_of(number, compat);
    thread.begin_ns = now();
    Some(())
}

/// Notes arguments and files of a call in the thread's record; `None` when the call does not count after all.
///
/// `WHOLE`: for a call that is looked at when it ends; a constant that spares the verifier the others.
#[inline(always)]
fn begin<const FIND: bool, const TYPED: bool, const WHOLE: bool>(
    pid_tgid: u64,
    regs: Registers<TYPED>,
    spec: Spec,
    compat: u32,
) -> Option<&'static mut Thread> {
    let thread = task::thread(pid_tgid, SCRATCH_ENTER)?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let thread = unsafe {
        registers::arguments(thread, regs, spec, compat);
        &mut *thread
    };
    if thread.call != 0 {
        // The end of the call before was not seen.
        count(loss::UNMATCHED);
    }
    thread.call = 0;
    thread.side[READ_SIDE].wanted = 0;
    thread.side[WRITE_SIDE].wanted = 0;
    match member!(spec.action) {
        call::OPEN | call::TRUNCATE_NAMED | call::REAP | call::UNLINK | call::RENAME | call::LINK => {}
        call::CHANGE | call::CHANGE_OPEN => {}
        call::SUBMIT if WHOLE => return None,
        call::SUBMIT => {
            aio::aio_submit(thread.args[1], thread.args[2]);
        }
        _ if !files::<FIND>(thread, spec) => return None,
        _ => {}
    }
    Some(thread)
}

/// Finds the files of a call; `false` when it does not count after all.
///
/// A function of its own for the sake of the stack: all functions on the way to a path walk have 512 bytes together.
#[inline(never)]
fn files<const FIND: bool>(thread: &mut Thread, spec: Spec) -> bool {
    let action = member!(spec.action);
    thread.requested = UNKNOWN;
    if enabled!(STREAM_IO) {
        thread.requested = io::requested(thread, spec);
    }
    let read_fd = member!(spec.read_fd);
    if read_fd != NONE {
        let file = file::of_descriptor(argument(thread, read_fd) as i32);
        io::begin(thread, READ_SIDE, file, Place::of_file(file));
        if enabled!(STREAM_IO) {
            thread.side[READ_SIDE].offset =
                io::offset_at(thread, READ_SIDE, file, member!(spec.offset), member!(spec.read_offset));
        }
    }
    let write_fd = member!(spec.write_fd);
    let file = match action {
        call::SYNC_ALL => core::ptr::null(),
        call::SYNC_MAPPING => {
            if thread.args[2] & MS_SYNC == 0 {
                return false;
            }
            mapping::file_at::<FIND>(thread.args[0])
        }
        _ if write_fd != NONE => file::of_descriptor(argument(thread, write_fd) as i32),
        _ => return true,
    };
    let place = if action == call::SYNC_FS { Place::of_mount(file) } else { Place::of_file(file) };
    if action == call::SYNC_ALL {
        io::begin_all(thread);
    } else {
        io::begin(thread, WRITE_SIDE, file, place);
    }
    if enabled!(STREAM_IO) {
        thread.side[WRITE_SIDE].offset =
            io::offset_at(thread, WRITE_SIDE, file, member!(spec.offset), member!(spec.write_offset));
    }
    true
}

/// End of a system call, where its number is at hand.
#[inline(always)]
pub fn exit(regs: Registers<true>, ret: i64) -> Option<()> {
    let number = regs.number();
    let (spec, compat) = spec(number)?;
    let pid_tgid = bpf_get_current_pid_tgid();
    let (thread, end_ns) = if is_at_end(spec) {
        let thread = whole(pid_tgid, regs, number, spec, compat)?;
        let no_latency = thread.begin_ns;
        (thread, no_latency)
    } else {
        let end_ns = now();
        (begun(pid_tgid, spec)?, end_ns)
    };
    // One call of it for both: the verifier looks at it twice already.
    end(thread, spec, ret, end_ns)
}

/// The record of a thread whose call was seen to begin.
#[inline(always)]
fn begun(pid_tgid: u64, spec: Spec) -> Option<&'static mut Thread> {
    // Without a record the thread is not to be traced, or its call began before tracing did.
    let thread = task::find(pid_tgid as u32)?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let thread = unsafe { &mut *thread };
    if thread.call != member!(spec.call) as u32 {
        // A thread that was first seen inside a call, by what io_uring or a page fault did, has not begun any yet.
        let has_begun = thread.begin_ns != 0;
        if has_begun && filter::thread_wanted(pid_tgid) && member!(spec.action) != call::SYNC_MAPPING {
            count(loss::UNMATCHED);
        }
        return None;
    }
    Some(thread)
}

/// A call that is looked at when it ends.
#[inline(always)]
fn whole(pid_tgid: u64, regs: Registers<true>, number: i64, spec: Spec, compat: u32) -> Option<&'static mut Thread> {
    if !filter::thread_wanted(pid_tgid) {
        return None;
    }
    let thread = begin::<false, true, true>(pid_tgid, regs, spec, compat)?;
    let action = member!(spec.action);
    if action == call::OPEN || action == call::TRUNCATE_NAMED || call::is_naming(action) {
        // Its record has a time and a number.
        thread.begin_ns = now();
        thread.number = number_of(number, compat);
    }
    Some(thread)
}

/// End of a system call of which only the result is at hand: it is the one that the thread has begun.
#[inline(always)]
pub fn returned(ret: i64) -> Option<()> {
    let end_ns = now();
    let thread = task::find(bpf_get_current_pid_tgid() as u32)?;
    // SAFETY: as in `exit`.
    let thread = unsafe { &mut *thread };
    if thread.call == 0 {
        return None;
    }
    let spec = Spec::of(thread.number)?;
    end(thread, spec, ret, end_ns)
}

#[inline(always)]
fn end(thread: &mut Thread, spec: Spec, ret: i64, end_ns: u64) -> Option<()> {
    thread.call = 0;
    match member!(spec.action) {
        call::SUBMIT => {
            aio::aio_submitted(thread.args[1], thread.args[2], ret);
            return Some(());
        }
        call::REAP => {
            aio::aio_reaped(thread.args[3], ret);
            return Some(());
        }
        _ => {}
    }
    let action = member!(spec.action);
    let copy_up_ns = if enabled!(COPY_UPS) && call::copies_up(action) {
        copyup::copy_up_ended(thread.number, ret, end_ns)
    } else {
        0
    };
    let latency_ns = end_ns.saturating_sub(thread.begin_ns);
    if !filter::result_wanted(latency_ns, ret < 0) {
        return None;
    }
    // Without opens the verifier need not look at their path walk.
    if enabled!(OPENS) && (action == call::OPEN || action == call::TRUNCATE_NAMED) {
        open::named_ends(thread.number, ret, latency_ns, copy_up_ns);
        return Some(());
    }
    if enabled!(NAMING) && call::is_naming(action) {
        naming::naming_ends(thread.number, ret, latency_ns);
        return Some(());
    }
    io::end(thread, spec, READ_SIDE, ret, latency_ns);
    io::end(thread, spec, WRITE_SIDE, ret, latency_ns);
    Some(())
}
