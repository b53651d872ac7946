//! Asynchronous operations: submitted by one thread, finished by any.

use crate::{
    file::{self, Place},
    filter,
    kernel::{Pointer, now, offset, read, zero},
    maps::{EVENTS, NEW_PENDING, PENDING, config, count, enabled, scratch_of, wakeup},
    sum, task,
};
use aya_ebpf::helpers::generated;
use iotrace_common::{
    file::kind_bit,
    io::{IO_SYNC, IoRecord, OP_SYNC, OP_WRITE, UNKNOWN},
    loss,
    pending::{AMBIGUOUS, Pending, PendingKey, SYNC_FILE, SYNC_REQUESTED},
    record::{Header, IO},
    sum::WAY_ASYNC,
};

/// O_DSYNC of include/uapi/asm-generic/fcntl.h.
const O_DSYNC: u32 = 0o10000;

/// An empty one to fill, with the current thread in it. `who`: see [`crate::maps::WHO_CALL`].
#[inline(always)]
pub fn new(pid_tgid: u64, who: u32) -> Option<&'static mut Pending> {
    let thread = task::thread(pid_tgid, scratch_of(who))?;
    let pending = NEW_PENDING.get_ptr_mut(who)?;
    // SAFETY: both maps returned valid pointers; the place is this CPU's own, and the thread's record its own. Field by field: a
    // whole one would be put together on the stack first, which has 512 bytes for all functions together.
    unsafe {
        (*pending).born_ns = (*thread).born_ns;
        (*pending).process_start_ns = (*thread).process_start_ns;
        (*pending).task = task::describe();
        (*pending).request = 0;
        // Volatile for the same reason as `zero`.
        (&raw mut (*pending).offset).write_volatile(UNKNOWN);
        (&raw mut (*pending).requested).write_volatile(UNKNOWN);
        zero(&raw mut (*pending).key);
        (&raw mut (*pending).file).write_volatile(0);
        (&raw mut (*pending).file_flags).write_volatile(0);
        (&raw mut (*pending).flags).write_volatile(0);
        Some(&mut *pending)
    }
}

/// Notes which file it is on; null where there is none.
#[inline(always)]
pub fn set_file(pending: &mut Pending, file: Pointer, who: u32) {
    if file.is_null() {
        return;
    }
    let place = Place::of_file(file);
    pending.key = place.key();
    pending.file_flags = read(file, offset!(file_flags));
    if pending.file_flags & O_DSYNC != 0 || place.is_synchronous() {
        pending.flags |= SYNC_FILE;
    }
    pending.file = file::number(&pending.key, place, scratch_of(who));
}

/// It is on its way.
#[inline(always)]
pub fn begin(key: PendingKey, pending: &mut Pending) {
    pending.begin_ns = now();
    if PENDING.get_ptr(key).is_some() {
        pending.flags |= AMBIGUOUS;
    }
    let whole: &Pending = pending;
    if PENDING.insert(key, whole, 0).is_err() {
        count(loss::PENDING_FULL);
    }
}

/// It is finished, and its file was known from the beginning.
#[inline(always)]
pub fn end(key: PendingKey, ret: i64, who: u32) -> Option<()> {
    finished(key, ret, who, |_| {})
}

/// It is finished; `file` tells its file.
#[inline(always)]
pub fn end_with(key: PendingKey, ret: i64, who: u32, file: impl FnOnce(&mut Pending) -> Pointer) -> Option<()> {
    finished(key, ret, who, |pending| {
        let file = file(pending);
        set_file(pending, file, who);
    })
}

#[inline(always)]
fn finished(key: PendingKey, ret: i64, who: u32, complete: impl FnOnce(&mut Pending)) -> Option<()> {
    let end_ns = now();
    let pending = PENDING.get_ptr_mut(key)?;
    // SAFETY: the map returned a valid pointer, and an operation ends once.
    let pending = unsafe { &mut *pending };
    complete(pending);
    if pending.flags & AMBIGUOUS != 0 {
        count(loss::UNMATCHED);
    }
    finish(pending, ret, end_ns.saturating_sub(pending.begin_ns), who);
    let _ = PENDING.remove(key);
    Some(())
}

#[inline(always)]
fn finish(pending: &mut Pending, ret: i64, latency_ns: u64, who: u32) -> Option<()> {
    let mode = pending.key.mode();
    if config!(kinds) & kind_bit(mode) == 0
        || !filter::device_wanted(pending.key.dev)
        || !filter::result_wanted(latency_ns, ret < 0)
    {
        return None;
    }
    count(loss::SEEN);
    let op = pending.op as u8;
    let sync = op == OP_WRITE && ret > 0 && pending.flags & (SYNC_REQUESTED | SYNC_FILE) != 0;
    if enabled!(SUM) {
        // SAFETY: the helper has no preconditions.
        let cpu = unsafe { generated::bpf_get_smp_processor_id() };
        let way = WAY_ASYNC | who << 24 | cpu & 0xff_ffff;
        let owner = sum::Owner {
            born_ns: pending.born_ns,
            process_start_ns: pending.process_start_ns,
            task: &pending.task,
            file: pending.file,
        };
        let slot = sum::slot(&owner, &pending.key, way, who);
        sum::add(slot, who, op, sync, ret, latency_ns);
    }
    if enabled!(STREAM_IO) || (enabled!(STREAM_SYNC) && (op == OP_SYNC || sync)) {
        let Some(mut entry) = EVENTS.reserve::<IoRecord>(0) else {
            count(loss::EVENTS);
            return None;
        };
        entry.write(IoRecord {
            header: Header { kind: IO, len: size_of::<IoRecord>() as u32 },
            begin_ns: pending.begin_ns,
            latency_ns,
            task: pending.task,
            file: pending.file,
            ino: pending.key.ino,
            offset: if op == OP_SYNC { UNKNOWN } else { pending.offset },
            requested: if op == OP_SYNC { UNKNOWN } else { pending.requested },
            ret,
            dev: pending.key.dev,
            file_flags: pending.file_flags,
            mode: mode as u16,
            call: pending.call as u8,
            op,
            flags: if sync { IO_SYNC } else { 0 },
            _pad: [0; 3],
        });
        entry.submit(wakeup());
    }
    Some(())
}
