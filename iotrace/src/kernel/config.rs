//! A plan, as the kernel side's settings have it.

use crate::kernel::{
    block::BlockFacts,
    btf::Btf,
    endings::{Ending, Endings},
    plan::Plan,
};
use iotrace_common::config::{self, Config};

/// So much may wait in the ring buffer until its reader looks by itself.
const WAKE_BYTES: u32 = 256 << 10;

/// Settings for the kernel side.
pub(super) fn of(plan: &Plan, btf: &Btf<'_>, block: &BlockFacts, endings: &Endings, compat: bool) -> Config {
    let filters = &plan.filters;
    let flags = [
        (plan.sum, config::SUM),
        (plan.stream_sync, config::STREAM_SYNC),
        (plan.stream_io, config::STREAM_IO),
        (plan.stream_block, config::STREAM_BLOCK),
        (plan.copy_ups, config::COPY_UPS),
        (plan.stream_copy_ups, config::STREAM_COPY_UPS),
        (plan.histogram.is_some(), config::HISTOGRAM),
        (plan.errnos, config::ERRNOS),
        (plan.write_sizes, config::WRITE_SIZES),
        (plan.failed_opens, config::FAILED_OPENS),
        (plan.open_names, config::OPEN_NAMES),
        (filters.pids.is_some(), config::FILTER_PID),
        (filters.tids.is_some(), config::FILTER_TID),
        (filters.uids.is_some(), config::FILTER_UID),
        (filters.comm.is_some(), config::FILTER_COMM),
        (filters.disks.is_some(), config::FILTER_DISK),
        (filters.failed, config::FILTER_FAILED),
        (filters.by_thread(), config::FILTER_THREAD),
        (filters.failed || filters.min_latency_ns != 0, config::FILTER_RESULT),
        (filters.follow, config::FOLLOW),
        (!filters.ignored.is_empty(), config::IGNORE),
        (compat, config::COMPAT),
        (plan.files.open || plan.files.truncate, config::OPENS),
        (plan.files.naming(), config::NAMING),
        (plan.files.read, config::READS),
        (plan.files.write, config::WRITES),
        (plan.files.sync, config::SYNCS),
        (plan.no_latency, config::AT_END),
        (plan.waits, config::WAITS),
        (cfg!(target_arch = "aarch64"), config::ONLY_64_BIT),
        (btf.function_exists("bpf_task_pt_regs"), config::TASK_REGS),
        (completion_arguments(btf) == Some(4), config::URING_BY_DATA),
        (btf.function_exists("bpf_get_current_task_btf"), config::TASK_BTF),
    ];
    let value = |name| btf.enumerator(name).and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    Config {
        min_latency_ns: filters.min_latency_ns,
        block_ops: block.mask(filters.block_ops.as_deref()),
        flags: flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
        self_pid: std::process::id(),
        kinds: plan.kinds,
        wait_kinds: plan.wait_kinds,
        iowait_bit: btf.bit_offset("task_struct.in_iowait").ok().and_then(|bit| u32::try_from(bit).ok()).unwrap_or(0),
        histogram_flags: plan.histogram.map_or(0, |grouping| block.grouping(grouping)),
        wake_bytes: (plan.buffer / 4).min(WAKE_BYTES),
        page_shift: page_size().trailing_zeros(),
        page_head: value("PG_head"),
        page_swap: match (value("PG_swapcache"), value("PG_swapbacked")) {
            (cache @ 1..32, backed @ 1..32) => 1 << cache | 1 << backed,
            _ => 0,
        },
        direct_flag: libc::O_DIRECT as u32,
        flush_flags: block.flushing(),
        end_direct: endings.address(Ending::Direct),
        end_chain: endings.address(Ending::Chain),
        end_buffer: endings.address(Ending::Buffer),
        end_btrfs: endings.address(Ending::Btrfs),
        end_mapped: endings.address(Ending::Mapped),
        end_crypt: endings.address(Ending::Crypt),
        uring_again: value("REQ_F_REISSUE"),
    }
}

/// Arguments of io_uring's completions: without the request, `user_data` has to tell them apart.
fn completion_arguments(btf: &Btf<'_>) -> Option<usize> {
    Some(btf.tracepoint_parameters("io_uring_complete")?.len() - 1)
}

fn page_size() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}
