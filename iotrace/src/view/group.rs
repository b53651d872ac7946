//! What came since the last look, added up by what rows are of.

use crate::{
    resolve::Resident,
    view::top::{By, Delta, Look, Row},
};
use std::collections::HashMap;

/// What tells two rows apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    process: Option<(u32, u64)>,
    /// Runtime, namespace and id.
    container: Option<(String, Option<String>, String)>,
    role: Option<&'static str>,
    tid: Option<u32>,
    dev: Option<u32>,
    path: Option<Vec<u8>>,
    // What two containers see under one path may be two files of one file system.
    on_host: Option<Vec<u8>>,
    // A file whose path is not known is at least told apart by its inode.
    ino: Option<u64>,
    everything: bool,
}

impl By {
    /// Whether a row is of one process.
    fn of_process(self) -> bool {
        matches!(self, Self::ProcessFile | Self::Process | Self::Thread)
    }

    /// Whether a row is of one file.
    fn of_file(self) -> bool {
        matches!(self, Self::ProcessFile | Self::Thread | Self::File)
    }
}

impl Key {
    /// The row that something belongs to.
    pub(super) fn of(delta: &Delta, by: By) -> Self {
        let path = path(delta, by);
        let resident = resident(delta, by).filter(|_| by == By::Container);
        let container = resident.as_ref().and_then(Resident::container);
        Self {
            process: by.of_process().then_some((delta.pid, delta.process_start_ns)),
            container: container.map(|found| (found.runtime.clone(), found.namespace.clone(), found.id.clone())),
            role: role(delta, by),
            tid: (by == By::Thread).then_some(delta.tid),
            dev: dev(delta, by),
            ino: inode(delta, by).filter(|_| path.is_none()),
            everything: by.of_file() && delta.everything,
            on_host: delta.file.as_ref().and_then(|file| file.on_host.clone()).filter(|_| by.of_file()),
            path,
        }
    }
}

/// The file or directory that a row is of.
fn path(delta: &Delta, by: By) -> Option<Vec<u8>> {
    let path = delta.file.as_ref().and_then(|file| file.file.path.as_deref());
    match by {
        By::ProcessFile | By::Thread | By::File => path.map(<[u8]>::to_vec),
        By::Dir => path.map(directory),
        By::Process | By::Disk | By::Container => None,
    }
}

/// The device of the disk or file system that a row is of, or its file is on.
fn dev(delta: &Delta, by: By) -> Option<u32> {
    match by {
        By::Process | By::Container => None,
        By::Disk => {
            let disk = delta.file.as_ref().and_then(|file| file.disk.as_ref());
            disk.map(|disk| disk.whole).or(delta.dev())
        }
        _ => delta.dev(),
    }
}

fn inode(delta: &Delta, by: By) -> Option<u64> {
    delta.inode.map(|(_, ino)| ino).filter(|_| by.of_file())
}

fn resident(delta: &Delta, by: By) -> Option<Resident> {
    let resident = delta.process.as_ref().and_then(|process| process.resident.clone());
    resident.filter(|_| by.of_process() || by == By::Container)
}

fn role(delta: &Delta, by: By) -> Option<&'static str> {
    let role = delta.process.as_ref().and_then(|process| process.role);
    role.filter(|_| by.of_process() || by == By::Container)
}

/// A row, and whether operations on several inodes are in it.
struct Group {
    row: Row,
    several: bool,
}

impl Group {
    /// The row that something is the first of, without what it did.
    fn new(delta: &Delta, by: By) -> Self {
        let of_process = by.of_process();
        let disk = delta.file.as_ref().and_then(|file| file.disk.clone());
        let row = Row {
            pid: of_process.then_some(delta.pid),
            tid: (by == By::Thread).then_some(delta.tid),
            comm: of_process.then(|| match (&delta.process, by) {
                (Some(process), By::ProcessFile | By::Process) => process.process.comm,
                _ => delta.comm,
            }),
            process: delta.process.clone().filter(|_| of_process),
            resident: resident(delta, by),
            role: role(delta, by),
            path: path(delta, by),
            dev: dev(delta, by),
            disk: disk.filter(|_| !matches!(by, By::Process | By::Container)),
            fs: delta.file.as_ref().filter(|_| by.of_file() || by == By::Dir).map(|file| file.file.fs.clone()),
            everything: by.of_file() && delta.everything,
            ..Row::default()
        };
        Self { row, several: false }
    }

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

    /// Remembers the newest file that has an inode: numbers grow.
    fn locate(&mut self, delta: &Delta) {
        let (Some(file), Some(process)) = (&delta.file, &delta.process) else { return };
        let newer = self.row.file.as_ref().is_none_or(|(known, _)| known.file.id < file.file.id);
        if newer && file.file.key.mode() != 0 {
            self.row.file = Some((file.clone(), process.clone()));
        }
    }
}

/// The row of something that has no counters, and what tells it from others.
pub(super) fn row_of(delta: &Delta, by: By) -> (Key, Row) {
    let mut group = Group::new(delta, by);
    group.row.ino = inode(delta, by);
    if by.of_file() {
        group.locate(delta);
    }
    (Key::of(delta, by), group.row)
}

/// The rows of what came, in no order.
pub(super) fn group(look: &Look, by: By) -> HashMap<Key, Row> {
    let mut groups: HashMap<Key, Group> = HashMap::new();
    let calls = look.calls.iter().map(|delta| (delta, false));
    for (delta, mapped) in calls.chain(look.mapped.iter().map(|delta| (delta, true))) {
        let group = groups.entry(Key::of(delta, by)).or_insert_with(|| Group::new(delta, by));
        group.add(delta, inode(delta, by), mapped);
        if by.of_file() {
            group.locate(delta);
        }
    }
    groups.into_iter().map(|(key, group)| (key, group.row)).collect()
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
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_what_comes_before_the_last_slash() {
        for (path, expected) in [("/a/b", "/a"), ("/a", "/"), ("/", "/"), ("…/d/f", "…/d"), ("pipe:[7]", "pipe:[7]")]
        {
            assert_eq!(directory(path.as_bytes()), expected.as_bytes());
        }
    }
}
