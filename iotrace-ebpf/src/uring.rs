//! io_uring: requests between submission and completion.
//!
//! They are charged to the thread that submits them, also where the kernel's own threads (`iou-wrk`, `iou-sqp`) carry them out.

use crate::{
    filter, io,
    kernel::{Pointer, current, offset, present, read, read_name},
    maps::{PENDING, WHO_COMPLETE, WHO_SUBMIT, config, enabled},
    pending,
};
use aya_ebpf::{
    cty::c_void,
    helpers::{bpf_get_current_pid_tgid, generated},
};
use iotrace_common::{
    io::{OP_READ, OP_SYNC, OP_WRITE, UNKNOWN},
    pending::{CURRENT_POSITION, Pending, PendingKey, SYNC_REQUESTED},
};

/// PF_IO_WORKER of include/linux/sched.h: a thread of io_uring.
const PF_IO_WORKER: u32 = 0x10;
/// RWF_DSYNC | RWF_SYNC of include/uapi/linux/fs.h.
const RWF_DSYNC_SYNC: u32 = 2 | 4;
/// Number of `io_uring` in `iotrace_common::call::NAMES`.
const CALL: u32 = 31;
/// S_IFMT, S_IFIFO, S_IFSOCK, S_IFCHR of include/uapi/linux/stat.h.
const S_IFMT: u32 = 0o170000;
const NO_POSITION: [u32; 3] = [0o010000, 0o140000, 0o020000];

/// `enum io_uring_op` of include/uapi/linux/io_uring.h.
mod opcode {
    pub const READV: u8 = 1;
    pub const WRITEV: u8 = 2;
    pub const FSYNC: u8 = 3;
    pub const READ_FIXED: u8 = 4;
    pub const WRITE_FIXED: u8 = 5;
    pub const SYNC_FILE_RANGE: u8 = 8;
    pub const READ: u8 = 22;
    pub const WRITE: u8 = 23;
    pub const READV_FIXED: u8 = 60;
    pub const WRITEV_FIXED: u8 = 61;
}

/// What a request does; `None` when it does not count.
#[inline(always)]
fn operation(opcode: u8) -> Option<u8> {
    match opcode {
        opcode::READV | opcode::READ_FIXED | opcode::READ | opcode::READV_FIXED => enabled!(READS).then_some(OP_READ),
        opcode::WRITEV | opcode::WRITE_FIXED | opcode::WRITE | opcode::WRITEV_FIXED => {
            enabled!(WRITES).then_some(OP_WRITE)
        }
        opcode::FSYNC | opcode::SYNC_FILE_RANGE => enabled!(SYNCS).then_some(OP_SYNC),
        _ => None,
    }
}

/// Members of `struct io_uring_sqe` of include/uapi/linux/io_uring.h: what the caller asked for.
mod entry {
    pub const POSITION: usize = 8;
    pub const ADDRESS: usize = 16;
    pub const LENGTH: usize = 24;
    pub const RW_FLAGS: usize = 28;
}

/// A request was submitted.
#[inline(always)]
pub fn submitted(request: Pointer) -> Option<()> {
    begun(request, |pending, opcode| {
        let command = request.wrapping_add(offset!(uring_command));
        let asked = Asked {
            position: read(command, offset!(uring_position)),
            address: read(command, offset!(uring_address)),
            length: read(command, offset!(uring_length)),
            rw_flags: read(command, offset!(uring_rw_flags)),
        };
        describe(pending, opcode, &asked);
    })
}

/// A request is being submitted: what is asked for is not in it yet.
#[inline(always)]
pub fn prepared(request: Pointer, from: Pointer) -> Option<()> {
    begun(request, |pending, opcode| {
        let asked = Asked {
            position: read(from, entry::POSITION),
            address: read(from, entry::ADDRESS),
            length: read(from, entry::LENGTH),
            rw_flags: read(from, entry::RW_FLAGS),
        };
        describe(pending, opcode, &asked);
    })
}

#[inline(always)]
fn begun(request: Pointer, describe: impl FnOnce(&mut Pending, u8)) -> Option<()> {
    if !(present!(uring_file) && present!(uring_opcode) && present!(uring_command)) {
        return None;
    }
    let opcode: u8 = read(request, offset!(uring_opcode));
    let op = operation(opcode)?;
    let task = current();
    let mut pid_tgid = bpf_get_current_pid_tgid();
    let polled = read::<u32>(task, offset!(task_flags)) & PF_IO_WORKER != 0;
    if polled {
        // The kernel's thread looks for requests itself. Which thread made the ring is not kept: the main thread stands for all.
        pid_tgid = pid_tgid >> 32 << 32 | pid_tgid >> 32;
    }
    if !filter::thread_wanted(pid_tgid) {
        return None;
    }
    let pending = pending::new(pid_tgid, WHO_SUBMIT)?;
    if polled {
        pending.task.pid = (pid_tgid >> 32) as u32;
        pending.task.tid = pid_tgid as u32;
        let leader: Pointer = read(task, offset!(task_group_leader));
        pending.task.comm = read_name(leader, offset!(task_comm));
    }
    pending.call = CALL;
    pending.op = op as u32;
    pending.request = request as u64;
    if op != OP_SYNC {
        describe(pending, opcode);
    }
    let key = if enabled!(URING_BY_DATA) {
        PendingKey { a: read(request, offset!(uring_ring)), b: read(request, offset!(uring_user_data)) }
    } else {
        PendingKey { a: request as u64, b: 0 }
    };
    pending::begin(key, pending);
    Some(())
}

/// What a read or write was asked for.
struct Asked {
    position: u64,
    address: u64,
    length: u32,
    rw_flags: u32,
}

/// Where and how much.
#[inline(always)]
fn describe(pending: &mut Pending, opcode: u8, asked: &Asked) {
    if asked.position == UNKNOWN {
        pending.flags |= CURRENT_POSITION;
    }
    pending.offset = asked.position;
    pending.requested = match opcode {
        opcode::READV | opcode::WRITEV | opcode::READV_FIXED | opcode::WRITEV_FIXED => {
            io::iovec_length(asked.address, asked.length as u64, false)
        }
        _ => asked.length as u64,
    };
    if asked.rw_flags & RWF_DSYNC_SYNC != 0 {
        pending.flags |= SYNC_REQUESTED;
    }
}

/// Requests of a ring are done: `struct io_ring_ctx` has a list of them. Those that a thread of io_uring has told to be done are in it
/// too.
#[inline(always)]
pub fn flushed(ring: Pointer) {
    if !(present!(uring_done) && present!(uring_next)) {
        return;
    }
    let mut next: u64 = read(ring, offset!(uring_done));
    // SAFETY: the helper calls `one_flushed` with the address of `next`, which outlives the call.
    unsafe {
        generated::bpf_loop(FLUSHED_MAX, one_flushed as *mut c_void, (&raw mut next).cast::<c_void>(), 0);
    }
}

/// IORING_MAX_CQ_ENTRIES of io_uring/io_uring.c: more requests cannot be under way in a ring.
const FLUSHED_MAX: u32 = 2 * 32768;

/// Called by `bpf_loop` until there is none left.
#[inline(never)]
extern "C" fn one_flushed(_index: u32, next: *mut u64) -> i64 {
    // SAFETY: the pointer given to the helper.
    let node = unsafe { *next } as Pointer;
    if node.is_null() {
        return 1;
    }
    let request = node.wrapping_sub(offset!(uring_next));
    // SAFETY: as above.
    unsafe { *next = read(node, 0) };
    told(request);
    0
}

/// A thread of io_uring has done what it was given: `struct io_wq_work`. Whether the request is done, or still under way, its number
/// of users tells: the thread is one of them, and what is to come another.
#[inline(always)]
pub fn worked(work: Pointer) {
    if !(present!(uring_work) && present!(uring_users)) {
        return;
    }
    let request = work.wrapping_sub(offset!(uring_work));
    if read::<i32>(request, offset!(uring_users)) == 1 {
        told(request);
    }
}

/// A request has a result.
#[inline(always)]
fn told(request: Pointer) -> Option<()> {
    if !(present!(uring_flags) && present!(uring_result)) {
        return None;
    }
    PENDING.get_ptr(PendingKey { a: request as u64, b: 0 })?;
    if read::<u32>(request, offset!(uring_flags)) & config!(uring_again) != 0 {
        return None;
    }
    completed(core::ptr::null(), request, 0, read(request, offset!(uring_result)))
}

/// A request is done: `request` may be null where only the ring and `user_data` are told.
#[inline(always)]
pub fn completed(ring: Pointer, request: Pointer, user_data: u64, result: i32) -> Option<()> {
    let key = if enabled!(URING_BY_DATA) {
        PendingKey { a: ring as u64, b: user_data }
    } else {
        PendingKey { a: request as u64, b: 0 }
    };
    // Most completions of a host are not ours: look before anything else.
    PENDING.get_ptr(key)?;
    let ret = result as i64;
    pending::end_with(key, ret, WHO_COMPLETE, |pending| {
        let request = pending.request as Pointer;
        let file: Pointer = read(request, offset!(uring_file));
        if file.is_null() {
            return file;
        }
        if pending.flags & CURRENT_POSITION != 0 {
            // The position went on with what was moved.
            let command = request.wrapping_add(offset!(uring_command));
            let position: u64 = read(command, offset!(uring_position));
            pending.offset = position.wrapping_sub(if ret > 0 { ret as u64 } else { 0 });
        }
        let inode: Pointer = read(file, offset!(file_inode));
        let kind = read::<u16>(inode, offset!(inode_mode)) as u32 & S_IFMT;
        if kind == NO_POSITION[0] || kind == NO_POSITION[1] || kind == NO_POSITION[2] {
            pending.offset = UNKNOWN;
        }
        file
    })
}
