//! Files by I/O.

pub use crate::view::differences::{Delta, Differences, Look};
use crate::{
    event::Comm,
    resolve::{
        Container, Disk, Free, HostPath, Resident, dev_text,
        names::{FileInfo, ProcessInfo},
    },
};
use iotrace_common::sum::Counters;
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
            Self::Syncs => counters.syncs + counters.sync_writes,
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
    /// What is free of its file system; likewise.
    pub free: Option<Free>,
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

/// What tells two rows apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    process: Option<(u32, u64)>,
    /// Runtime, namespace and id.
    container: Option<(String, Option<String>, String)>,
    role: Option<&'static str>,
    tid: Option<u32>,
    dev: Option<u32>,
    path: Option<Vec<u8>>,
    // A file whose path is not known is at least told apart by its inode.
    ino: Option<u64>,
    everything: bool,
}

impl Row {
    /// What its process or processes run in.
    pub fn container(&self) -> Option<&Container> {
        self.resident.as_ref()?.container()
    }
}

/// A row, and whether operations on several inodes are in it.
#[derive(Default)]
struct Group {
    row: Row,
    several: bool,
}

impl Group {
    fn add(&mut self, delta: &Delta, ino: Option<u64>, mapped: bool) {
        let row = &mut self.row;
        // What was done by name has no inode, and says nothing about that of the row.
        if ino.is_some() && ino != row.ino {
            self.several |= row.ino.is_some();
            row.ino = ino.filter(|_| !self.several);
        }
        if mapped {
            row.mapped.add(&delta.counters);
        } else {
            row.counters.add(&delta.counters);
        }
    }
}

impl Group {
    /// Remembers the newest file that has an inode: numbers grow.
    fn locate(&mut self, delta: &Delta) {
        let (Some(file), Some(process)) = (&delta.file, &delta.process) else { return };
        let newer = self.row.file.as_ref().is_none_or(|(known, _)| known.file.id < file.file.id);
        if newer && file.file.key.mode() != 0 {
            self.row.file = Some((file.clone(), process.clone()));
        }
    }
}

/// Groups by what rows are of, sorted, largest first; ties in the order of pid and path.
pub fn rows(look: &Look, other: Option<Counters>, by: By, sort: Sort) -> Vec<Row> {
    let of_process = matches!(by, By::ProcessFile | By::Process | By::Thread);
    let of_file = matches!(by, By::ProcessFile | By::Thread | By::File);
    let mut groups: HashMap<Key, Group> = HashMap::new();
    let calls = look.calls.iter().map(|delta| (delta, false));
    for (delta, mapped) in calls.chain(look.mapped.iter().map(|delta| (delta, true))) {
        let path = delta.file.as_ref().and_then(|file| file.file.path.as_deref());
        let shown_path = match by {
            By::ProcessFile | By::Thread | By::File => path.map(<[u8]>::to_vec),
            By::Dir => path.map(directory),
            By::Process | By::Disk | By::Container => None,
        };
        let disk = delta.file.as_ref().and_then(|file| file.disk.clone());
        let dev = match by {
            By::Process | By::Container => None,
            By::Disk => disk.as_ref().map(|disk| disk.whole).or(delta.dev()),
            _ => delta.dev(),
        };
        let ino = delta.inode.map(|(_, ino)| ino).filter(|_| of_file);
        let resident = delta.process.as_ref().and_then(|process| process.resident.clone());
        let resident = resident.filter(|_| of_process || by == By::Container);
        let container = resident.as_ref().filter(|_| by == By::Container).and_then(Resident::container);
        let role = delta.process.as_ref().and_then(|process| process.role);
        let role = role.filter(|_| of_process || by == By::Container);
        let key = Key {
            role,
            container: container.map(|found| (found.runtime.clone(), found.namespace.clone(), found.id.clone())),
            process: of_process.then_some((delta.pid, delta.process_start_ns)),
            tid: (by == By::Thread).then_some(delta.tid),
            dev,
            ino: ino.filter(|_| shown_path.is_none()),
            everything: of_file && delta.everything,
            path: shown_path.clone(),
        };
        let new = || Row {
            pid: of_process.then_some(delta.pid),
            tid: (by == By::Thread).then_some(delta.tid),
            comm: of_process.then(|| match (&delta.process, by) {
                (Some(process), By::ProcessFile | By::Process) => process.process.comm,
                _ => delta.comm,
            }),
            process: delta.process.clone().filter(|_| of_process),
            resident,
            role,
            path: shown_path,
            dev,
            disk: if matches!(by, By::Process | By::Container) { None } else { disk },
            fs: delta.file.as_ref().filter(|_| of_file || by == By::Dir).map(|file| file.file.fs.clone()),
            everything: of_file && delta.everything,
            ..Row::default()
        };
        let group = groups.entry(key).or_insert_with(|| Group { row: new(), several: false });
        group.add(delta, ino, mapped);
        if of_file {
            group.locate(delta);
        }
    }
    let mut rows: Vec<Row> = groups.into_values().map(|group| group.row).collect();
    if other.is_some() || look.other_mapped.is_some() {
        let (counters, mut mapped) = (other.unwrap_or_default(), Mapped::default());
        mapped.add(&look.other_mapped.unwrap_or_default());
        rows.push(Row { path: Some(OTHER_FILES.into()), counters, mapped, ..Row::default() });
    }
    rows.sort_by(|a, b| {
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
