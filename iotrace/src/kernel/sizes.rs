//! How large the maps are.

use crate::kernel::{budget::Shares, marks::Constants, object::Sizes, plan::Plan};
use iotrace_common::{
    config::{SCRATCHES, SCRATCHES_AGAIN, TURNS},
    layout::ABSENT,
};
use std::{collections::HashMap, path::Path};

/// Entries of a map that a command does not use.
const UNUSED: u32 = 1;
/// A ring buffer must at least be a page (the largest page size of arm64 included).
const SMALLEST_RING: u32 = 65536;

/// Maps whose size depends on the kernel's types.
pub(super) const BY_TYPES: [&str; 2] = ["SENDERS", "SCRATCH"];

/// The sizes of the maps, but for [`BY_TYPES`].
pub(super) fn known(plan: &Plan, shares: &Shares) -> Sizes<'static> {
    let mut sizes = HashMap::from([
        ("EVENTS", plan.buffer),
        ("FILES", shares.files),
        ("PROCESSES", shares.processes),
        ("SUMS", shares.rows),
        ("SUM_INDEX", shares.rows),
        ("FREE_SUMS", shares.rows),
        ("WRITE_SIZES", shares.rows),
        ("DIRTY_PAGES", shares.dirty_pages),
        ("DIRTY_FILES", shares.dirty_files),
        ("HISTOGRAMS", shares.histograms),
        ("EXTREMES", shares.histograms),
    ]);
    let used = [
        ("THREADS", plan.files.any()),
        ("PLACE_OWNERS", plan.files.any()),
        ("PENDING", plan.files.any()),
        ("ADDING", plan.counts_mappings()),
        ("RECENT", plan.sum),
        ("ERRNOS", plan.errnos),
        ("WRITE_SIZES", plan.write_sizes),
        ("REQUESTS", plan.block()),
        ("CHARGES", plan.stream_block),
        ("FLUSHERS", plan.stream_block),
        ("COPY_UPS", plan.copy_ups),
        ("WAITING", plan.waits),
        ("WAITS", plan.waits),
        ("STACKS", plan.waits),
    ];
    sizes.extend(used.into_iter().filter(|(_, used)| !used).map(|(map, _)| (map, UNUSED)));
    if plan.log_level == 0 {
        sizes.insert("AYA_LOGS", SMALLEST_RING);
    }
    sizes
}

/// The sizes of [`BY_TYPES`].
pub(super) fn by_types(plan: &Plan, constants: &Constants, preempted: bool) -> Sizes<'static> {
    let mut sizes = HashMap::from([("SCRATCH", SCRATCHES + if preempted { (TURNS - 1) * SCRATCHES_AGAIN } else { 0 })]);
    if !plan.stream_block || constants.layout.mapped_whole == ABSENT {
        sizes.insert("SENDERS", UNUSED);
    }
    sizes
}

/// Room for the histograms of reads, writes, flushes and discards of all disks. Each takes 49 KB of the kernel's memory, so there are limits.
pub(super) fn histogram_entries(disks: &Path) -> u32 {
    let disks = std::fs::read_dir(disks).map_or(0, Iterator::count);
    u32::try_from(disks.saturating_mul(4)).unwrap_or(u32::MAX).clamp(64, 1024)
}
