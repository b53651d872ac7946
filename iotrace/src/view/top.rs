//! Files by I/O.

use crate::{
    event::Comm,
    resolve::{
        Disk, dev_text,
        names::{FileInfo, Names, ProcessInfo},
    },
    view::select::Selection,
};
use iotrace_common::{
    file::STATE_EVERYTHING,
    sum::{Counters, Sum, SumKey},
};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// What a row is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// A process and a file.
    #[default]
    ProcessFile,
    /// A process, all its files together.
    Process,
    /// A thread and a file.
    Thread,
    /// A file, all processes together.
    File,
    /// A directory: the files in it, all processes together.
    Dir,
    /// A disk: the files on it, all processes together.
    Disk,
}

/// What rows are sorted by, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Read calls.
    Reads,
    /// Write calls.
    Writes,
    /// Bytes read.
    ReadBytes,
    /// Bytes written.
    WriteBytes,
    /// Bytes both ways.
    #[default]
    Bytes,
    /// Syncs of both kinds.
    Syncs,
    /// Time in all operations.
    Time,
    /// Calls that failed.
    Errors,
}

impl Sort {
    fn value(self, counters: &Counters) -> u64 {
        match self {
            Self::Reads => counters.reads,
            Self::Writes => counters.writes,
            Self::ReadBytes => counters.read_bytes,
            Self::WriteBytes => counters.write_bytes,
            Self::Bytes => counters.bytes(),
            Self::Syncs => counters.syncs + counters.sync_writes,
            Self::Time => counters.total_ns(),
            Self::Errors => counters.errors,
        }
    }
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Process id, when the row is of one process.
    pub pid: Option<u32>,
    /// Thread id, when the row is of one thread.
    pub tid: Option<u32>,
    /// Name of the process, or of the thread when the row is of one.
    pub comm: Option<Comm>,
    /// What is known of the process.
    pub process: Option<Arc<ProcessInfo>>,
    /// File or directory, when the row is of one that has a name.
    pub path: Option<Vec<u8>>,
    /// Device of the file system.
    pub dev: Option<u32>,
    /// Block device.
    pub disk: Option<Arc<Disk>>,
    /// File system type.
    pub fs: Option<String>,
    /// Inode number, when all operations were on one inode.
    pub ino: Option<u64>,
    /// The row is of syncs of all file systems.
    pub everything: bool,
    /// The counters.
    pub counters: Counters,
}

impl Row {
    /// Device as `MAJOR:MINOR`.
    pub fn dev_text(&self) -> Option<String> {
        self.dev.map(dev_text)
    }
}

/// Name of the row that has what found no room in the kernel's map.
pub const OTHER_FILES: &str = "(other files)";

/// One thread's sum of one file since the last look, with its names.
#[derive(Clone, Debug)]
pub struct Delta {
    /// Slot of the sum.
    pub slot: u32,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread.
    pub comm: Comm,
    /// The process.
    pub process: Option<Arc<ProcessInfo>>,
    /// Start of the process: with `pid`, its identity.
    pub process_start_ns: u64,
    /// The file; `None` when it has none, or its record was lost.
    pub file: Option<Arc<FileInfo>>,
    /// Device and inode number, when there is a file.
    pub inode: Option<(u32, u64)>,
    /// Syncs of all file systems.
    pub everything: bool,
    /// What came since the last look.
    pub counters: Counters,
}

/// A sum as it was at the last look.
#[derive(Debug)]
struct Before {
    key: SumKey,
    pid: u32,
    counters: Counters,
    /// The thread was gone when it was last asked for.
    gone: bool,
    /// The slot was given back, and nobody has taken it since.
    free: bool,
}

/// Turns cumulative sums into what came since the last look.
#[derive(Debug, Default)]
pub struct Differences {
    before: HashMap<u32, Before>,
    files: HashMap<u32, Option<Arc<FileInfo>>>,
    other: Counters,
}

impl Differences {
    /// What came since the last call, of sums that pass the selection.
    pub fn since(
        &mut self,
        sums: impl Iterator<Item = (u32, Sum)>,
        names: &mut Names,
        selection: &Selection,
    ) -> Vec<Delta> {
        let mut deltas = Vec::new();
        for (slot, sum) in sums {
            let known = self.before.get(&slot).filter(|before| before.key == sum.key);
            if known.is_none() {
                self.files.remove(&slot);
            }
            let counters = known.map_or(sum.counters, |before| sum.counters.since(&before.counters));
            // Nothing comes any more; what differs is the next owner's, whose key is not written yet.
            if known.is_some_and(|before| before.free) {
                continue;
            }
            // Read in the middle of an operation, the counts may lag behind the rest: it comes with the next look.
            if known.is_some() && counters.is_empty() {
                continue;
            }
            let gone = known.is_some_and(|before| before.gone);
            let now = Before { key: sum.key, pid: sum.pid, counters: sum.counters, gone, free: false };
            if counters.is_empty() {
                self.before.insert(slot, Before { counters: Counters::default(), ..now });
                continue;
            }
            // Kept here, because the list of names forgets.
            let file = self.files.entry(slot).or_insert_with(|| names.file(sum.file).cloned());
            if file.is_none() && sum.file != 0 {
                *file = names.file(sum.file).cloned();
            }
            let file = file.clone();
            let process = names.process(sum.pid, Some(sum.process_start_ns));
            if file.is_none() && sum.file != 0 && selection.path.is_some() {
                // Its record may still come.
                continue;
            }
            self.before.insert(slot, now);
            let path = file.as_ref().and_then(|file| file.file.path.as_deref());
            if !selection.path(path) || !selection.process(process.as_deref()) {
                continue;
            }
            deltas.push(Delta {
                slot,
                pid: sum.pid,
                tid: sum.key.tid,
                comm: Comm(sum.comm),
                process,
                process_start_ns: sum.process_start_ns,
                file,
                inode: (sum.key.file.mode() != 0).then_some((sum.key.file.dev, sum.key.file.ino)),
                everything: sum.key.file.state & STATE_EVERYTHING != 0,
                counters,
            });
        }
        deltas
    }

    /// What came since the last call of what found no slot.
    pub fn other_since(&mut self, other: Counters) -> Option<Counters> {
        let counters = other.since(&self.other);
        if counters.is_empty() {
            return None;
        }
        self.other = other;
        Some(counters)
    }

    /// Slots that were ever seen in use.
    pub fn used(&self) -> usize {
        self.before.len()
    }

    /// Slots of threads that were gone when they were asked for before the last look: all that they did has been read, so the slots
    /// may be given to others, and count as free from now on. `exists` says whether a process has a thread.
    pub fn finished(&mut self, exists: impl Fn(u32, u32) -> bool) -> Vec<(u32, SumKey)> {
        let mut finished = Vec::new();
        for (slot, before) in self.before.iter_mut().filter(|(_, before)| !before.free) {
            if before.gone {
                before.free = true;
                self.files.remove(slot);
                finished.push((*slot, before.key));
            } else {
                before.gone = !exists(before.pid, before.key.tid);
            }
        }
        finished
    }
}

/// What tells two rows apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    process: Option<(u32, u64)>,
    tid: Option<u32>,
    dev: Option<u32>,
    path: Option<Vec<u8>>,
    // A file whose path is not known is at least told apart by its inode.
    ino: Option<u64>,
    everything: bool,
}

/// Groups by what rows are of, sorted, largest first; ties in the order of pid and path.
pub fn rows(deltas: &[Delta], other: Option<Counters>, by: By, sort: Sort) -> Vec<Row> {
    let mut groups: HashMap<Key, Row> = HashMap::new();
    for delta in deltas {
        let path = delta.file.as_ref().and_then(|file| file.file.path.as_deref());
        let of_process = matches!(by, By::ProcessFile | By::Process | By::Thread);
        let of_file = matches!(by, By::ProcessFile | By::Thread | By::File);
        let shown_path = match by {
            By::ProcessFile | By::Thread | By::File => path.map(<[u8]>::to_vec),
            By::Dir => path.map(directory),
            By::Process | By::Disk => None,
        };
        let disk = delta.file.as_ref().and_then(|file| file.disk.clone());
        let dev = match by {
            By::Process => None,
            By::Disk => disk.as_ref().map(|disk| disk.whole).or(delta.inode.map(|(dev, _)| dev)),
            _ => delta.inode.map(|(dev, _)| dev),
        };
        let ino = delta.inode.map(|(_, ino)| ino).filter(|_| of_file);
        let key = Key {
            process: of_process.then_some((delta.pid, delta.process_start_ns)),
            tid: (by == By::Thread).then_some(delta.tid),
            dev,
            ino: ino.filter(|_| shown_path.is_none()),
            everything: of_file && delta.everything,
            path: shown_path.clone(),
        };
        let row = groups.entry(key).or_insert_with(|| Row {
            pid: of_process.then_some(delta.pid),
            tid: (by == By::Thread).then_some(delta.tid),
            comm: of_process.then(|| match (&delta.process, by) {
                (Some(process), By::ProcessFile | By::Process) => process.process.comm,
                _ => delta.comm,
            }),
            process: delta.process.clone().filter(|_| of_process),
            path: shown_path,
            dev,
            disk: if by == By::Process { None } else { disk },
            fs: delta.file.as_ref().filter(|_| of_file || by == By::Dir).map(|file| file.file.fs.clone()),
            ino,
            everything: of_file && delta.everything,
            counters: Counters::default(),
        });
        if row.ino != ino {
            row.ino = None;
        }
        row.counters.add(&delta.counters);
    }
    let mut rows: Vec<Row> = groups.into_values().collect();
    if let Some(counters) = other {
        rows.push(Row { path: Some(OTHER_FILES.into()), counters, ..Row::default() });
    }
    rows.sort_by(|a, b| {
        let by_value = |row: &Row| Reverse(sort.value(&row.counters));
        (by_value(a), Reverse(a.counters.total_ns()), a.pid, a.tid, &a.path, a.dev, a.ino).cmp(&(
            by_value(b),
            Reverse(b.counters.total_ns()),
            b.pid,
            b.tid,
            &b.path,
            b.dev,
            b.ino,
        ))
    });
    rows
}

/// The directory part of a path; what is no path stays as it is.
fn directory(path: &[u8]) -> Vec<u8> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/".to_vec(),
        Some(end) => path.iter().take(end).copied().collect(),
        None => path.to_vec(),
    }
}

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
