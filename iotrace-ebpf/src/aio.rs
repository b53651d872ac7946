//! Linux AIO: `io_submit` hands requests over, `io_getevents` gets their results.

use crate::{
    file,
    kernel::{read_user, rounds},
    maps::{NEW_PENDING, PENDING, WHO_CALL, count, enabled},
    pending,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::{
    io::{OP_READ, OP_SYNC, OP_WRITE},
    loss,
    pending::{AIO, PendingKey, SYNC_REQUESTED},
};

use crate::io::iovec_length;

/// Requests of one call that are looked at; what is beyond is counted as unmatched.
const BATCH: u64 = 256;
/// Number of `io_submit` in `iotrace_common::call::NAMES`.
const CALL: u32 = 28;
/// RWF_DSYNC | RWF_SYNC of include/uapi/linux/fs.h.
const RWF_DSYNC_SYNC: u32 = 2 | 4;

/// `struct iocb` of include/uapi/linux/aio_abi.h (little-endian).
#[repr(C)]
#[derive(Clone, Copy)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    descriptor: u32,
    buffer: u64,
    length: u64,
    offset: i64,
}

/// `enum` of IOCB_CMD_ in include/uapi/linux/aio_abi.h.
mod command {
    pub const PREAD: u16 = 0;
    pub const PWRITE: u16 = 1;
    pub const FSYNC: u16 = 2;
    pub const FDSYNC: u16 = 3;
    pub const PREADV: u16 = 7;
    pub const PWRITEV: u16 = 8;
}

fn key(iocb: u64) -> PendingKey {
    PendingKey { a: iocb, b: AIO | bpf_get_current_pid_tgid() >> 32 }
}

/// The first requests of a call, until one cannot be read.
#[inline(always)]
fn each_of(number: u64, mut look: impl FnMut(u64) -> bool) {
    let Some(spare) = NEW_PENDING.get_ptr_mut(WHO_CALL) else { return };
    // SAFETY: the map returned a valid pointer. AIO writes zero alone there.
    unsafe { rounds(BATCH as usize, &raw mut (*spare).request, |index| (index as u64) < number && look(index as u64)) };
}

/// `io_submit(ctx, nr, iocbpp)` begins: its requests may be finished before it ends.
///
/// This and the others are global functions that take numbers only, so that the verifier looks at each once. They return nothing of
/// interest.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn aio_submit(number: u64, array: u64) -> u64 {
    each_of(number, |index| submit_one(array, index) != 0);
    0
}

/// `io_submit` ends: what it did not take never was.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn aio_submitted(number: u64, array: u64, ret: i64) -> u64 {
    let taken = if ret > 0 { ret as u64 } else { 0 };
    each_of(number, |index| withdraw_one(array, index, taken) != 0);
    if taken > BATCH {
        count(loss::UNMATCHED);
    }
    0
}

/// `io_getevents(ctx, min_nr, nr, events, timeout)` ends.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn aio_reaped(events: u64, ret: i64) -> u64 {
    let number = if ret > 0 { ret as u64 } else { 0 };
    each_of(number, |index| {
        finish_one(events, index);
        true
    });
    // Behind the loop, which the verifier goes through once for each way that leads to it.
    if number > BATCH {
        count(loss::UNMATCHED);
    }
    0
}

/// One request. 0 when it cannot be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn submit_one(array: u64, index: u64) -> u64 {
    let Some(address) = read_user::<u64>(array.wrapping_add(8 * index)) else { return 0 };
    let Some(iocb) = read_user::<Iocb>(address) else { return 0 };
    let op = match iocb.opcode {
        command::PREAD | command::PREADV if enabled!(READS) => OP_READ,
        command::PWRITE | command::PWRITEV if enabled!(WRITES) => OP_WRITE,
        command::FSYNC | command::FDSYNC if enabled!(SYNCS) => OP_SYNC,
        _ => return 1,
    };
    let Some(pending) = pending::new(bpf_get_current_pid_tgid(), WHO_CALL) else { return 0 };
    pending.call = CALL;
    pending.op = op as u32;
    if op != OP_SYNC {
        pending.offset = iocb.offset as u64;
        pending.requested = match iocb.opcode {
            command::PREADV | command::PWRITEV => iovec_length(iocb.buffer, iocb.length, false),
            _ => iocb.length,
        };
        if iocb.rw_flags & RWF_DSYNC_SYNC != 0 {
            pending.flags |= SYNC_REQUESTED;
        }
    }
    pending::set_file(pending, file::of_descriptor(iocb.descriptor as i32), WHO_CALL);
    pending::begin(key(address), pending);
    1
}

/// Takes one back, unless it is among the first that were `taken`. 0 when it cannot be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn withdraw_one(array: u64, index: u64, taken: u64) -> u64 {
    if index < taken {
        return 1;
    }
    let Some(address) = read_user::<u64>(array.wrapping_add(8 * index)) else { return 0 };
    let _ = PENDING.remove(key(address));
    1
}

/// The result of one: `struct io_event` of include/uapi/linux/aio_abi.h has data, obj, res, res2.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn finish_one(events: u64, index: u64) -> u64 {
    let Some([_, iocb, result, _]) = read_user::<[u64; 4]>(events.wrapping_add(32 * index)) else { return 0 };
    pending::end(key(iocb), result as i64, WHO_CALL);
    1
}
