//! Files that come and go: which file it is under all its names, how long it lived, and what was written and read.

mod bytes;
mod file;
mod index;
mod rows;

pub use bytes::Bytes;
pub use file::{End, How, Inode, Life, Matched};
pub use rows::{By, LifeRow, Stats};

use crate::{
    event::{
        naming::{Change, Naming, Spot},
        open::Open,
    },
    resolve::names::{FileInfo, ProcessInfo},
    view::select::Selection,
};
use bytes::Totals;
use index::{Found, Index, Name};
use iotrace_common::sum::Sum;
use rows::Settled;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Bytes of files that are followed, until somebody says how many there may be; then those that are gone are added up, and after them
/// the oldest.
const BYTES_MAX: usize = 8 << 20;
/// Follows files.
#[derive(Debug)]
pub struct Lives {
    selection: Selection,
    by: By,
    next: u64,
    /// Bytes that the files may take, and that they take.
    most: usize,
    used: usize,
    /// By age.
    lives: BTreeMap<u64, Life>,
    inodes: HashMap<Inode, u64>,
    index: Index,
    totals: Totals,
    settled: Settled,
}

impl Lives {
    /// Follows the files that are selected, for rows of this kind.
    pub fn new(by: By, selection: Selection) -> Self {
        Self {
            selection,
            by,
            next: 0,
            most: BYTES_MAX,
            used: 0,
            lives: BTreeMap::new(),
            inodes: HashMap::new(),
            index: Index::default(),
            totals: Totals::default(),
            settled: Settled::default(),
        }
    }

    /// So many bytes are there for the files.
    pub fn limit(&mut self, bytes: usize) {
        self.most = bytes;
    }

    /// A file was opened. `created`: whether this made it. `asked`: the absolute path that was asked for, where it is known.
    pub fn opened(
        &mut self,
        open: &Open,
        file: &Arc<FileInfo>,
        asked: Option<Vec<u8>>,
        created: bool,
        process: Option<Arc<ProcessInfo>>,
    ) {
        let key = &file.file.key;
        let inode = Inode::of(key);
        let unnamed = open.is_nameless() || key.state & iotrace_common::file::STATE_DELETED != 0;
        let mut mixed = false;
        if created {
            mixed = self.lose_sight(inode);
        } else if let Some(id) = self.inodes.get(&inode).copied() {
            self.opened_again(id, open, file, asked, unnamed);
            return;
        }
        let at_ns = open.end_ns();
        let id = self.add(Life {
            inode: Some(inode),
            path: file.file.path.clone(),
            made_as: None,
            file: Some(file.clone()),
            owner: open.task.clone(),
            process,
            born_ns: created.then_some(at_ns),
            end: (created && unnamed).then(|| End {
                at_ns,
                how: How::Nameless,
                matched: None,
                task: open.task.clone(),
            }),
            opens: 1,
            renames: 0,
            bytes: None,
            call_ns: open.latency_ns,
            descriptor: open.result.ok().filter(|_| unnamed),
            mixed,
            told: false,
        });
        self.inodes.insert(inode, id);
        if !unnamed {
            self.name(id, Name::of_file(file, open.namespace, asked));
        }
    }

    fn opened_again(&mut self, id: u64, open: &Open, file: &Arc<FileInfo>, asked: Option<Vec<u8>>, unnamed: bool) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        life.opens += 1;
        life.call_ns += open.latency_ns;
        if unnamed || life.end.is_some() {
            return;
        }
        // What a rename called it may be shorter than what it is called.
        let name = Name::of_file(file, open.namespace, asked);
        if self.index.names_of(id) <= 1 {
            life.path.clone_from(&file.file.path);
            life.file = Some(file.clone());
            self.index.forget(id);
        }
        self.name(id, name);
    }

    /// An inode is made anew: a file that had it before went, seen or not. Whether there was one.
    fn lose_sight(&mut self, inode: Inode) -> bool {
        let Some(before) = self.inodes.remove(&inode) else { return false };
        self.index.forget(before);
        if let Some(life) = self.lives.get_mut(&before) {
            life.mixed = true;
        }
        true
    }

    /// A name was taken away or given. `paths`: the absolute paths that were asked for. `directory`: from which the first counts.
    /// `known_only`: files that were not seen before do not count.
    pub fn named(
        &mut self,
        naming: &Naming,
        paths: (Option<Vec<u8>>, Option<Vec<u8>>),
        directory: Option<Arc<FileInfo>>,
        process: Option<Arc<ProcessInfo>>,
        known_only: bool,
    ) {
        if naming.result.is_err() || naming.is_of_directory() {
            return;
        }
        let old = Name::of_spot(&naming.name, naming.namespace, paths.0);
        let new = naming.other.as_ref().map(|other| Name::of_spot(other, naming.namespace, paths.1));
        match (naming.change, new) {
            (Change::Unlink, _) | (_, None) => match self.index.find(&old) {
                Some(found) => self.lost(&found, How::Unlinked, naming),
                None if known_only => {}
                None => self.unknown(old, naming, directory, process),
            },
            (Change::Rename, Some(new)) if naming.is_exchange() => self.exchanged(&old, &new),
            (Change::Rename, Some(new)) => self.renamed(&old, new, naming),
            (Change::Link, Some(new)) => {
                let found = self.index.find(&old).map(|found| found.id);
                if let Some(id) = found.or_else(|| self.nameless(naming)) {
                    self.linked(id, new);
                }
            }
        }
    }

    /// A name of a file is gone.
    fn lost(&mut self, found: &Found, how: How, naming: &Naming) {
        let left = self.index.remove(found);
        let Some(life) = self.lives.get_mut(&found.id) else { return };
        if how == How::Unlinked {
            life.call_ns += naming.latency_ns;
        }
        if left == 0 {
            let (at_ns, matched) = (naming.end_ns(), Some(found.matched));
            life.end = Some(End { at_ns, how, matched, task: naming.task.clone() });
        }
    }

    /// A name is gone of a file that was not seen before, or not under this name.
    fn unknown(&mut self, name: Name, naming: &Naming, file: Option<Arc<FileInfo>>, process: Option<Arc<ProcessInfo>>) {
        self.add(Life {
            inode: None,
            path: name.shown(),
            made_as: None,
            file,
            owner: naming.task.clone(),
            process,
            born_ns: None,
            end: Some(End { at_ns: naming.end_ns(), how: How::Unlinked, matched: None, task: naming.task.clone() }),
            opens: 0,
            renames: 0,
            bytes: None,
            call_ns: naming.latency_ns,
            descriptor: None,
            mixed: false,
            told: false,
        });
    }

    fn renamed(&mut self, old: &Name, new: Name, naming: &Naming) {
        let (source, target) = (self.index.find(old), self.index.find(&new));
        if let (Some(source), Some(target)) = (&source, &target)
            && source.id == target.id
        {
            // Two names of one file: rename leaves both (rename(2)).
            return;
        }
        if let Some(target) = target {
            self.lost(&target, How::Replaced, naming);
        }
        match source {
            Some(source) => {
                self.index.remove(&source);
                if let Some(life) = self.lives.get_mut(&source.id) {
                    life.call_ns += naming.latency_ns;
                }
                self.moved(source.id, new);
            }
            // A directory, perhaps: what is below it has another path now.
            None => self.index.move_tree(old, &new, &mut self.lives),
        }
    }

    fn moved(&mut self, id: u64, new: Name) {
        if let Some(life) = self.lives.get_mut(&id) {
            let before = std::mem::replace(&mut life.path, new.shown());
            life.made_as = life.made_as.take().or(before).filter(|_| life.born_ns.is_some());
            life.renames += 1;
        }
        self.name(id, new);
    }

    fn exchanged(&mut self, old: &Name, new: &Name) {
        let (one, other) = (self.index.find(old), self.index.find(new));
        for found in one.iter().chain(&other) {
            self.index.remove(found);
        }
        if let Some(one) = one {
            self.moved(one.id, new.clone());
        }
        if let Some(other) = other {
            self.moved(other.id, old.clone());
        }
    }

    /// The file without a name that a call names by its descriptor.
    fn nameless(&self, naming: &Naming) -> Option<u64> {
        let name = naming.name.name.as_deref()?;
        let number = name.strip_prefix(b"/proc/self/fd/")?;
        let descriptor: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        let of_it = |life: &Life| life.owner.pid == naming.task.pid && life.descriptor == Some(descriptor);
        self.lives.iter().rev().find(|(_, life)| of_it(life)).map(|(id, _)| *id)
    }

    fn linked(&mut self, id: u64, new: Name) {
        if let Some(life) = self.lives.get_mut(&id)
            && life.descriptor.take().is_some()
        {
            life.end = None;
            let before = std::mem::replace(&mut life.path, new.shown());
            life.made_as = before;
        }
        self.name(id, new);
    }

    /// Gives a file a name, and takes it from who had it: that one went without being seen.
    fn name(&mut self, id: u64, name: Name) {
        for other in self.index.add(id, name) {
            if self.index.names_of(other) == 0
                && let Some(life) = self.lives.get(&other)
                && life.end.is_none()
                && let Some(inode) = life.inode
            {
                self.inodes.remove(&inode);
            }
        }
    }

    fn add(&mut self, life: Life) -> u64 {
        let more = life.bytes_kept();
        if self.used + more > self.most && !self.lives.is_empty() {
            self.settle();
        }
        self.used += more;
        self.next += 1;
        self.lives.insert(self.next, life);
        self.next
    }

    /// Adds up half of the files: those that are gone first, then the oldest.
    fn settle(&mut self) {
        let mut order: Vec<(bool, bool, u64)> =
            self.lives.iter().map(|(id, life)| (life.end.is_none(), life.born_ns.is_some(), *id)).collect();
        order.sort_unstable();
        let half = order.len().div_ceil(2);
        for (_, _, id) in order.into_iter().take(half) {
            self.index.forget(id);
            let Some(mut life) = self.lives.remove(&id) else { continue };
            life.bytes = self.bytes_of(&life);
            if let Some(inode) = life.inode {
                self.inodes.remove(&inode);
                self.totals.forget(inode);
            }
            if life.counts() && self.is_selected(&life) {
                self.settled.add(&life, self.by);
            }
        }
        // Renames change how long a path is.
        self.used = self.lives.values().map(Life::bytes_kept).sum();
    }

    fn is_selected(&self, life: &Life) -> bool {
        self.selection.path(life.path.as_deref()) && self.selection.process(life.process.as_deref())
    }

    fn bytes_of(&self, life: &Life) -> Option<Bytes> {
        let inode = life.inode.filter(|_| !life.mixed)?;
        Some(self.totals.of(inode))
    }

    /// What was read and written since the last call.
    pub fn moved_bytes(&mut self, sums: impl Iterator<Item = (u32, Sum)>) {
        self.totals.add(sums, |inode| self.inodes.contains_key(inode));
    }

    /// Files that are gone and not told yet, with what was read and written until now. Those without a name come `at_end`: they are in
    /// use, and may get one.
    pub fn gone(&mut self, at_end: bool) -> Vec<Life> {
        let is_gone = |end: &End| at_end || end.how != How::Nameless;
        let gone = self.lives.iter().filter(|(_, life)| life.end.as_ref().is_some_and(is_gone));
        let ids: Vec<u64> = gone.map(|(id, _)| *id).collect();
        let mut gone: Vec<Life> = ids.into_iter().filter_map(|id| self.take(id)).collect();
        gone.retain(|life| self.is_selected(life));
        gone
    }

    fn take(&mut self, id: u64) -> Option<Life> {
        let mut life = self.lives.remove(&id)?;
        self.used = self.used.saturating_sub(life.bytes_kept());
        life.bytes = self.bytes_of(&life);
        if let Some(inode) = life.inode.filter(|inode| self.inodes.get(inode) == Some(&id)) {
            self.inodes.remove(&inode);
            self.totals.forget(inode);
        }
        Some(life)
    }

    /// Rows of the files that came or went since the last call. `others`: bytes that were read and written of files without a sum of
    /// their own, which may be some of these.
    pub fn rows(&mut self, others: Option<(u64, u64)>) -> Vec<LifeRow> {
        let mut settled = std::mem::take(&mut self.settled);
        for id in self.lives.iter().filter(|(_, life)| life.counts()).map(|(id, _)| *id).collect::<Vec<_>>() {
            let alive = self.lives.get(&id).is_some_and(|life| life.end.is_none());
            let life = if alive {
                self.lives.get_mut(&id).map(|life| {
                    life.told = true;
                    life.clone()
                })
            } else {
                self.take(id)
            };
            let Some(mut life) = life else { continue };
            life.bytes = life.bytes.or_else(|| self.bytes_of(&life));
            if self.is_selected(&life) {
                settled.add(&life, self.by);
            }
        }
        let mut rows = settled.rows(self.by);
        rows.extend(others.map(|(read, written)| LifeRow::of_others(Bytes { read, written, ..Bytes::default() })));
        rows
    }

    /// How a spot's path is made absolute; see [`Spot::absolute`].
    pub fn absolute(spot: &Spot, base: Option<&FileInfo>) -> Option<Vec<u8>> {
        spot.absolute(base.and_then(|base| base.file.path.as_deref()))
    }
}

#[cfg(test)]
#[path = "../life_tests.rs"]
mod tests;
