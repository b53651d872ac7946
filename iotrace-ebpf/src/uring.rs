//! io_uring: requests between submission and completion.
//!
//! They are charged to the thread that submits them, also where the kernel's own threads (`iou-wrk`, `iou-sqp`) carry them out.

use crate::{
    filter, io,
    kernel::{Pointer, current, offset, present, read, read_name},
    maps::{PENDING, WHO_COMPLETE, WHO_SUBMIT, enabled},
    pending,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
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

/// A request was submitted.
#[inline(always)]
pub fn submitted(request: Pointer) -> Option<()> {
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
        describe(pending, request, opcode);
    }
    let key = if enabled!(URING_BY_DATA) {
        PendingKey { a: read(request, offset!(uring_ring)), b: read(request, offset!(uring_user_data)) }
    } else {
        PendingKey { a: request as u64, b: 0 }
    };
    pending::begin(key, pending);
    Some(())
}

/// Where and how much.
#[inline(always)]
fn describe(pending: &mut Pending, request: Pointer, opcode: u8) {
    let command = request.wrapping_add(offset!(uring_command));
    let position: u64 = read(command, offset!(uring_position));
    if position == UNKNOWN {
        pending.flags |= CURRENT_POSITION;
    }
    pending.offset = position;
    let length: u32 = read(command, offset!(uring_length));
    pending.requested = match opcode {
        opcode::READV | opcode::WRITEV | opcode::READV_FIXED | opcode::WRITEV_FIXED => {
            io::iovec_length(read(command, offset!(uring_address)), length as u64, false)
        }
        _ => length as u64,
    };
    if read::<u32>(command, offset!(uring_rw_flags)) & RWF_DSYNC_SYNC != 0 {
        pending.flags |= SYNC_REQUESTED;
    }
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
