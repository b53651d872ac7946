//! The kernel side of iotrace: entry points only. Each picks its arguments and calls the body of its subject.
//!
//! Prototypes are those of the tracepoints, with the kernel version where they changed.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod block;
mod calls;
mod file;
mod filter;
mod io;
mod kernel;
mod latency;
mod mapping;
mod maps;
mod open;
mod path;
mod process;
mod sum;
mod task;

use aya_ebpf::{
    macros::{btf_tracepoint, fentry, fexit, kprobe, kretprobe},
    programs::{BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;

/// `sys_enter(struct pt_regs *regs, long id)`, where the kernel has `bpf_find_vma`
#[btf_tracepoint(function = "sys_enter")]
pub fn sys_enter(ctx: BtfTracePointContext) -> i32 {
    enter::<true>(&ctx)
}

/// The same until 5.16
#[btf_tracepoint(function = "sys_enter")]
pub fn sys_enter_no_vma(ctx: BtfTracePointContext) -> i32 {
    enter::<false>(&ctx)
}

#[inline(always)]
fn enter<const FIND: bool>(ctx: &BtfTracePointContext) -> i32 {
    if calls::enter::<FIND>(ctx.arg(0), ctx.arg(1)).is_some() {
        debug!(ctx, "enter call {}", ctx.arg::<i64>(1));
    }
    0
}

/// `sys_exit(struct pt_regs *regs, long ret)`
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    if calls::exit(ctx.arg(0), ctx.arg(1)).is_some() {
        debug!(&ctx, "exit: {}", ctx.arg::<i64>(1));
    }
    0
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
pub fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    process::forked(ctx.arg(0), ctx.arg(1));
    0
}

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    process::executed(ctx.arg(0));
    0
}

/// `sched_process_exit(struct task_struct *p)`, with a second argument since 6.16
#[btf_tracepoint(function = "sched_process_exit")]
pub fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    process::exited(ctx.arg(0));
    0
}

/// `block_rq_insert(struct request *rq)` since 5.11
#[btf_tracepoint(function = "block_rq_insert")]
pub fn block_rq_insert(ctx: BtfTracePointContext) -> i32 {
    block::inserted(ctx.arg(0));
    0
}

/// `block_rq_insert(struct request_queue *q, struct request *rq)` until 5.10
#[btf_tracepoint(function = "block_rq_insert")]
pub fn block_rq_insert_queue(ctx: BtfTracePointContext) -> i32 {
    block::inserted(ctx.arg(1));
    0
}

/// `block_rq_issue(struct request *rq)` since 5.11
#[btf_tracepoint(function = "block_rq_issue")]
pub fn block_rq_issue(ctx: BtfTracePointContext) -> i32 {
    block::issued(ctx.arg(0));
    0
}

/// `block_rq_issue(struct request_queue *q, struct request *rq)` until 5.10
#[btf_tracepoint(function = "block_rq_issue")]
pub fn block_rq_issue_queue(ctx: BtfTracePointContext) -> i32 {
    block::issued(ctx.arg(1));
    0
}

/// `block_rq_merge(struct request *rq)` since 5.11
#[btf_tracepoint(function = "block_rq_merge")]
pub fn block_rq_merge(ctx: BtfTracePointContext) -> i32 {
    block::merged(ctx.arg(0));
    0
}

/// `block_rq_complete(struct request *rq, blk_status_t error, unsigned int nr_bytes)`; `int error` until 5.15
#[btf_tracepoint(function = "block_rq_complete")]
pub fn block_rq_complete(ctx: BtfTracePointContext) -> i32 {
    if block::completed(ctx.arg(0), ctx.arg(1), ctx.arg(2)).is_some() {
        debug!(&ctx, "request completed: {} bytes", ctx.arg::<u32>(2));
    }
    0
}

/// `iotrace doctor` attaches it for a moment, to see whether this kernel takes programs of this kind.
#[fentry(function = "vfs_read")]
pub fn trial_fentry(_: FEntryContext) -> i32 {
    0
}

/// As [`trial_fentry`].
#[fexit(function = "vfs_read")]
pub fn trial_fexit(_: FExitContext) -> i32 {
    0
}

/// As [`trial_fentry`].
#[kprobe(function = "vfs_read")]
pub fn trial_kprobe(_: ProbeContext) -> u32 {
    0
}

/// As [`trial_fentry`].
#[kretprobe(function = "vfs_read")]
pub fn trial_kretprobe(_: RetProbeContext) -> u32 {
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers that this code calls are for programs under the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
