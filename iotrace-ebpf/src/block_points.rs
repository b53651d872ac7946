//! Entry points of block requests: as those in `main.rs`.
//!
//! Where programs at tracepoints can be preempted, probes stand before them: at the functions that call the programs of a tracepoint
//! (`__traceiter_NAME` of include/linux/tracepoint.h, with the tracepoint's arguments behind one of its own).

use crate::{
    block, flush,
    kernel::{Pointer, cast, offset, read},
    sender,
};
use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, kprobe},
    programs::{BtfTracePointContext, ProbeContext},
};
use aya_log_ebpf::debug;

/// `block_rq_insert(struct request *rq)` since 5.11
#[btf_tracepoint(function = "block_rq_insert")]
pub fn block_rq_insert(ctx: BtfTracePointContext) -> i32 {
    block::inserted(ctx.arg(0));
    0
}

/// As [`block_rq_insert`]
#[kprobe]
pub fn block_rq_insert_probe(ctx: ProbeContext) -> u32 {
    block::inserted(request(&ctx));
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

/// As [`block_rq_issue`]
#[kprobe]
pub fn block_rq_issue_probe(ctx: ProbeContext) -> u32 {
    block::issued(request(&ctx));
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

/// As [`block_rq_merge`]
#[kprobe]
pub fn block_rq_merge_probe(ctx: ProbeContext) -> u32 {
    block::merged(request(&ctx));
    0
}

/// `block_rq_complete(struct request *rq, blk_status_t error, unsigned int nr_bytes)`; `int error` until 5.15
#[btf_tracepoint(function = "block_rq_complete")]
pub fn block_rq_complete(ctx: BtfTracePointContext) -> i32 {
    completed(&ctx, ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

/// As [`block_rq_complete`]
#[kprobe]
pub fn block_rq_complete_probe(ctx: ProbeContext) -> u32 {
    let registers = ctx.as_ptr().cast::<u8>();
    let (error, bytes) = (read(registers, offset!(regs_parameter2)), read(registers, offset!(regs_parameter3)));
    completed(&ctx, request(&ctx), error, bytes);
    0
}

/// `block_bio_queue(struct bio *bio)` since 5.11
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_queued(ctx: BtfTracePointContext) -> i32 {
    queued(ctx.arg(0));
    0
}

/// As [`bio_queued`]
#[kprobe]
pub fn bio_queued_probe(ctx: ProbeContext) -> u32 {
    queued(cast(argument(&ctx), offset!(type_bio)));
    0
}

/// `block_bio_queue(struct request_queue *q, struct bio *bio)` until 5.10, also where those of requests have lost the queue (5.10.262)
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_queued_queue(ctx: BtfTracePointContext) -> i32 {
    queued(ctx.arg(1));
    0
}

/// The first argument of the tracepoint.
#[inline(always)]
fn argument(ctx: &ProbeContext) -> Pointer {
    read(ctx.as_ptr().cast::<u8>(), offset!(regs_parameter1))
}

/// The same, a request: plain loads then will do, as at the tracepoint.
#[inline(always)]
fn request(ctx: &ProbeContext) -> Pointer {
    cast(argument(ctx), offset!(type_request))
}

#[inline(always)]
fn completed(ctx: &impl EbpfContext, request: Pointer, error: i32, bytes: u32) {
    if block::completed(request, error, bytes).is_some() {
        debug!(ctx, "request completed: {} bytes", bytes);
    }
}

#[inline(always)]
fn queued(bio: Pointer) {
    flush::asked(bio);
    sender::sent(bio);
}
