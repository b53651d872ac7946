//! Copy-ups of overlayfs, added up by who made them or by file.

use crate::{
    event::{Comm, copyup::CopyUp},
    resolve::{
        Container,
        names::{FileInfo, ProcessInfo},
    },
};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// Most rows of an interval; what comes then is added to one without names.
const ROWS_MAX: usize = 1 << 16;

/// What a row is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// A process.
    #[default]
    Process,
    /// A container or service: all its processes together.
    Container,
    /// A file, all processes together.
    File,
}

/// What rows are sorted by, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Files and directories that were copied up.
    Copies,
    /// Bytes copied.
    #[default]
    Bytes,
    /// Time that calls waited.
    Time,
}

/// A copy-up with what is known of it.
#[derive(Clone, Debug)]
pub struct Copied {
    /// What the kernel told.
    pub event: CopyUp,
    /// Bytes copied; `None` where that cannot be told.
    pub bytes: Option<u64>,
    /// Who.
    pub process: Option<Arc<ProcessInfo>>,
    /// The overlay's file, where it was seen itself.
    pub file: Option<Arc<FileInfo>>,
    /// Its path in the process's mount namespace.
    pub path: Option<Vec<u8>>,
}

/// What was copied up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes copied, as far as they are known.
    pub bytes: u64,
    /// Copies whose bytes are not known.
    pub unknown: u64,
    /// Time that calls waited, nanoseconds, as far as it is known.
    pub time_ns: u64,
    /// Of it in syncs.
    pub sync_ns: u64,
    /// These syncs.
    pub syncs: u64,
    /// The longest.
    pub max_ns: u64,
    /// Copy-ups in calls that failed.
    pub errors: u64,
}

impl Totals {
    fn add(&mut self, copied: &Copied) {
        let event = &copied.event;
        self.files += u64::from(!event.directory);
        self.directories += event.directories;
        self.bytes += copied.bytes.unwrap_or_default();
        self.unknown += u64::from(copied.bytes.is_none());
        self.time_ns += event.latency_ns.unwrap_or_default();
        self.sync_ns += event.sync_ns;
        self.syncs += event.syncs;
        self.max_ns = self.max_ns.max(event.latency_ns.unwrap_or_default());
        self.errors += u64::from(event.result.is_err());
    }

    fn value(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Copies => self.files + self.directories,
            Sort::Bytes => self.bytes,
            Sort::Time => self.time_ns,
        }
    }
}

/// Sums of one kind. What a row is not of is `None` in it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Process id.
    pub pid: Option<u32>,
    /// Name of the thread that came first.
    pub comm: Option<Comm>,
    /// What is known of the process; of a container's row, of its first.
    pub process: Option<Arc<ProcessInfo>>,
    /// Path of the file.
    pub path: Option<Vec<u8>>,
    /// What was copied up.
    pub totals: Totals,
}

impl Row {
    /// The container or service of the row's process, or that the row is of.
    pub fn container(&self) -> Option<&Container> {
        self.process.as_deref()?.container()
    }
}

/// What makes a row another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Key {
    /// Processes by id and start.
    Process(u32, u64),
    /// Containers by id; `None`: in no container.
    Container(Option<String>),
    /// Files by device and path: a container's overlay has a device of its own.
    File(Option<u32>, Option<Vec<u8>>),
    /// What found no row.
    #[default]
    Other,
}

/// Adds copy-ups up.
#[derive(Debug, Default)]
pub struct Sums {
    by: By,
    rows: HashMap<Key, Row>,
}

impl Sums {
    /// With rows of this kind.
    pub fn new(by: By) -> Self {
        Self { by, rows: HashMap::new() }
    }

    /// Adds one.
    pub fn add(&mut self, copied: &Copied) {
        let mut key = self.key(copied);
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&key) {
            key = Key::Other;
        }
        let row = self.rows.entry(key).or_insert_with_key(|key| {
            let task = Some(&copied.event.task).filter(|_| matches!(key, Key::Process(..)));
            Row {
                pid: task.map(|task| task.pid),
                comm: task.map(|task| task.comm),
                process: copied.process.clone().filter(|_| matches!(key, Key::Process(..) | Key::Container(_))),
                path: copied.path.clone().filter(|_| matches!(key, Key::File(..))),
                totals: Totals::default(),
            }
        });
        row.totals.add(copied);
    }

    /// The rows since the last call.
    pub fn take(&mut self, sort: Sort) -> Vec<Row> {
        let mut rows: Vec<Row> = std::mem::take(&mut self.rows).into_values().collect();
        rows.sort_by_key(|row| {
            (Reverse(row.totals.value(sort)), Reverse(row.totals.value(Sort::Copies)), row.pid, row.path.clone())
        });
        rows
    }

    fn key(&self, copied: &Copied) -> Key {
        match self.by {
            By::Process => {
                let start_ns = copied.process.as_ref().map_or(0, |process| process.process.start_ns);
                Key::Process(copied.event.task.pid, start_ns)
            }
            By::Container => {
                let container = copied.process.as_deref().and_then(ProcessInfo::container);
                Key::Container(container.map(|container| container.id.clone()))
            }
            By::File => Key::File(copied.event.inode.map(|(_, dev)| dev), copied.path.clone()),
        }
    }
}

#[cfg(test)]
#[path = "copyup_tests.rs"]
mod tests;
