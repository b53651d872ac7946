//! Sums that only grow, as what came since the last look.

use crate::{
    event::Comm,
    resolve::names::{FileInfo, Names, ProcessInfo},
    view::select::Selection,
};
use iotrace_common::{
    file::STATE_EVERYTHING,
    sum::{Counters, Sum, SumKey, WAY_ASYNC, WAY_MAPPED},
};
use std::{collections::HashMap, sync::Arc};

/// One thread's sum of one file since the last look, with its names.
#[derive(Clone, Debug)]
pub struct Delta {
    /// Slot of the sum, 0 when it is none.
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
    /// Device and inode number, when there is a file; `None` too for what was done by name.
    pub inode: Option<(u32, u64)>,
    /// Syncs of all file systems.
    pub everything: bool,
    /// What came since the last look.
    pub counters: Counters,
}

impl Delta {
    /// Device of the file.
    pub fn dev(&self) -> Option<u32> {
        // What was done by name has the device alone.
        self.inode.map(|(dev, _)| dev).or_else(|| self.file.as_ref().map(|file| file.file.key.dev))
    }
}

/// What came since the last look.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// By calls of threads, and by what they let the kernel do for them.
    pub calls: Vec<Delta>,
    /// Through mappings: `reads` is what page faults brought in, `writes` what became dirty.
    pub mapped: Vec<Delta>,
    /// Through mappings, of what found no slot.
    pub other_mapped: Option<Counters>,
    /// Of what found a slot, and no room for its path.
    pub folded: Folded,
}

/// What has no row of its own, for want of room for its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// By calls.
    pub calls: Counters,
    /// Through mappings.
    pub mapped: Counters,
}

impl Folded {
    /// Operations in it.
    pub fn operations(&self) -> u64 {
        self.calls.operations() + self.mapped.operations()
    }
}

/// A sum as it was at the last look.
#[derive(Debug)]
struct Before {
    key: SumKey,
    pid: u32,
    counters: Counters,
    /// Who may write there was gone when it was last asked for, and nothing came since.
    gone: bool,
    /// The slot was given back, and nobody has taken it since.
    free: bool,
}

/// Turns cumulative sums into what came since the last look.
#[derive(Debug)]
pub struct Differences {
    /// Bytes of paths that may be kept for rows to come.
    pub room: usize,
    before: HashMap<u32, Before>,
    files: HashMap<u32, Arc<FileInfo>>,
    /// Bytes of the paths in `files`.
    kept: usize,
    other: Counters,
    other_mapped: Counters,
}

impl Default for Differences {
    fn default() -> Self {
        Self {
            room: usize::MAX,
            before: HashMap::new(),
            files: HashMap::new(),
            kept: 0,
            other: Counters::default(),
            other_mapped: Counters::default(),
        }
    }
}

impl Differences {
    /// What came since the last call, of sums that pass the selection.
    pub fn since(&mut self, sums: impl Iterator<Item = (u32, Sum)>, names: &mut Names, selection: &Selection) -> Look {
        let mut look = Look::default();
        for (slot, sum) in sums {
            let mut known = self.before.get_mut(&slot).filter(|before| before.key == sum.key);
            let counters = known.as_ref().map_or(sum.counters, |before| sum.counters.since(&before.counters));
            if let Some(before) = &mut known {
                // Nothing comes any more; what differs is the next owner's, whose key is not written yet.
                if before.free {
                    continue;
                }
                // Requests may end after all threads have.
                before.gone &= !is_async(&sum.key) || before.counters == sum.counters;
                // Read in the middle of an operation, the counts may lag behind the rest: it comes with the next look.
                if counters.is_empty() {
                    continue;
                }
            }
            let gone = known.is_some_and(|before| before.gone);
            let now = Before { key: sum.key, pid: sum.pid, counters: sum.counters, gone, free: false };
            if counters.is_empty() {
                self.before.insert(slot, Before { counters: Counters::default(), ..now });
                continue;
            }
            // Kept here, because the list of names forgets.
            let found = keep(&mut self.files, &mut self.kept, self.room, slot, sum.file, names);
            let no_room = found.is_none();
            let process = names.process(sum.pid, Some(sum.process_start_ns));
            let file = found.flatten().map(|file| names.as_seen(file, process.as_deref()));
            if file.is_none() && sum.file != 0 && selection.path.is_some() {
                // Its record may still come.
                continue;
            }
            self.before.insert(slot, now);
            let path = file.as_ref().and_then(|file| file.file.path.as_deref());
            if !selection.path(path) || !selection.process(process.as_deref()) {
                continue;
            }
            if no_room {
                let folded =
                    if sum.key.way & WAY_MAPPED != 0 { &mut look.folded.mapped } else { &mut look.folded.calls };
                folded.add(&counters);
                continue;
            }
            let deltas = if sum.key.way & WAY_MAPPED != 0 { &mut look.mapped } else { &mut look.calls };
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
        look
    }

    /// Keeps the names of files that are in sums, since the list of names is about to forget some.
    pub fn keep(&mut self, sums: impl Iterator<Item = (u32, Sum)>, names: &Names) {
        for (slot, sum) in sums {
            keep(&mut self.files, &mut self.kept, self.room, slot, sum.file, names);
        }
    }

    /// What came since the last call of what found no slot.
    pub fn other_since(&mut self, other: Counters) -> Option<Counters> {
        grown(&mut self.other, other)
    }

    /// The same of what came through mappings.
    pub fn other_mapped_since(&mut self, other: Counters) -> Option<Counters> {
        grown(&mut self.other_mapped, other)
    }

    /// Slots that were ever seen in use.
    pub fn used(&self) -> usize {
        self.before.len()
    }

    /// Slots of threads that were gone when they were asked for before the last look: all that they did has been read, so the slots
    /// may be given to others, and count as free from now on. `exists` says whether a process has a thread.
    ///
    /// A slot of asynchronous requests is written by their completions, and these may come when the thread that submitted them has
    /// ended: it is kept as long as the process has any thread. Even then a request may be under way, in a ring that another process
    /// shares: the slot is kept until nothing came to it from one look to the next. What comes later takes a new slot, because each
    /// completion looks for its slot anew.
    pub fn finished(&mut self, exists: impl Fn(u32, u32) -> bool) -> Vec<(u32, SumKey)> {
        let mut finished = Vec::new();
        for (slot, before) in self.before.iter_mut().filter(|(_, before)| !before.free) {
            if before.gone {
                before.free = true;
                forget(&mut self.files, &mut self.kept, *slot);
                finished.push((*slot, before.key));
            } else {
                // The first thread of a process is there until its last has ended.
                let last = if is_async(&before.key) { before.pid } else { before.key.tid };
                before.gone = !exists(before.pid, last);
            }
        }
        finished
    }
}

/// The file of a slot, which is kept from now on. The outer `None`: there is no room for its path.
fn keep(
    files: &mut HashMap<u32, Arc<FileInfo>>,
    kept: &mut usize,
    room: usize,
    slot: u32,
    number: u64,
    names: &Names,
) -> Option<Option<Arc<FileInfo>>> {
    if let Some(known) = files.get(&slot).filter(|known| known.file.id == number) {
        return Some(Some(known.clone()));
    }
    // The slot had another file.
    forget(files, kept, slot);
    let Some(file) = names.file(number) else { return Some(None) };
    let length = path_length(Some(file));
    if *kept + length > room {
        return None;
    }
    *kept += length;
    files.insert(slot, file.clone());
    Some(Some(file.clone()))
}

fn forget(files: &mut HashMap<u32, Arc<FileInfo>>, kept: &mut usize, slot: u32) {
    *kept -= path_length(files.remove(&slot).as_deref());
}

fn path_length(file: Option<&FileInfo>) -> usize {
    file.and_then(|file| file.file.path.as_ref()).map_or(0, Vec::len)
}

/// Whether a sum is of requests that are finished by others than the thread that submitted them.
fn is_async(key: &SumKey) -> bool {
    key.way & (WAY_MAPPED | WAY_ASYNC) == WAY_ASYNC
}

/// What came since `before`, which then is `now`.
fn grown(before: &mut Counters, now: Counters) -> Option<Counters> {
    let counters = now.since(before);
    if counters.is_empty() {
        return None;
    }
    *before = now;
    Some(counters)
}

#[cfg(test)]
#[path = "differences_tests.rs"]
pub(super) mod tests;
