//! The sync ledger: who syncs which file how often, and what it costs.

use crate::{
    event::io::{Io, Operation},
    resolve::names::Names,
    view::top::{By, Delta, Look, Row, Sort, rows},
};
use hdrhistogram::Histogram;
use iotrace_common::sum::Counters;
use std::collections::HashMap;

/// Whose percentiles.
///
/// The last part: syncs of all file systems, which have no file either.
type Key = (u32, Option<Vec<u8>>, Option<(u32, u64)>, bool);

/// A row: counters as in `top`, and percentiles of the syncs.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncRow {
    /// Who, which file, how often.
    pub row: Row,
    /// Median and 99th percentile, nanoseconds; `None` when not every sync of the row was seen.
    pub percentiles: Option<(u64, u64)>,
}

impl SyncRow {
    /// Syncs of both kinds.
    pub fn syncs(&self) -> u64 {
        self.row.counters.syncs + self.row.counters.sync_writes
    }

    /// Time in syncs of both kinds, nanoseconds.
    pub fn total_ns(&self) -> u64 {
        self.row.counters.sync_ns + self.row.counters.sync_write_ns
    }
}

/// Collects the latencies of single syncs for their percentiles.
#[derive(Debug, Default)]
pub struct Ledger {
    /// With the longest of each: the histogram rounds it.
    latencies: HashMap<Key, (Histogram<u64>, u64)>,
}

impl Ledger {
    /// Takes one sync, or one write that syncs by itself.
    pub fn add(&mut self, io: &Io, names: &Names) {
        if io.operation != Operation::Fsync && !io.sync {
            return;
        }
        let path = names.file(io.file).and_then(|file| file.file.path.clone());
        let inode = io.inode.map(|(ino, dev)| (dev, ino)).filter(|_| path.is_none());
        let histogram = match self.latencies.entry((io.task.pid, path, inode, io.call == "sync")) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                // Three digits, and as long as it must be.
                let Ok(histogram) = Histogram::new(3) else { return };
                new.insert((histogram, 0))
            }
        };
        let (histogram, longest) = histogram;
        *longest = io.latency_ns.max(*longest);
        let _ = histogram.record(io.latency_ns);
    }

    /// The rows that synced, the most expensive first; then begins anew.
    pub fn rows(&mut self, deltas: &[Delta], other: Option<Counters>) -> Vec<SyncRow> {
        // What was done through mappings is no write.
        let look = Look { calls: deltas.to_vec(), ..Look::default() };
        let mut found: Vec<SyncRow> = rows(&look, other, By::ProcessFile, Sort::Syncs)
            .into_iter()
            .filter(|row| row.counters.syncs + row.counters.sync_writes > 0)
            .map(|mut row| {
                let inode = row.dev.zip(row.ino).filter(|_| row.path.is_none());
                let seen = row.pid.and_then(|pid| self.latencies.get(&(pid, row.path.clone(), inode, row.everything)));
                let all = row.counters.syncs + row.counters.sync_writes;
                let seen = seen.filter(|(seen, _)| seen.len() == all);
                if let Some((_, longest)) = seen {
                    row.counters.sync_max_ns = *longest;
                }
                let percentiles = seen
                    .map(|(seen, max)| (seen.value_at_quantile(0.5).min(*max), seen.value_at_quantile(0.99).min(*max)));
                SyncRow { row, percentiles }
            })
            .collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.total_ns()));
        self.latencies.clear();
        found
    }
}

#[cfg(test)]
#[path = "fsync_tests.rs"]
mod tests;
