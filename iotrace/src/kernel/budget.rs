//! How the memory of `--max-memory` is divided among the kernel side's maps and the caches that go with them.
//!
//! What must be known while something is under way (threads, requests, followed processes) has always the same room. The ring buffer
//! has what `--buffer` says. All else is divided: rows, files and processes, in the same proportion whatever the limit.

use crate::{kernel::plan::Plan, resolve::names::Limits};
use iotrace_common::{
    block::{Charges, Dirtier, PageKey, RequestState},
    copyup::CopyUp,
    errno::ErrnoKey,
    file::FileKey,
    pending::{Pending, PendingKey},
    process::ProcessState,
    sum::{FreeSlots, Sum, SumKey},
    thread::Thread,
    wait::{Stack, WaitKey, WaitState, WaitSum},
    write_sizes::WriteSizes,
};

/// The limit where nobody says another, and the ring buffer that is in it.
pub const DEFAULT: u64 = 64 << 20;
/// The same for what traces files, block requests and waits at once: what is under way of all of these has most of the other.
const DEFAULT_OF_ALL: u64 = 128 << 20;
/// The ring buffer that [`DEFAULT`] allows for, and that which is enough where only names pass through it.
pub const DEFAULT_BUFFER: u32 = 8 << 20;
const NAMES_BUFFER: u32 = 4 << 20;
/// What is taken out of it at most while somebody waits for what only files tell.
const KEPT: u64 = 8 << 20;
/// The lowest limit: less would leave too little for rows.
pub const LEAST: u64 = 32 << 20;

/// Places for threads, and as many owners (`maps.rs` of the kernel side).
const PLACES: u64 = 32768;
/// Entries of maps of what is under way.
const UNDER_WAY: u64 = 16384;
/// Entries of maps of what is seldom.
const FEW_UNDER_WAY: u64 = 4096;
/// Entries of the maps of waits that are over, and of the stacks that they happened in.
const WAITS: u64 = 32768;
const STACKS: u64 = 8192;
/// Bytes of histograms of a disk and operation, with the extremes of each CPU.
const HISTOGRAM: u64 = 50 << 10;

/// Bytes of an entry of a hash in the kernel: `struct htab_elem` of kernel/bpf/hashtab.c, its list's head, key and value.
const fn hash<K, V>() -> u64 {
    48 + 16 + (size_of::<K>().next_multiple_of(8) + size_of::<V>().next_multiple_of(8)) as u64
}

/// Bytes of a path and what belongs to it in user space. Longer ones leave room for fewer.
const NAME: u64 = 400;
/// Bytes of a path in a table that is being printed: in the sum, in the row, and in what tells rows apart.
const ROW_PATH: u64 = 128;

/// What is divided: how many of it there are where memory does not matter, and the bytes that one takes, in the kernel and here.
struct Kind {
    most: u64,
    bytes: u64,
}

const ROWS: Kind = Kind {
    most: 65536,
    // Here: what was seen before, what came since, the row, and its path, and what the allocator has for that in all.
    bytes: (size_of::<Sum>() + size_of::<FreeSlots>()) as u64 + hash::<SumKey, u32>() + 1100 + 3 * ROW_PATH,
};
const FILES: Kind = Kind { most: 65536, bytes: hash::<FileKey, u64>() + NAME };
const PROCESSES: Kind = Kind { most: 16384, bytes: hash::<u32, ProcessState>() + 600 };
/// Files that are followed, here alone, with paths of a usual length.
const LIVES: Kind = Kind { most: 32768, bytes: 1500 };
const DIRTY_PAGES: Kind = Kind { most: 65536, bytes: hash::<PageKey, Dirtier>() };
const DIRTY_FILES: Kind = Kind { most: 16384, bytes: hash::<u64, Dirtier>() };

/// Entries of maps and caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Sums, each of which may become a row.
    pub rows: u32,
    /// Files whose paths are known to be sent.
    pub files: u32,
    /// Processes that are known to be announced.
    pub processes: u32,
    /// Files that are followed as they come and go.
    pub lives: u32,
    /// Pages of which is known who made them dirty.
    pub dirty_pages: u32,
    /// Files of which is known who last made a page dirty.
    pub dirty_files: u32,
    /// Histograms of disks and operations.
    pub histograms: u32,
}

impl Shares {
    /// What user space may remember.
    pub fn limits(&self) -> Limits {
        let (files, processes) = (self.files as usize, self.processes as usize);
        Limits { files: files * NAME as usize, processes, host_paths: (files / 8).max(64) }
    }

    /// Bytes of files that are followed.
    pub fn of_lives(&self) -> usize {
        self.lives as usize * LIVES.bytes as usize
    }

    /// Bytes of paths that the sums may keep.
    pub fn row_paths(&self) -> usize {
        self.rows as usize * ROW_PATH as usize
    }
}

/// The ring buffer where nobody says how large, bytes.
pub fn buffer(plan: &Plan) -> u32 {
    let streams = plan.stream_io || plan.stream_sync || plan.stream_copy_ups || plan.stream_block || plan.lives;
    if plan.sum && !streams { NAMES_BUFFER } else { DEFAULT_BUFFER }
}

/// Bytes of records that may wait outside of the ring buffer.
pub fn kept(plan: &Plan) -> u64 {
    KEPT.min(plan.max_memory / 32)
}

/// The limit, bytes: what was asked for, or enough for the plan with its ring buffer.
pub fn limit(asked: Option<u64>, plan: &Plan) -> u64 {
    let usual = if plan.sum && plan.stream_block && plan.waits { DEFAULT_OF_ALL } else { DEFAULT };
    asked.unwrap_or(usual + u64::from(plan.buffer.saturating_sub(DEFAULT_BUFFER)))
}

/// Divides the limit for what a plan asks. `histograms`: room for so many is asked for.
pub fn divide(plan: &Plan, histograms: u32) -> Shares {
    let (files, block, waits) = (plan.files.any(), plan.stream_block, plan.waits);
    let fixed = [
        (true, u64::from(plan.buffer)),
        (true, kept(plan)),
        // Followed processes, the small maps, and what the allocator leaves unused.
        (true, UNDER_WAY * hash::<u32, u8>() + (3 << 20)),
        (files, PLACES * (size_of::<Thread>() as u64 + hash::<u32, u32>())),
        (files, UNDER_WAY * hash::<PendingKey, Pending>()),
        (plan.counts_mappings(), FEW_UNDER_WAY * hash::<u32, u64>()),
        (plan.errnos, FEW_UNDER_WAY * hash::<ErrnoKey, u64>()),
        (waits, UNDER_WAY * hash::<u32, WaitState>()),
        (waits, WAITS * hash::<WaitKey, WaitSum>()),
        (waits, STACKS * hash::<u64, Stack>()),
        (plan.copy_ups, FEW_UNDER_WAY * hash::<u32, CopyUp>()),
        (plan.block(), UNDER_WAY * hash::<u64, RequestState>()),
        (block, UNDER_WAY * hash::<u64, Charges>()),
    ];
    let fixed: u64 = fixed.iter().filter(|(used, _)| *used).map(|(_, bytes)| bytes).sum();
    let mut left = plan.max_memory.saturating_sub(fixed);
    let histograms = if plan.histogram.is_some() {
        let fit = (left / 2 / HISTOGRAM).clamp(1, u64::from(histograms.max(1)));
        left -= fit * HISTOGRAM;
        fit as u32
    } else {
        1
    };
    let sizes = if plan.write_sizes { size_of::<WriteSizes>() as u64 } else { 0 };
    let kinds = [
        (plan.sum, Kind { bytes: ROWS.bytes + sizes, ..ROWS }),
        (files || block || waits, FILES),
        (files || block || waits, PROCESSES),
        (plan.lives, LIVES),
        (block, DIRTY_PAGES),
        (block, DIRTY_FILES),
    ];
    let whole: u64 = kinds.iter().filter(|(used, _)| *used).map(|(_, kind)| kind.most * kind.bytes).sum();
    // As many as memory allows. More than `most` where it allows more, but no map needs more entries than that.
    const LARGEST: u64 = 1 << 20;
    let share = |(used, kind): &(bool, Kind)| {
        let entries = u128::from(kind.most) * u128::from(left) / u128::from(whole.max(1));
        if *used { (entries as u64).clamp(64, LARGEST) as u32 } else { 1 }
    };
    let [rows, files, processes, lives, dirty_pages, dirty_files] = kinds.map(|kind| share(&kind));
    Shares {
        rows: rows / RUN * RUN + u32::from(rows < RUN),
        files,
        processes,
        lives,
        dirty_pages,
        dirty_files,
        histograms,
    }
}

/// Slots of sums that a CPU takes at once: there are only whole runs.
pub const RUN: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{calls::FileOps, plan::Grouping};

    fn plans() -> Vec<Plan> {
        let files = FileOps::ALL;
        let plan = Plan { max_memory: DEFAULT, ..Plan::default() };
        [
            Plan { files, sum: true, ..plan.clone() },
            Plan { files, stream_io: true, ..plan.clone() },
            Plan { files, stream_io: true, stream_block: true, ..plan.clone() },
            Plan { stream_block: true, histogram: Some(Grouping::Operation), ..plan.clone() },
            Plan { files, sum: true, lives: true, ..plan },
        ]
        .into_iter()
        .map(|plan| Plan { buffer: buffer(&plan), ..plan })
        .collect()
    }

    #[test]
    fn all_shares_together_stay_below_the_limit_and_grow_with_it() {
        for plan in plans() {
            let mut before = Shares::default();
            for max_memory in [LEAST, DEFAULT, 256 << 20, 1 << 30] {
                let shares = divide(&Plan { max_memory, ..plan.clone() }, 64);
                let bytes = u64::from(shares.rows) * ROWS.bytes
                    + u64::from(shares.files) * FILES.bytes
                    + u64::from(shares.processes) * PROCESSES.bytes
                    + u64::from(shares.lives) * LIVES.bytes
                    + u64::from(shares.dirty_pages) * DIRTY_PAGES.bytes
                    + u64::from(shares.dirty_files) * DIRTY_FILES.bytes
                    + u64::from(shares.histograms) * HISTOGRAM
                    + u64::from(plan.buffer)
                    + kept(&plan);
                assert!(bytes <= max_memory, "{max_memory}: {bytes} {shares:?}");
                assert!(shares.rows >= before.rows && shares.files >= before.files, "{shares:?}");
                before = shares;
            }
        }
    }

    #[test]
    fn rows_are_whole_runs_and_what_is_not_used_has_one_entry() {
        let shares: Vec<Shares> = plans().iter().map(|plan| divide(plan, 64)).collect();
        assert!(shares[0].rows.is_multiple_of(RUN) && shares[0].rows > 10_000, "{shares:?}");
        assert_eq!((shares[0].dirty_pages, shares[0].histograms, shares[1].rows, shares[2].rows), (1, 1, 1, 1));
        assert_eq!(shares[3].histograms, 64);
    }

    #[test]
    fn the_numbers_in_docs_running_md() {
        let plan = plans().remove(0);
        for (mib, expected) in
            [(32, (2_560, 2_587, 646)), (64, (15_232, 15_295, 3_823)), (256, (91_520, 91_540, 22_885))]
        {
            let shares = divide(&Plan { max_memory: mib << 20, ..plan.clone() }, 64);
            assert_eq!((shares.rows, shares.files, shares.processes), expected, "{mib}");
        }
        assert_eq!((ROWS.bytes, FILES.bytes, PROCESSES.bytes), (1868, 520, 680));
    }

    #[test]
    fn names_take_a_smaller_ring_buffer_than_events() {
        assert_eq!(plans().iter().map(|plan| plan.buffer >> 20).collect::<Vec<_>>(), [4, 8, 8, 8, 8]);
    }

    #[test]
    fn a_larger_ring_buffer_raises_the_limit_unless_one_is_asked_for() {
        let plan = |buffer| Plan { buffer, ..Plan::default() };
        assert_eq!(limit(None, &plan(64 << 10)), DEFAULT);
        assert_eq!(limit(None, &plan(64 << 20)), DEFAULT + (56 << 20));
        assert_eq!(limit(Some(1 << 30), &plan(64 << 20)), 1 << 30);
    }

    #[test]
    fn what_traces_all_at_once_has_room_for_rows_too() {
        let plan =
            Plan { files: FileOps::ALL, sum: true, lives: true, waits: true, stream_block: true, ..Plan::default() };
        let plan = Plan { buffer: buffer(&plan), histogram: Some(Grouping::Operation), ..plan };
        let rows = |max_memory| divide(&Plan { max_memory, ..plan.clone() }, 64).rows;
        assert!(rows(DEFAULT) < 4096, "{}", rows(DEFAULT));
        assert!(rows(limit(None, &plan)) > 16_384, "{}", rows(limit(None, &plan)));
    }
}
