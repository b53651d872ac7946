//! The sync ledger: who syncs which file how often, and what it costs.

use crate::{
    event::io::{Io, Operation},
    resolve::names::Names,
    view::{
        group::Key,
        latencies::Latencies,
        top::{By, Delta, Look, Row, Sort, keyed},
    },
};
use iotrace_common::sum::Counters;
use std::collections::{HashMap, HashSet, hash_map::Entry};

/// Whose latencies: as much as an event tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    pid: u32,
    /// Where rows are of threads.
    tid: Option<u32>,
    dev: Option<u32>,
    path: Option<Vec<u8>>,
    /// Of a file without a path.
    ino: Option<u64>,
    /// Syncs of all file systems, which have no file either.
    everything: bool,
}

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
        self.row.counters.all_syncs()
    }

    /// Time in syncs of both kinds, nanoseconds.
    pub fn total_ns(&self) -> u64 {
        self.row.counters.all_syncs_ns()
    }
}

/// Collects the latencies of single syncs for their percentiles.
#[derive(Debug, Default)]
pub struct Ledger {
    by: By,
    latencies: HashMap<Source, Latencies>,
    /// Bytes of these.
    bytes: usize,
}

/// Bytes of latencies between two looks. What finds no room leaves its row without percentiles.
const ROOM: usize = 8 << 20;

impl Ledger {
    /// One whose rows are of this.
    pub fn new(by: By) -> Self {
        Self { by, ..Self::default() }
    }

    /// Takes one sync, or one write that syncs by itself.
    pub fn add(&mut self, io: &Io, names: &Names) {
        if io.operation != Operation::Fsync && !io.sync {
            return;
        }
        let file = names.file(io.file);
        let path = file.and_then(|file| file.file.path.clone());
        let source = Source {
            pid: io.task.pid,
            tid: (self.by == By::Thread).then_some(io.task.tid),
            dev: io.inode.map(|(_, dev)| dev).or_else(|| file.map(|file| file.file.key.dev)),
            ino: io.inode.map(|(ino, _)| ino).filter(|_| path.is_none()),
            path,
            everything: io.call == "sync",
        };
        if self.bytes > ROOM {
            return;
        }
        let path = source.path.as_ref().map_or(0, Vec::len);
        let latencies = match self.latencies.entry(source) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                self.bytes += size_of::<Source>() + path;
                new.insert(Latencies::default())
            }
        };
        let before = if latencies.len() == 0 { 0 } else { latencies.bytes() };
        latencies.record(io.latency_ns);
        self.bytes = (self.bytes + latencies.bytes()).saturating_sub(before);
    }

    /// The rows that synced, the most expensive first; then begins anew. A row has the files that it synced, with all that it wrote
    /// to them.
    pub fn rows(&mut self, deltas: &[Delta], other: Option<Counters>) -> Vec<SyncRow> {
        // What was done through mappings is no write.
        let look = Look { calls: synced(deltas, self.by), ..Look::default() };
        let latencies = self.by_row(&look.calls);
        let mut found: Vec<SyncRow> = keyed(&look, other, self.by, Sort::Syncs)
            .into_iter()
            .filter(|(_, row)| row.counters.all_syncs() > 0)
            .map(|(key, mut row)| {
                let seen = key.and_then(|key| latencies.get(&key)?.as_ref());
                if let Some(seen) = seen {
                    row.counters.sync_max_ns = seen.longest();
                }
                SyncRow { row, percentiles: seen.map(Latencies::percentiles) }
            })
            .collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.total_ns()));
        self.latencies.clear();
        self.bytes = 0;
        found
    }

    /// The latencies of each row; `None` where not every sync was seen.
    fn by_row(&self, deltas: &[Delta]) -> HashMap<Key, Option<Latencies>> {
        let mut counted: HashMap<(Key, Source), u64> = HashMap::new();
        for delta in deltas {
            *counted.entry((Key::of(delta, self.by), self.source(delta))).or_default() += delta.counters.all_syncs();
        }
        let mut rows = HashMap::new();
        for ((key, source), count) in counted {
            let row = rows.entry(key).or_insert_with(|| Some(Latencies::default()));
            let seen = self.latencies.get(&source);
            match (row.as_mut(), seen.filter(|seen| seen.len() == count)) {
                (Some(row), Some(seen)) => row.add(seen),
                _ if count == 0 && seen.is_none() => {}
                _ => *row = None,
            }
        }
        rows
    }

    /// Whose latencies the events of these sums are.
    fn source(&self, delta: &Delta) -> Source {
        let path = delta.file.as_ref().and_then(|file| file.file.path.clone());
        Source {
            pid: delta.pid,
            tid: (self.by == By::Thread).then_some(delta.tid),
            dev: delta.dev(),
            ino: delta.inode.map(|(_, ino)| ino).filter(|_| path.is_none()),
            path,
            everything: delta.everything,
        }
    }
}

/// What was done to files by rows that synced them.
fn synced(deltas: &[Delta], by: By) -> Vec<Delta> {
    let key = |delta: &Delta| (Key::of(delta, by), Key::of(delta, By::File));
    let known: HashSet<_> = deltas.iter().filter(|delta| delta.counters.all_syncs() > 0).map(key).collect();
    deltas.iter().filter(|delta| known.contains(&key(delta))).cloned().collect()
}

#[cfg(test)]
#[path = "fsync_tests.rs"]
mod tests;
