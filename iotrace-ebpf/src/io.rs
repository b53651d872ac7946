//! Reads, writes and syncs: the same body for every way in.

use crate::{
    calls::{Spec, member},
    file::{self, Place},
    filter,
    kernel::{Pointer, offset, read, read_user, view, zeroed},
    maps::{EVENTS, SCRATCH_ENTER, WHO_CALL, config, count, enabled, wakeup},
    sum, task,
};
use iotrace_common::{
    call::{self, NONE, OFFSET_POINTER, OFFSET_UNKNOWN, OFFSET_VALUE},
    file::{FileKey, STATE_EVERYTHING, kind_bit},
    io::{IO_SYNC, IoRecord, OP_ALLOCATE, OP_READ, OP_SYNC, OP_TRUNCATE, OP_WRITE, UNKNOWN},
    loss,
    record::{Header, IO},
    thread::{READ_SIDE, Side, Thread, WANTED, WRITE_SIDE},
};

/// O_DSYNC and O_APPEND of include/uapi/asm-generic/fcntl.h; O_SYNC holds the bit of O_DSYNC.
const O_DSYNC: u32 = 0o10000;
const O_APPEND: u32 = 0o2000;
/// RWF_DSYNC | RWF_SYNC of include/uapi/linux/fs.h.
const RWF_DSYNC_SYNC: u64 = 2 | 4;
const RWF_APPEND: u64 = 0x10;
/// File types of include/uapi/linux/stat.h; those that have no position.
const S_IFMT: u32 = 0o170000;
const S_IFIFO: u32 = 0o010000;
const S_IFSOCK: u32 = 0o140000;
const S_IFCHR: u32 = 0o020000;
/// Elements of an iovec that are added up; longer ones have no known length.
const IOVECS: usize = 16;

/// An operation on an open file begins. `file` is null where the descriptor is not open, or nothing is mapped.
#[inline(always)]
pub fn begin(thread: &mut Thread, index: usize, file: Pointer, place: Place) {
    let last = &mut thread.side[index];
    if last.known != 0 && !file.is_null() && place.is_still(&last.key, last.inode) {
        return under_way(last, index, file);
    }
    let key = if file.is_null() { no_key() } else { place.key() };
    // Kind 0 is "no file".
    if config!(kinds) & kind_bit(key.mode()) != 0 && filter::device_wanted(key.dev) {
        begin_at(thread, index, file, key, place);
    }
}

/// The identity of no file.
#[inline(always)]
fn no_key() -> FileKey {
    // SAFETY: zeros are a value of it.
    unsafe { zeroed() }
}

/// A sync of everything begins: it has no file, but always counts.
#[inline(always)]
pub fn begin_all(thread: &mut Thread) {
    if !enabled!(FILTER_DISK) {
        let nowhere = Place { mnt: core::ptr::null(), dentry: core::ptr::null(), inode: core::ptr::null() };
        let mut key = no_key();
        key.state = STATE_EVERYTHING;
        begin_at(thread, WRITE_SIDE, core::ptr::null(), key, nowhere);
    }
}

/// The operation on one side of a call counts.
#[inline(always)]
fn under_way(side: &mut Side, index: usize, file: Pointer) {
    side.address = file as u64;
    side.wanted = WANTED;
    // Reads do not sync: of theirs only records tell.
    let tells = enabled!(STREAM_IO) || index == WRITE_SIDE;
    side.file_flags = if tells && !file.is_null() { view!(file, type_file).get(offset!(file_flags)) } else { 0 };
}

#[inline(always)]
fn begin_at(thread: &mut Thread, index: usize, file: Pointer, key: FileKey, place: Place) {
    let side = &mut thread.side[index];
    under_way(side, index, file);
    if side.known != 0 && file::same(&side.key, &key) {
        return;
    }
    side.key = key;
    side.inode = place.inode as u64;
    side.unhashed = place.is_unhashed() as u32;
    side.sync = (!file.is_null() && place.is_synchronous()) as u32;
    side.known = 1;
    let recent = if enabled!(SUM) { sum::recent_place(thread.born_ns, key.ino, key.name as u32 as u64) } else { 0 };
    if enabled!(SUM)
        && let Some((slot, number)) = sum::recent(recent, thread, &key)
    {
        thread.side[index].sum = slot;
        thread.side[index].file = number;
        if enabled!(CAST) {
            sum::note(&thread.side[index]);
        }
        return;
    }
    let number = if file.is_null() { 0 } else { file::number(&key, place, SCRATCH_ENTER) };
    thread.side[index].file = number;
    if !file.is_null() && number == 0 {
        // A path that could not be sent is tried again with the next call.
        thread.side[index].known = 0;
        thread.side[index].inode = 0;
    }
    if enabled!(SUM) {
        let task = task::describe();
        let owner = sum::Owner {
            born_ns: thread.born_ns,
            process_start_ns: thread.process_start_ns,
            task: &task,
            file: number,
        };
        let slot = sum::slot(&owner, &thread.side[index].key, 0, WHO_CALL);
        thread.side[index].sum = slot;
        sum::remember(recent, &thread.side[index]);
    }
}

/// Bytes that a call asks for.
#[inline(always)]
pub fn requested(thread: &Thread, spec: Spec) -> u64 {
    let (length, iovec) = (member!(spec.length), member!(spec.iovec));
    if length != NONE {
        return thread.args[(length & 7) as usize];
    }
    if iovec == NONE {
        return UNKNOWN;
    }
    let address = thread.args[(iovec & 7) as usize];
    let elements = thread.args[((iovec + 1) & 7) as usize];
    iovec_length(address, elements, member!(spec.short_iovec) != 0)
}

/// Bytes of an iovec of the current task; `short`: of a 32-bit task.
#[inline(always)]
pub fn iovec_length(address: u64, elements: u64, short: bool) -> u64 {
    if elements > IOVECS as u64 {
        return UNKNOWN;
    }
    let mut total = 0u64;
    for element in 0..IOVECS {
        if element as u64 >= elements {
            break;
        }
        // struct iovec, and struct compat_iovec: base, length.
        let length = if short {
            read_user::<[u32; 2]>(address.wrapping_add(8 * element as u64)).map(|[_, length]| length as u64)
        } else {
            read_user::<[u64; 2]>(address.wrapping_add(16 * element as u64)).map(|[_, length]| length)
        };
        let Some(length) = length else { return UNKNOWN };
        total = total.wrapping_add(length);
    }
    total
}

/// Where in the file a call begins; for what has no position, [`UNKNOWN`].
#[inline(always)]
pub fn offset_at(thread: &Thread, index: usize, file: Pointer, how: u8, argument: u8) -> u64 {
    if how == OFFSET_UNKNOWN {
        return UNKNOWN;
    }
    if argument != NONE && how == OFFSET_VALUE {
        let value = thread.args[(argument & 7) as usize];
        // preadv2 and pwritev2 take -1 for the file's own position.
        if value as i64 != -1 {
            return value;
        }
    }
    if argument != NONE && how == OFFSET_POINTER {
        let address = thread.args[(argument & 7) as usize];
        if address != 0 {
            return read_user(address).unwrap_or(UNKNOWN);
        }
    }
    let kind = thread.side[index].key.mode() & S_IFMT;
    if file.is_null() || kind == S_IFIFO || kind == S_IFSOCK || kind == S_IFCHR {
        return UNKNOWN;
    }
    view!(file, type_file).get(offset!(file_pos))
}

/// The operation on one side of a call ends.
#[inline(always)]
pub fn end(thread: &Thread, spec: Spec, index: usize, ret: i64, latency_ns: u64) {
    let side = &thread.side[index];
    if side.wanted != WANTED {
        return;
    }
    let op = match member!(spec.action) {
        call::MOVE if index == READ_SIDE => OP_READ,
        call::MOVE => OP_WRITE,
        call::ALLOCATE => OP_ALLOCATE,
        call::TRUNCATE => OP_TRUNCATE,
        _ => OP_SYNC,
    };
    let rw_flags = match member!(spec.rw_flags) {
        NONE => 0,
        argument => thread.args[(argument & 7) as usize],
    };
    let sync = op == OP_WRITE
        && ret > 0
        && (side.sync != 0 || side.file_flags & O_DSYNC != 0 || rw_flags & RWF_DSYNC_SYNC != 0);
    count(loss::SEEN);
    if enabled!(SUM) {
        sum::add(side.sum, WHO_CALL, op, sync, ret, latency_ns);
    }
    if enabled!(STREAM_IO) || (enabled!(STREAM_SYNC) && (op == OP_SYNC || sync)) {
        let positioned = member!(spec.write_offset) != NONE;
        let append = side.file_flags & O_APPEND != 0 || rw_flags & RWF_APPEND != 0;
        let mut offset = if op == OP_SYNC || !enabled!(STREAM_IO) { UNKNOWN } else { side.offset };
        if op == OP_WRITE && append && offset != UNKNOWN {
            // The end of the file was found inside the call: the position, unless the call left it alone, is now behind it.
            let end =
                if ret > 0 && !positioned { read::<u64>(side.address as Pointer, offset!(file_pos)) } else { UNKNOWN };
            offset = if end == UNKNOWN { UNKNOWN } else { end.wrapping_sub(ret as u64) };
        }
        send(thread, side, member!(spec.call), op, sync, offset, ret, latency_ns);
    }
}

/// Sends a record of a finished operation.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // a structure for them would only be spilled
pub fn send(thread: &Thread, side: &Side, call: u8, op: u8, sync: bool, offset: u64, ret: i64, latency_ns: u64) {
    let Some(mut entry) = EVENTS.reserve::<IoRecord>(0) else {
        return count(loss::EVENTS);
    };
    entry.write(IoRecord {
        header: Header { kind: IO, len: size_of::<IoRecord>() as u32 },
        begin_ns: thread.begin_ns,
        latency_ns,
        task: task::describe(),
        file: side.file,
        ino: side.key.ino,
        offset,
        requested: if op == OP_SYNC { UNKNOWN } else { thread.requested },
        ret,
        dev: side.key.dev,
        file_flags: side.file_flags,
        mode: side.key.mode() as u16,
        call,
        op,
        flags: if sync { IO_SYNC } else { 0 },
        _pad: [0; 3],
    });
    entry.submit(wakeup());
}
