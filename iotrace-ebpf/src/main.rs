//! The kernel side of iotrace: entry points only. Each picks its arguments and calls the body of its subject.
//!
//! Prototypes are those of the tracepoints, with the kernel version where they changed.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod aio;
mod block;
mod block_points;
mod calls;
mod charge;
mod copyup;
mod copyup_points;
mod dirtier;
mod errno;
mod file;
mod filter;
mod flush;
mod io;
mod kernel;
mod latency;
mod mapping;
mod maps;
mod mmap;
mod naming;
mod open;
mod overlay;
mod path;
mod pending;
mod process;
mod quick;
mod registers;
mod requests;
mod sender;
mod sum;
mod task;
mod uring;
mod wait;
mod within;
mod write_sizes;

use crate::{
    kernel::{Pointer, offset},
    registers::Registers,
};
use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, fentry, fexit, kprobe, kretprobe},
    programs::{BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use iotrace_common::io::{OP_READ, OP_SYNC, OP_WRITE};

/// `sys_enter(struct pt_regs *regs, long id)`, where the kernel has `bpf_find_vma`
#[btf_tracepoint(function = "sys_enter")]
pub fn sys_enter(ctx: BtfTracePointContext) -> i32 {
    call_begins::<true>(&ctx, ctx.arg(0), ctx.arg(1))
}

/// The same until 5.16
#[btf_tracepoint(function = "sys_enter")]
pub fn sys_enter_no_vma(ctx: BtfTracePointContext) -> i32 {
    call_begins::<false>(&ctx, ctx.arg(0), ctx.arg(1))
}

/// `sys_exit(struct pt_regs *regs, long ret)`
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    call_ends(&ctx, ctx.arg(0), ctx.arg(1))
}

/// `long __x64_sys_read(const struct pt_regs *regs)` and its like
#[fentry]
pub fn call_fentry(ctx: FEntryContext) -> i32 {
    let regs = ctx.arg(0);
    // SAFETY: an argument of a trampoline.
    let number = unsafe { Registers::<true>::new(regs) }.number();
    call_begins::<true>(&ctx, regs, number)
}

/// The same until 5.16
#[fentry]
pub fn call_fentry_no_vma(ctx: FEntryContext) -> i32 {
    let regs = ctx.arg(0);
    // SAFETY: an argument of a trampoline.
    let number = unsafe { Registers::<true>::new(regs) }.number();
    call_begins::<false>(&ctx, regs, number)
}

/// As [`call_fentry`]
#[fexit]
pub fn call_fexit(ctx: FExitContext) -> i32 {
    call_ends(&ctx, ctx.arg(0), ctx.arg(1))
}

/// `long ia32_sys_call(const struct pt_regs *regs, unsigned int nr)`: the result comes third
#[fexit]
pub fn call_fexit_numbered(ctx: FExitContext) -> i32 {
    call_ends(&ctx, ctx.arg(0), ctx.arg(2))
}

/// As [`call_fentry`], of a call that only reads from its first argument
#[fentry]
pub fn call_fentry_read(ctx: FEntryContext) -> i32 {
    quick::begins::<OP_READ>(&ctx, ctx.arg(0))
}

/// As [`call_fentry`], of a call that only writes to its first argument
#[fentry]
pub fn call_fentry_write(ctx: FEntryContext) -> i32 {
    quick::begins::<OP_WRITE>(&ctx, ctx.arg(0))
}

/// As [`call_fentry`], of a call that only syncs its first argument
#[fentry]
pub fn call_fentry_sync(ctx: FEntryContext) -> i32 {
    quick::begins::<OP_SYNC>(&ctx, ctx.arg(0))
}

/// As [`call_fentry`], of a call that has a name
#[fentry]
pub fn call_fentry_named(ctx: FEntryContext) -> i32 {
    quick::begins_named(&ctx, ctx.arg(0))
}

/// The end of [`call_fentry_read`]
#[fexit]
pub fn call_fexit_read(ctx: FExitContext) -> i32 {
    quick::ends::<OP_READ>(&ctx, ctx.arg(0), ctx.arg(1))
}

/// The end of [`call_fentry_write`]
#[fexit]
pub fn call_fexit_write(ctx: FExitContext) -> i32 {
    quick::ends::<OP_WRITE>(&ctx, ctx.arg(0), ctx.arg(1))
}

/// The end of [`call_fentry_sync`]
#[fexit]
pub fn call_fexit_sync(ctx: FExitContext) -> i32 {
    quick::ends::<OP_SYNC>(&ctx, ctx.arg(0), ctx.arg(1))
}

/// As [`call_fentry`]
#[kprobe]
pub fn call_kprobe(ctx: ProbeContext) -> u32 {
    kprobe_begins::<true>(&ctx)
}

/// The same until 5.16
#[kprobe]
pub fn call_kprobe_no_vma(ctx: ProbeContext) -> u32 {
    kprobe_begins::<false>(&ctx)
}

/// `sys_exit(struct pt_regs *regs, long ret)`, where a kretprobe would not see all calls end
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_returned(ctx: BtfTracePointContext) -> i32 {
    let ret = ctx.arg(1);
    if calls::returned(ret).is_some() {
        debug!(&ctx, "exit: {}", ret);
    }
    0
}

/// As [`call_fentry`]
#[kretprobe]
pub fn call_kretprobe(ctx: RetProbeContext) -> u32 {
    let ret = kernel::read::<i64>(ctx.as_ptr().cast::<u8>(), offset!(regs_result));
    if calls::returned(ret).is_some() {
        debug!(&ctx, "exit: {}", ret);
    }
    0
}

#[inline(always)]
fn kprobe_begins<const FIND: bool>(ctx: &ProbeContext) -> u32 {
    let regs = first(ctx);
    // SAFETY: probe reads check the address.
    let regs = unsafe { Registers::<false>::new(regs) };
    let number = regs.number();
    if calls::enter::<FIND, false>(regs, number).is_some() {
        debug!(ctx, "enter call {}", number);
    }
    0
}

/// The first parameter of a function at whose beginning a probe is.
#[inline(always)]
fn first(ctx: &ProbeContext) -> Pointer {
    kernel::read(ctx.as_ptr().cast::<u8>(), offset!(regs_parameter0))
}

/// The second.
#[inline(always)]
fn second(ctx: &ProbeContext) -> Pointer {
    kernel::read(ctx.as_ptr().cast::<u8>(), offset!(regs_parameter1))
}

/// `regs` must be an argument of a tracepoint or a trampoline.
#[inline(always)]
fn call_begins<const FIND: bool>(ctx: &impl EbpfContext, regs: Pointer, number: i64) -> i32 {
    // SAFETY: see above.
    if calls::enter::<FIND, true>(unsafe { Registers::new(regs) }, number).is_some() {
        debug!(ctx, "enter call {}", number);
    }
    0
}

/// `regs` must be an argument of a tracepoint or a trampoline.
#[inline(always)]
fn call_ends(ctx: &impl EbpfContext, regs: Pointer, ret: i64) -> i32 {
    // SAFETY: see above.
    if calls::exit(unsafe { Registers::new(regs) }, ret).is_some() {
        debug!(ctx, "exit: {}", ret);
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

/// `sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)` since 5.18
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch_state(ctx: BtfTracePointContext) -> i32 {
    let preempted = ctx.arg::<u64>(0) & 1 != 0;
    wait::switched(&ctx, preempted, ctx.arg(1), ctx.arg(2), ctx.arg(3));
    0
}

/// `sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next)` until 5.17
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let (preempted, prev) = (ctx.arg::<u64>(0) & 1 != 0, ctx.arg(1));
    wait::switched(&ctx, preempted, prev, ctx.arg(2), wait::state(prev));
    0
}

/// `wake_up_new_task(struct task_struct *p)`: this and the next see processes where programs at tracepoints can be preempted
#[kprobe]
pub fn process_fork(ctx: ProbeContext) -> u32 {
    process::forked(kernel::current(), first(&ctx));
    0
}

/// `setup_new_exec(struct linux_binprm *bprm)`
#[kprobe]
pub fn process_exec(_ctx: ProbeContext) -> u32 {
    process::executed(kernel::current());
    0
}

/// `exit_files(struct task_struct *tsk)`
#[kprobe]
pub fn process_exit(ctx: ProbeContext) -> u32 {
    process::exited(first(&ctx));
    0
}

/// `writeback_dirty_folio(struct folio *folio, struct address_space *mapping)` since 5.18
#[btf_tracepoint(function = "writeback_dirty_folio")]
pub fn dirtier_folio(ctx: BtfTracePointContext) -> i32 {
    dirtier::dirtied(ctx.arg(0), ctx.arg(1));
    0
}

/// `writeback_dirty_page(struct page *page, struct address_space *mapping)` until 5.17
#[btf_tracepoint(function = "writeback_dirty_page")]
pub fn dirtier_page(ctx: BtfTracePointContext) -> i32 {
    dirtier::dirtied(ctx.arg(0), ctx.arg(1));
    0
}

/// `io_uring_submit_req(struct io_kiocb *req)` since 6.3
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn io_uring_submit_req(ctx: BtfTracePointContext) -> i32 {
    uring::submitted(ctx.arg(0));
    0
}

/// `io_uring_submit_sqe(struct io_kiocb *req, bool force_nonblock)` from 5.19 to 6.2
#[btf_tracepoint(function = "io_uring_submit_sqe")]
pub fn io_uring_submit_sqe(ctx: BtfTracePointContext) -> i32 {
    uring::submitted(ctx.arg(0));
    0
}

/// `io_uring_submit_sqe(void *ctx, void *req, u64 user_data, u8 opcode, ...)` from 5.13 to 5.18, and in stable 5.10
#[btf_tracepoint(function = "io_uring_submit_sqe")]
pub fn io_uring_submit_sqe_ring(ctx: BtfTracePointContext) -> i32 {
    uring::submitted(ctx.arg(1));
    0
}

/// `io_uring_complete(struct io_ring_ctx *ctx, void *req, struct io_uring_cqe *cqe)` since 6.15
#[btf_tracepoint(function = "io_uring_complete")]
pub fn io_uring_complete_entry(ctx: BtfTracePointContext) -> i32 {
    // struct io_uring_cqe of include/uapi/linux/io_uring.h: user_data, res, flags.
    let result = kernel::read::<i32>(ctx.arg(2), 8);
    uring::completed(ctx.arg(0), ctx.arg(1), 0, result);
    0
}

/// `io_uring_complete(void *ctx, void *req, u64 user_data, int res, unsigned int cflags, u64 extra1, u64 extra2)` from 5.19
#[btf_tracepoint(function = "io_uring_complete")]
pub fn io_uring_complete(ctx: BtfTracePointContext) -> i32 {
    uring::completed(ctx.arg(0), ctx.arg(1), 0, ctx.arg(3));
    0
}

/// `io_uring_complete(void *ctx, u64 user_data, int res, unsigned int cflags)` until 5.18
#[btf_tracepoint(function = "io_uring_complete")]
pub fn io_uring_complete_data(ctx: BtfTracePointContext) -> i32 {
    uring::completed(ctx.arg(0), core::ptr::null(), ctx.arg(1), ctx.arg(2));
    0
}

/// `io_prep_read(struct io_kiocb *req, const struct io_uring_sqe *sqe)` and its like: this and the next two see io_uring where programs
/// at tracepoints can be preempted
#[kprobe]
pub fn io_uring_prepare(ctx: ProbeContext) -> u32 {
    uring::prepared(first(&ctx), second(&ctx));
    0
}

/// `__io_submit_flush_completions(struct io_ring_ctx *ctx)`
#[kprobe]
pub fn io_uring_flush(ctx: ProbeContext) -> u32 {
    uring::flushed(first(&ctx));
    0
}

/// `io_wq_free_work(struct io_wq_work *work)`
#[kprobe]
pub fn io_uring_work_done(ctx: ProbeContext) -> u32 {
    uring::worked(first(&ctx));
    0
}

/// `__filemap_add_folio(struct address_space *mapping, struct folio *folio, ...)`: this and the next see page faults where programs at
/// tracepoints can be preempted
#[kprobe]
pub fn filemap_adding(ctx: ProbeContext) -> u32 {
    mmap::adding(first(&ctx), second(&ctx));
    0
}

/// The end of the same
#[kretprobe]
pub fn filemap_added(ctx: RetProbeContext) -> u32 {
    mmap::added(kernel::read(ctx.as_ptr().cast::<u8>(), offset!(regs_result)));
    0
}

/// `mm_filemap_add_to_page_cache(struct folio *folio)`, a `struct page *` until 5.15
#[btf_tracepoint(function = "mm_filemap_add_to_page_cache")]
pub fn mm_filemap_add_to_page_cache(ctx: BtfTracePointContext) -> i32 {
    mmap::brought_in(ctx.arg(0));
    0
}

/// `writeback_dirty_folio(struct folio *folio, struct address_space *mapping)` since 5.18
#[btf_tracepoint(function = "writeback_dirty_folio")]
pub fn writeback_dirty_folio(ctx: BtfTracePointContext) -> i32 {
    mmap::dirtied(ctx.arg(0), ctx.arg(1));
    0
}

/// `writeback_dirty_page(struct page *page, struct address_space *mapping)` until 5.17
#[btf_tracepoint(function = "writeback_dirty_page")]
pub fn writeback_dirty_page(ctx: BtfTracePointContext) -> i32 {
    mmap::dirtied(ctx.arg(0), ctx.arg(1));
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
