//! Files by I/O.

pub use crate::view::differences::{Delta, Differences, Look};
use crate::view::group::{Key, group};
use crate::{
    event::Comm,
    resolve::{
        Container, Disk, Free, HostPath, Resident, dev_text,
        names::{FileInfo, ProcessInfo},
    },
};
use iotrace_common::sum::Counters;
use std::{cmp::Reverse, sync::Arc};

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
    /// A container or service: all its processes and their files together.
    Container,
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
    /// Bytes both ways, those of mappings included.
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
    fn value(self, row: &Row) -> u64 {
        let counters = &row.counters;
        match self {
            Self::Reads => counters.reads,
            Self::Writes => counters.writes,
            Self::ReadBytes => counters.read_bytes,
            Self::WriteBytes => counters.write_bytes,
            Self::Bytes => counters.bytes() + row.mapped.bytes(),
            Self::Syncs => counters.all_syncs(),
            Self::Time => counters.total_ns(),
            Self::Errors => counters.errors,
        }
    }
}

/// What was done through mappings, not by calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Folios that page faults brought in.
    pub reads: u64,
    /// Folios that became dirty.
    pub writes: u64,
    /// Bytes that page faults brought in.
    pub read_bytes: u64,
    /// Bytes that became dirty.
    pub write_bytes: u64,
}

impl Mapped {
    /// Adds the counters of a mapping.
    pub fn add(&mut self, counters: &Counters) {
        self.reads += counters.reads;
        self.writes += counters.writes;
        self.read_bytes += counters.read_bytes;
        self.write_bytes += counters.write_bytes;
    }

    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.read_bytes + self.write_bytes
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
    /// What the process runs in, or the processes when the row is of a container.
    pub resident: Option<Resident>,
    /// `runtime` when the process or processes are a container runtime's own.
    pub role: Option<&'static str>,
    /// The file, the newest where there are several, and a process that used it: for [`Self::host`].
    pub file: Option<(Arc<FileInfo>, Arc<ProcessInfo>)>,
    /// Where the file lies on the host; looked up only for what is printed.
    pub host: Option<Arc<HostPath>>,
    /// Where its file system is mounted and what is free of it; likewise.
    pub free: Option<Arc<Free>>,
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
    /// What was done through mappings.
    pub mapped: Mapped,
}

impl Row {
    /// Device as `MAJOR:MINOR`.
    pub fn dev_text(&self) -> Option<String> {
        self.dev.map(dev_text)
    }
}

/// Name of the row that has what found no room in the kernel's map.
pub const OTHER_FILES: &str = "(other files)";

impl Row {
    /// Whether it is that row: no file has such a path.
    pub fn is_rest(&self) -> bool {
        self.path.as_deref() == Some(OTHER_FILES.as_bytes())
    }

    /// What its process or processes run in.
    pub fn container(&self) -> Option<&Container> {
        self.resident.as_ref()?.container()
    }
}

/// Groups by what rows are of, sorted, largest first; ties in the order of pid and path.
pub fn rows(look: &Look, other: Option<Counters>, by: By, sort: Sort) -> Vec<Row> {
    keyed(look, other, by, sort).into_iter().map(|(_, row)| row).collect()
}

/// The same, with what tells the rows apart; nothing of what has no name.
pub(super) fn keyed(look: &Look, other: Option<Counters>, by: By, sort: Sort) -> Vec<(Option<Key>, Row)> {
    let mut rows: Vec<(Option<Key>, Row)> = group(look, by).into_iter().map(|(key, row)| (Some(key), row)).collect();
    if other.is_some() || look.other_mapped.is_some() {
        let (counters, mut mapped) = (other.unwrap_or_default(), Mapped::default());
        mapped.add(&look.other_mapped.unwrap_or_default());
        rows.push((None, Row { path: Some(OTHER_FILES.into()), counters, mapped, ..Row::default() }));
    }
    rows.sort_by(|(_, a), (_, b)| {
        let by_value = |row: &Row| Reverse(sort.value(row));
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

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
