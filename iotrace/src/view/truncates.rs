//! Truncates by name: of them the kernel side knows the name and not the file, so their rows are found here.

use crate::{
    event::truncate::Truncate,
    resolve::names::{FileInfo, ProcessInfo},
    view::differences::{Delta, Look},
};
use iotrace_common::{file::FileKey, sum::Counters};
use std::{collections::HashMap, sync::Arc};

/// Most bytes of pairs of a thread and a name between two looks.
const ROOM: usize = 4 << 20;
/// Bytes of a pair, without its path, of which there are two.
const PAIR: usize = size_of::<(Key, Delta)>() + size_of::<FileInfo>() + 64;

/// Thread, start of its process, path.
type Key = (u32, u32, u64, Option<Vec<u8>>);

/// Adds truncates up until the next look.
#[derive(Debug, Default)]
pub struct Truncates {
    found: HashMap<Key, Delta>,
    /// Bytes of these.
    bytes: usize,
    /// What found no room.
    other: Counters,
}

impl Truncates {
    /// Takes one. `base` is the directory from which its name counts.
    pub fn add(
        &mut self,
        truncate: &Truncate,
        path: Option<Vec<u8>>,
        base: Option<&FileInfo>,
        process: Option<Arc<ProcessInfo>>,
    ) {
        let errors = truncate.result.is_err().into();
        let counters = Counters { truncates: 1, errors, max_ns: truncate.latency_ns, ..Counters::default() };
        let process_start_ns = process.as_ref().map_or(0, |process| process.process.start_ns);
        let task = &truncate.task;
        let bytes = PAIR + 2 * path.as_ref().map_or(0, Vec::len);
        let key = (task.pid, task.tid, process_start_ns, path);
        if let Some(known) = self.found.get_mut(&key) {
            known.counters.add(&counters);
        } else if self.bytes + bytes > ROOM {
            self.other.add(&counters);
        } else {
            let delta = Delta {
                slot: 0,
                pid: task.pid,
                tid: task.tid,
                comm: task.comm,
                process,
                process_start_ns,
                file: base.map(|base| Arc::new(named(base, key.3.clone()))),
                inode: None,
                everything: false,
                counters,
            };
            self.found.insert(key, delta);
            self.bytes += bytes;
        }
    }

    /// Adds what came since the last call to what threads did, each to the file that is known under its path; what found no room is
    /// returned. Then begins anew.
    pub fn take(&mut self, look: &mut Look) -> Option<Counters> {
        let mut files: HashMap<(Option<u32>, &[u8]), &Delta> = HashMap::new();
        let known = look.calls.iter().chain(&look.mapped).filter(|_| !self.found.is_empty());
        for delta in known.filter(|delta| delta.inode.is_some()) {
            if let Some(path) = delta.file.as_ref().and_then(|file| file.file.path.as_deref()) {
                files.insert((Some(delta.pid), path), delta);
                files.insert((None, path), delta);
            }
        }
        self.bytes = 0;
        let mut taken = Vec::new();
        for ((pid, .., path), mut delta) in self.found.drain() {
            // The same path is of the same file more likely in the same process: another may have other mounts.
            let file = |pid| path.as_deref().and_then(|path| files.get(&(pid, path)));
            if let Some(known) = file(Some(pid)).or_else(|| file(None)) {
                delta.file.clone_from(&known.file);
                if delta.process.is_none() && known.pid == pid {
                    delta.process_start_ns = known.process_start_ns;
                }
            }
            taken.push(delta);
        }
        look.calls.append(&mut taken);
        Some(std::mem::take(&mut self.other)).filter(|other| !other.is_empty())
    }
}

/// What is known of a file by its name: the file system is that of the directory from which the name counts.
fn named(base: &FileInfo, path: Option<Vec<u8>>) -> FileInfo {
    let mut file = base.file.clone();
    file.key = FileKey { dev: file.key.dev, ..FileKey::default() };
    file.path = path;
    FileInfo { file, disk: base.disk.clone(), on_host: None }
}

#[cfg(test)]
#[path = "truncates_tests.rs"]
mod tests;
