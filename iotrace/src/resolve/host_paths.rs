//! Where files lie on the host, as iotrace's own mount namespace shows it: asked only for what is printed.

use super::{
    host_finder::{Finder, HostPath, Question, Who},
    names::{FileInfo, ProcessInfo},
    numbers::NumberMap,
    reader::{Answer, Meanwhile, Reader},
};
use crate::event::file::File;
use iotrace_common::file::STATE_DELETED;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is good: a file may move meanwhile, and file systems fill up. Who asks each second is to get another each time.
const AGAIN: Duration = Duration::from_millis(900);

/// When it was asked for, and what came.
type Asked<T> = (Instant, Answer<Option<T>>);

/// Most containers whose mount tables were asked for, and most file systems; likewise.
const GROUPS_MAX: usize = 4096;
/// How many processes of a container may have the host's own root, before they are asked only once in [`AGAIN`].
const TRIES: u32 = 16;

/// Paths on the host by the numbers of files, and the free space of file systems.
#[derive(Debug, Default)]
pub(super) struct HostPaths {
    /// Most files remembered; when it is reached, all are forgotten.
    most: usize,
    reader: Reader,
    finder: Arc<Mutex<Finder>>,
    tables: HashMap<String, Table>,
    files: NumberMap<u64, Asked<Arc<HostPath>>>,
    /// Files whose paths are the host's, as the containers with these control groups see them.
    seen: HashMap<String, NumberMap<u64, Asked<Arc<FileInfo>>>>,
    /// How many these are.
    seen_files: usize,
    /// By device, and the mount that files are seen through.
    free: NumberMap<(u32, Option<u64>), Asked<Arc<Free>>>,
}

/// A container's mount table, and whether it is surely the container's own.
#[derive(Debug)]
struct Table {
    own: Answer<bool>,
    asked: Instant,
    tries: u32,
}

/// Where a file system is mounted on the host, and what is free of it, in bytes and in per cent.
#[derive(Clone, Debug, PartialEq)]
pub struct Free {
    /// The mount point; of several, the one that the file's path on the host leads through, or the first.
    pub mount: Vec<u8>,
    /// Bytes that users may take.
    pub available: u64,
    /// Bytes that users may take, of those that are in use or may be taken: what `df` shows as used is the rest of 100.
    pub bytes: Option<f64>,
    /// Inodes; `None` where the file system makes them as it needs them.
    pub inodes: Option<f64>,
}

impl HostPaths {
    /// That remembers so many files.
    pub(super) fn limited(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// What has to be done from now on while somebody waits for paths.
    pub(super) fn meanwhile(&self, meanwhile: Meanwhile) {
        self.reader.meanwhile(meanwhile);
    }

    /// Has the mount table of a container's process remembered, since the process may be gone when it is needed.
    pub(super) fn remember(&mut self, process: &ProcessInfo, now: Instant) {
        let (Who::Group(group), pid, start_ns) = user(process) else { return };
        if !is_contained(process) {
            return;
        }
        let known = self.tables.get(&group);
        let tries = known.map_or(0, |table| table.tries);
        let settled = known.is_some_and(|table| table.own.is_open() || table.own.now() == Some(&true));
        let soon = known.is_some_and(|table| tries >= TRIES && now.duration_since(table.asked) < AGAIN);
        if settled || soon {
            return;
        }
        if self.tables.len() >= GROUPS_MAX {
            self.tables.clear();
        }
        let (finder, who) = (self.finder.clone(), Who::Group(group.clone()));
        let own = self.reader.ask(move || lock(&finder).remember(&who, pid, start_ns));
        self.tables.insert(group, Table { own, asked: now, tries: tries + 1 });
    }

    /// A file as a process sees it, whose path is the host's. Waits a little for the answer.
    pub(super) fn as_seen(&mut self, file: Arc<FileInfo>, process: &ProcessInfo, now: Instant) -> Arc<FileInfo> {
        if !file.file.inside_fs || file.file.cut || !is_contained(process) {
            return file;
        }
        let group = process.process.cgroup.as_str();
        if let Some((asked, answer)) = self.seen.get(group).and_then(|files| files.get(&file.file.id))
            && (now.duration_since(*asked) < AGAIN || answer.now().is_some_and(Option::is_some))
        {
            return answer.get().cloned().flatten().unwrap_or(file);
        }
        let answer = self.ask_as_seen(file.clone(), process);
        if self.seen_files >= self.most {
            self.seen.clear();
            self.seen_files = 0;
        }
        let files = self.seen.entry(group.to_owned()).or_default();
        self.seen_files += usize::from(files.insert(file.file.id, (now, answer.clone())).is_none());
        answer.get().cloned().flatten().unwrap_or(file)
    }

    fn ask_as_seen(&mut self, file: Arc<FileInfo>, process: &ProcessInfo) -> Answer<Option<Arc<FileInfo>>> {
        let (finder, (who, pid, start_ns)) = (self.finder.clone(), user(process));
        self.reader.ask(move || {
            let on_host = file.file.path.clone()?;
            let path = lock(&finder).find_inside(&who, pid, start_ns, file.file.key.dev, &on_host)?;
            let seen = File { path: Some(path), ..file.file.clone() };
            Some(Arc::new(FileInfo { file: seen, disk: file.disk.clone(), on_host: Some(on_host) }))
        })
    }

    /// Where a file lies that a process uses; where nobody is known, only of a file whose path is the host's. `writes`: it may just have
    /// been copied up. Waits a little for the answer.
    pub(super) fn find(
        &mut self,
        file: &FileInfo,
        process: Option<&ProcessInfo>,
        writes: bool,
        now: Instant,
    ) -> Option<Arc<HostPath>> {
        if let Some((asked, answer)) = self.files.get(&file.file.id) {
            let may_have_moved =
                writes && answer.now().is_some_and(|found| found.as_ref().is_some_and(|host| host.lower));
            if now.duration_since(*asked) < AGAIN && !may_have_moved {
                return answer.get().cloned().flatten();
            }
        }
        let question = question(file, process)?;
        if self.files.len() >= self.most {
            self.files.clear();
        }
        let finder = self.finder.clone();
        let answer = self.reader.ask(move || lock(&finder).find(&question).map(Arc::new));
        self.files.insert(file.file.id, (now, answer.clone()));
        answer.get().cloned().flatten()
    }

    /// Where a file that was copied up lies in the layer that it comes from. Waits likewise; it is asked once for each copy-up, so
    /// nothing is remembered.
    pub(super) fn find_below(&mut self, file: &FileInfo, process: &ProcessInfo) -> Option<HostPath> {
        let question = question(file, Some(process))?;
        let finder = self.finder.clone();
        let answer = self.reader.ask(move || lock(&finder).find_below(&question));
        answer.get().cloned().flatten()
    }

    /// The path under which a process sees a file of an overlay's upper directory. Waits likewise.
    pub(super) fn find_above(&mut self, upper: &FileInfo, process: &ProcessInfo) -> Option<Vec<u8>> {
        let path = upper.file.path.clone().filter(|path| path.starts_with(b"/"))?;
        let (finder, (who, pid, start_ns)) = (self.finder.clone(), user(process));
        let answer = self.reader.ask(move || lock(&finder).find_above(&who, pid, start_ns, &path));
        answer.get().cloned().flatten()
    }

    /// What is free of the file system that a file is on; `host`: where it lies.
    pub(super) fn free(&mut self, dev: u32, host: Option<&HostPath>, now: Instant) -> Option<Arc<Free>> {
        let key = (dev, host.and_then(|host| host.mount));
        if let Some((asked, answer)) = self.free.get(&key)
            && now.duration_since(*asked) < AGAIN
        {
            return answer.get().cloned().flatten();
        }
        if self.free.len() >= GROUPS_MAX {
            self.free.clear();
        }
        let (finder, path) = (self.finder.clone(), host.map(|host| host.path.clone()));
        let answer = self.reader.ask(move || lock(&finder).free(dev, path.as_deref()).map(Arc::new));
        self.free.insert(key, (now, answer.clone()));
        answer.get().cloned().flatten()
    }
}

fn lock(finder: &Mutex<Finder>) -> std::sync::MutexGuard<'_, Finder> {
    finder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to ask for a file; `None` where it is none that lies somewhere.
fn question(file: &FileInfo, process: Option<&ProcessInfo>) -> Option<Question> {
    let key = &file.file.key;
    // What was done by name has no inode.
    let known = key.mode() != 0 && key.state & STATE_DELETED == 0;
    let path = file.on_host.as_ref().or(file.file.path.as_ref());
    let path = path.filter(|path| known && path.starts_with(b"/"))?.clone();
    // The host's own path needs nobody's mounts.
    let nobody = (Who::Process(0, 0), 0, 0);
    let user_of = process.filter(|_| !file.file.inside_fs);
    let (who, pid, start_ns) = if file.file.inside_fs { nobody } else { user(process?) };
    let contained = user_of.is_some_and(is_contained);
    Some(Question { who, contained, pid, start_ns, path, dev: key.dev, ino: key.ino, kind: key.mode() })
}

/// Whether it is in a container, so that its mounts are not iotrace's own.
fn is_contained(process: &ProcessInfo) -> bool {
    process.is_inside() && process.resident.as_ref().is_some_and(|found| !found.is_service())
}

/// Whose mounts count: those of a container or service are the same for all its processes.
fn user(process: &ProcessInfo) -> (Who, u32, u64) {
    let (pid, start_ns) = (process.process.pid, process.process.start_ns);
    let who =
        if process.is_inside() { Who::Group(process.process.cgroup.clone()) } else { Who::Process(pid, start_ns) };
    (who, pid, start_ns)
}
