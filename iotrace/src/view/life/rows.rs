//! Files that came and went, as rows.

use super::{Bytes, How, Life};
use crate::{
    resolve::names::{FileInfo, ProcessInfo},
    view::{
        folding::{Folding, Merge},
        pattern::{Part, Pattern},
        top::{OTHER_FILES, Row},
    },
};
use std::{cmp::Reverse, sync::Arc};

/// Most patterns; what does not fit is folded further.
const PATTERNS_MAX: usize = 8192;

/// What a row is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// A process and a pattern of paths.
    #[default]
    ProcessFile,
    /// A thread and a pattern of paths.
    Thread,
    /// A process, all its files together.
    Process,
    /// A pattern of paths, all processes together.
    File,
    /// A pattern of directories, all processes together.
    Dir,
    /// A container or service, all its files together.
    Container,
}

/// Who the files of a row are of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owner {
    process: Option<(u32, u64)>,
    tid: Option<u32>,
    /// Runtime, namespace and id.
    container: Option<(String, Option<String>, String)>,
    role: Option<&'static str>,
}

impl Owner {
    fn of(life: &Life, by: By) -> Self {
        let process = life.process.as_deref();
        let start = process.map_or(0, |process| process.process.start_ns);
        let container = process.and_then(ProcessInfo::container).filter(|_| by == By::Container);
        Self {
            process: matches!(by, By::ProcessFile | By::Thread | By::Process).then_some((life.owner.pid, start)),
            tid: (by == By::Thread).then_some(life.owner.tid),
            container: container.map(|one| (one.runtime.to_string(), one.namespace.clone(), one.id.clone())),
            role: process.and_then(|process| process.role).filter(|_| by == By::Container),
        }
    }
}

/// What is known of the files of a row together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Files.
    pub files: u64,
    /// Those that were made.
    pub created: u64,
    /// Those that lost their last name, in whatever way.
    pub deleted: u64,
    /// Of them, those whose name another file took.
    pub replaced: u64,
    /// Of them, those that never had a name.
    pub nameless: u64,
    /// Of them, those that were not seen to be made.
    pub not_made: u64,
    /// Opens that succeeded.
    pub opens: u64,
    /// New names that took the place of old ones.
    pub renames: u64,
    /// What was read and written.
    pub bytes: Bytes,
    /// Files of which that is not known.
    pub unknown_bytes: u64,
    /// Time in opens, reads, writes, syncs that are traced, and calls that took or gave names, nanoseconds.
    pub time_ns: u64,
    /// Files whose lifetime is known.
    pub lives: u64,
    /// Their lifetimes together, the shortest and the longest, nanoseconds.
    pub life_ns: (u64, u64, u64),
    /// When the first came and the last one went, nanoseconds of CLOCK_MONOTONIC.
    pub span_ns: Option<(u64, u64)>,
}

impl Stats {
    fn of(life: &Life) -> Self {
        let how = life.end.as_ref().map(|end| end.how);
        let length = life.length_ns();
        let times = [life.born_ns, life.end.as_ref().map(|end| end.at_ns)];
        Self {
            files: 1,
            created: life.born_ns.is_some().into(),
            deleted: how.is_some().into(),
            replaced: (how == Some(How::Replaced)).into(),
            nameless: (how == Some(How::Nameless)).into(),
            not_made: (how.is_some() && life.born_ns.is_none()).into(),
            opens: life.opens,
            renames: life.renames,
            bytes: life.bytes.unwrap_or_default(),
            unknown_bytes: life.bytes.is_none().into(),
            time_ns: life.call_ns + life.bytes.map_or(0, |bytes| bytes.ns),
            lives: length.is_some().into(),
            life_ns: length.map_or((0, u64::MAX, 0), |length| (length, length, length)),
            span_ns: times.into_iter().flatten().min().zip(times.into_iter().flatten().max()),
        }
    }

    /// Mean lifetime, nanoseconds.
    pub fn mean_ns(&self) -> Option<u64> {
        self.life_ns.0.checked_div(self.lives)
    }

    /// From the first birth or end to the last, nanoseconds.
    pub fn length_ns(&self) -> Option<u64> {
        self.span_ns.map(|(first, last)| last - first)
    }
}

impl Merge for Stats {
    fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.created += other.created;
        self.deleted += other.deleted;
        self.replaced += other.replaced;
        self.nameless += other.nameless;
        self.not_made += other.not_made;
        self.opens += other.opens;
        self.renames += other.renames;
        self.bytes.read += other.bytes.read;
        self.bytes.written += other.bytes.written;
        self.bytes.ns += other.bytes.ns;
        self.bytes.syncs += other.bytes.syncs;
        self.time_ns += other.time_ns;
        self.unknown_bytes += other.unknown_bytes;
        self.lives += other.lives;
        let ((sum, min, max), (others, least, most)) = (self.life_ns, other.life_ns);
        self.life_ns = (sum + others, min.min(least), max.max(most));
        self.span_ns = match (self.span_ns, other.span_ns) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
    }
}

/// One of the files of a row.
#[derive(Clone, Debug)]
struct Sample {
    life: Life,
    /// All are the same inode.
    one: bool,
}

#[derive(Clone, Debug)]
struct Value {
    stats: Stats,
    sample: Box<Sample>,
}

impl Merge for Value {
    fn merge(&mut self, other: Self) {
        self.stats.merge(other.stats);
        self.sample.one = false;
    }
}

/// A row.
#[derive(Clone, Debug)]
pub struct LifeRow {
    /// Whose and where; its path is the pattern.
    pub row: Row,
    /// Whether the path stands for several.
    pub is_pattern: bool,
    /// One of the paths, where there are several.
    pub example: Option<Vec<u8>>,
    /// How many, how long, how much.
    pub stats: Stats,
}

impl LifeRow {
    /// What was read and written of files without a sum of their own.
    pub(super) fn of_others(bytes: Bytes) -> Self {
        let row = Row { path: Some(OTHER_FILES.into()), ..Row::default() };
        Self { row, is_pattern: false, example: None, stats: Stats { bytes, ..Stats::default() } }
    }
}

/// Files that were added up.
#[derive(Debug)]
pub(super) struct Settled(Folding<Owner, Value>);

impl Default for Settled {
    fn default() -> Self {
        Self(Folding::new(PATTERNS_MAX))
    }
}

/// What stands for a path that is not known: no path is relative.
const UNKNOWN: &[u8] = b"?";

impl Settled {
    pub(super) fn add(&mut self, life: &Life, by: By) {
        let path = life.path.as_deref().unwrap_or(UNKNOWN);
        let path = match by {
            By::ProcessFile | By::Thread | By::File => path,
            By::Dir => directory(path),
            By::Process | By::Container => b"",
        };
        let sample = Box::new(Sample { life: life.clone(), one: true });
        self.0.add(Owner::of(life, by), path, Value { stats: Stats::of(life), sample });
    }

    /// The rows, most files first.
    pub(super) fn rows(self, by: By) -> Vec<LifeRow> {
        let mut rows: Vec<LifeRow> =
            self.0.rows().into_iter().map(|(owner, pattern, value)| row(owner, pattern, value, by)).collect();
        rows.sort_by(|a, b| {
            let order =
                |row: &LifeRow| (Reverse(row.stats.files), Reverse(row.stats.bytes.written), row.row.pid, row.row.tid);
            order(a).cmp(&order(b)).then_with(|| a.row.path.cmp(&b.row.path))
        });
        rows
    }
}

fn row(owner: Owner, pattern: Option<Pattern>, value: Value, by: By) -> LifeRow {
    let Value { stats, sample } = value;
    let Sample { life, one } = *sample;
    let is_pattern =
        pattern.as_ref().is_some_and(|pattern| pattern.0.iter().any(|part| !matches!(part, Part::Text(_))));
    let path = match pattern {
        None => Some(OTHER_FILES.into()),
        Some(pattern) => Some(pattern.show()).filter(|path| !path.is_empty() && path != UNKNOWN),
    };
    let of_process = owner.process.is_some();
    let process: Option<Arc<ProcessInfo>> = life.process.filter(|_| of_process || by == By::Container);
    let comm = match (&process, by) {
        (_, By::Thread) | (None, _) => life.owner.comm,
        (Some(process), _) => process.process.comm,
    };
    let file: Option<Arc<FileInfo>> =
        life.file.filter(|_| path.is_some() && path.as_deref() != Some(OTHER_FILES.as_bytes()));
    LifeRow {
        example: life.path.filter(|_| is_pattern),
        row: Row {
            pid: owner.process.map(|(pid, _)| pid),
            tid: owner.tid,
            comm: of_process.then_some(comm),
            resident: process.as_ref().and_then(|process| process.resident.clone()),
            role: process.as_ref().and_then(|process| process.role),
            dev: file.as_ref().map(|file| file.file.key.dev),
            disk: file.as_ref().and_then(|file| file.disk.clone()),
            fs: file.as_ref().map(|file| file.file.fs.clone()),
            ino: life.inode.map(|inode| inode.ino).filter(|_| one && by != By::Dir && path.is_some()),
            path,
            process: process.filter(|_| of_process),
            ..Row::default()
        },
        is_pattern,
        stats,
    }
}

/// The directory of a path.
fn directory(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/');
    end.and_then(|end| path.get(..end.max(1))).unwrap_or(path)
}
