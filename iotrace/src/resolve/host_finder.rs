//! The way from a path in some mount namespace to one in iotrace's own. Reads files: for the reader's thread.

use super::{
    Runtimes, from_proc,
    host_paths::Free,
    mount_table::{MountTable, below, join},
    overlay::{Found, Layers},
    volume::volume,
};
use nix::sys::statvfs::statvfs;
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Most mount tables remembered; when it is reached, all are forgotten.
const TABLES_MAX: usize = 1024;
/// Most processes of a control group that are asked for their mounts.
const MEMBERS: usize = 8;
/// How long a mount table is good.
const AGAIN: Duration = Duration::from_secs(1);
/// `/proc` counts the start of a process in ticks of so many nanoseconds.
const TICK_NS: u64 = 10_000_000;

/// A file's place on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPath {
    /// Its path in iotrace's own mount namespace.
    pub path: Vec<u8>,
    /// The volume of a container runtime that it is in.
    pub volume: Option<String>,
    /// Bytes in it, and when that was so; `None` where it may not be looked at.
    pub size: Option<(u64, Instant)>,
    /// It is in a lower layer of an overlay.
    pub(super) lower: bool,
    /// Number of the mount that it is seen through.
    pub(super) mount: Option<u64>,
}

impl HostPath {
    /// A path that is known to be one of the host.
    pub(crate) fn at(path: &[u8]) -> Self {
        Self { path: path.into(), volume: None, size: None, lower: false, mount: None }
    }
}

/// Whose mounts count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A container's or service's, by its control group.
    Group(String),
    /// A process's own, by number and start.
    Process(u32, u64),
}

/// A file as a process sees it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) who: Who,
    /// The process is in a container, so that its mounts are not iotrace's own.
    pub(super) contained: bool,
    pub(super) pid: u32,
    pub(super) start_ns: u64,
    /// In the process's mount namespace.
    pub(super) path: Vec<u8>,
    /// Device of the file system.
    pub(super) dev: u32,
    pub(super) ino: u64,
    /// S_IFMT bits of the mode.
    pub(super) kind: u32,
}

/// A mount table, and when it was read.
#[derive(Debug)]
struct Known {
    asked: Instant,
    mounts: MountTable,
}

/// Mount tables, and where relative layers of overlays count from.
#[derive(Debug)]
pub(super) struct Finder {
    own: Option<(Instant, MountTable)>,
    tables: HashMap<Who, Known>,
    bases: Vec<PathBuf>,
}

impl Default for Finder {
    fn default() -> Self {
        Self { own: None, tables: HashMap::new(), bases: Runtimes::default().layer_bases() }
    }
}

impl Finder {
    /// Reads the mount table of a process of a container; whether it is surely the container's own: the runtime starts a
    /// container in a copy of the host's mounts.
    pub(super) fn remember(&mut self, who: &Who, pid: u32, start_ns: u64) -> bool {
        self.read(who, pid, start_ns);
        self.tables.get(who).is_some_and(|known| !self.has_our_root(&known.mounts))
    }

    /// Where a file lies; `None` when it is not known, or no path leads there.
    pub(super) fn find(&mut self, file: &Question) -> Option<HostPath> {
        let Found { path, lower } = self.place(file)?;
        let size = metadata(&path).ok().map(|found| (found.len(), Instant::now()));
        let mount = self.own().covering(&path).map(|mount| mount.id);
        Some(HostPath { volume: volume(&path), path, size, lower, mount })
    }

    /// Where a file of an overlay lies in the first lower layer that has it.
    pub(super) fn find_below(&mut self, file: &Question) -> Option<HostPath> {
        if !self.tables.contains_key(&file.who) {
            self.read(&file.who, file.pid, file.start_ns);
        }
        let of = |table: &MountTable| {
            let mount = table.covering(&file.path).filter(|mount| mount.dev == file.dev && mount.fs == b"overlay");
            mount.and_then(|mount| Some((Layers::of(mount, &self.bases), mount.inside(&file.path)?)))
        };
        let (own, theirs) = (self.own.as_ref(), self.tables.get(&file.who));
        let theirs = theirs.and_then(|known| of(&known.mounts));
        let (layers, inside) = theirs.or_else(|| own.and_then(|(_, table)| of(table)))?;
        // Another namespace's names may lead to other files here.
        let seen = own.is_some_and(|(_, own)| own.any_place(file.dev).is_some());
        let path = layers.find_below(&inside, file.kind).filter(|_| seen || layers.have(&inside, file.ino))?;
        Some(HostPath { volume: None, path, size: None, lower: true, mount: None })
    }

    /// The path under which a process of a container sees a file, from its path on the host; `None` where the container's mounts are
    /// not known, or do not show it.
    pub(super) fn find_inside(&mut self, who: &Who, pid: u32, start_ns: u64, dev: u32, path: &[u8]) -> Option<Vec<u8>> {
        let inside = self.own().covering(path).filter(|mount| mount.dev == dev).and_then(|mount| mount.inside(path));
        // A container's first process begins with the mounts that it was started from.
        if self.tables.get(who).is_none_or(|known| self.has_our_root(&known.mounts)) {
            self.read(who, pid, start_ns);
        }
        let known = self.tables.get(who).filter(|known| !self.has_our_root(&known.mounts))?;
        let mounted = inside.and_then(|inside| known.mounts.place_of(dev, &inside));
        mounted.or_else(|| in_overlay(&known.mounts, path, &self.bases))
    }

    /// The path under which a process sees a file of an overlay's upper directory, from its path on the host.
    pub(super) fn find_above(&mut self, who: &Who, pid: u32, start_ns: u64, path: &[u8]) -> Option<Vec<u8>> {
        if !self.tables.contains_key(who) {
            self.read(who, pid, start_ns);
        }
        let theirs = self.tables.get(who).map(|known| &known.mounts);
        // One that is gone, and was in no container, most likely had the mounts that are here.
        let ours = self.own.as_ref().filter(|_| matches!(who, Who::Process(..)));
        in_overlay(theirs.or_else(|| ours.map(|(_, table)| table))?, path, &self.bases)
    }

    fn place(&mut self, file: &Question) -> Option<Found> {
        let same = |path: Vec<u8>| Some(Found { path, lower: false });
        let shown = self.own().covering(&file.path).is_some_and(|mount| mount.dev == file.dev);
        if shown && inode(&file.path).is_ok_and(|ino| ino == file.ino) {
            // The same file, whoever's mounts they are.
            return same(file.path.clone());
        }
        let fresh = |asked: &Instant| asked.elapsed() < AGAIN;
        if !self.tables.get(&file.who).is_some_and(|known| fresh(&known.asked)) {
            self.read(&file.who, file.pid, file.start_ns);
        }
        let covered = |finder: &Self| {
            let known = finder.tables.get(&file.who)?;
            known.mounts.covering(&file.path).filter(|mount| mount.dev == file.dev).map(|mount| mount.id)
        };
        // A container's first process begins with the mounts that it was started from, then has a copy of them, and changes its root
        // last: a table that was read before that leads nowhere.
        let started = |finder: &Self| {
            file.contained && finder.tables.get(&file.who).is_some_and(|known| finder.has_our_root(&known.mounts))
        };
        if covered(self).is_none() || started(self) {
            self.read(&file.who, file.pid, file.start_ns);
        }
        if self.has_our_mounts(&file.who) {
            return same(file.path.clone()).filter(|_| !file.contained);
        }
        let table = &self.tables.get(&file.who)?.mounts;
        let (_, own) = self.own.as_ref()?;
        let mount = table.covering(&file.path).filter(|mount| mount.dev == file.dev)?;
        let inside = mount.inside(&file.path)?;
        if mount.fs == b"overlay" {
            let layers = Layers::of(mount, &self.bases);
            let found = layers.find(&inside, file.ino, file.kind)?;
            // Where the overlay is not seen here, its options may name the layers as another namespace has them.
            let sure = own.any_place(file.dev).is_some() || layers.have(&inside, file.ino);
            return Some(found).filter(|_| sure);
        }
        let place = own.place_of(file.dev, &inside)?;
        match inode(&place) {
            Ok(ino) => same(place).filter(|_| ino == file.ino),
            // It cannot be looked at, but the mounts say so, if they are surely the container's own.
            Err(ErrorKind::PermissionDenied) if !self.has_our_root(table) => same(place),
            Err(_) => None,
        }
    }

    /// What is free where a file lies, or else on its device, and where that is mounted.
    pub(super) fn free(&mut self, dev: u32, host_path: Option<&[u8]>) -> Option<Free> {
        let of = |path: &[u8]| statvfs(Path::new(OsStr::from_bytes(path))).ok();
        let parent =
            |path: &[u8]| Path::new(OsStr::from_bytes(path)).parent().map(|path| path.as_os_str().as_bytes().to_vec());
        let there = host_path.and_then(|path| {
            let found = of(path).or_else(|| of(&parent(path)?))?;
            Some((found, self.own().covering(path)?.place.clone()))
        });
        let (found, mount) = there.or_else(|| {
            let place = self.own().any_place(dev)?;
            Some((of(&place)?, place))
        })?;
        let (free, available) = (found.blocks_free(), found.blocks_available());
        let used = found.blocks().saturating_sub(free);
        Some(Free {
            mount,
            available: available * found.fragment_size(),
            bytes: per_cent(available, used + available),
            inodes: per_cent(found.files_free(), found.files()),
        })
    }

    /// iotrace's own mounts, as they are now or were a moment ago.
    fn own(&mut self) -> &MountTable {
        let now = Instant::now();
        if self.own.as_ref().is_none_or(|(asked, _)| now.duration_since(*asked) >= AGAIN) {
            self.own = None;
        }
        let read = || fs::read("/proc/self/mountinfo").map(|text| MountTable::parse(&text)).unwrap_or_default();
        &self.own.get_or_insert_with(|| (now, read())).1
    }

    /// Whether a table is that of iotrace's own mount namespace.
    fn has_our_mounts(&self, who: &Who) -> bool {
        let root = self.tables.get(who).and_then(|known| known.mounts.root());
        root.zip(self.own.as_ref()).is_some_and(|(root, (_, own))| own.has(root))
    }

    /// Whether the root directory is iotrace's own, though it may be a copy of that mount.
    fn has_our_root(&self, table: &MountTable) -> bool {
        let ours = self.own.as_ref().and_then(|(_, own)| own.root());
        table.root().zip(ours).is_none_or(|(root, ours)| root.shows_the_same(ours))
    }

    /// Reads a process's mount table; of a container whose process is gone, that of another one in it. What was known stays when
    /// there is none.
    fn read(&mut self, who: &Who, pid: u32, start_ns: u64) {
        let own = self.own();
        let mounts = mounts_of(pid, start_ns).or_else(|| match who {
            Who::Group(group) => members(own, group).into_iter().find_map(|pid| mounts_in(pid, group)),
            Who::Process(..) => None,
        });
        if let Some(mounts) = mounts {
            if self.tables.len() >= TABLES_MAX {
                self.tables.clear();
            }
            self.tables.insert(who.clone(), Known { asked: Instant::now(), mounts });
        }
    }
}

/// Processes that are in a control group now, by its path; a few where there are many.
fn members(own: &MountTable, group: &str) -> Vec<u32> {
    let procs = own.control_groups().filter_map(|mount| {
        let directory = join(&mount.place, below(group.as_bytes(), &mount.root)?);
        fs::read_to_string(Path::new(OsStr::from_bytes(&directory)).join("cgroup.procs")).ok()
    });
    procs.flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).take(MEMBERS).collect::<Vec<_>>()).collect()
}

/// The mount table of a process, by its number and start; `None` when it is gone.
fn mounts_of(pid: u32, start_ns: u64) -> Option<MountTable> {
    let text = fs::read(format!("/proc/{pid}/mountinfo")).ok()?;
    let began = from_proc(pid)?.start_ns;
    (began.abs_diff(start_ns) <= TICK_NS).then(|| MountTable::parse(&text))
}

/// The mount table of a process that is in a control group.
fn mounts_in(pid: u32, group: &str) -> Option<MountTable> {
    let start_ns = from_proc(pid)?.start_ns;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let is_in = groups.lines().any(|line| line.splitn(3, ':').nth(2) == Some(group));
    mounts_of(pid, start_ns).filter(|_| is_in)
}

/// Where an overlay of a mount table shows a file of one of its layers.
fn in_overlay(table: &MountTable, path: &[u8], bases: &[PathBuf]) -> Option<Vec<u8>> {
    table.overlays().find_map(|mount| {
        let layers = Layers::of(mount, bases);
        let place = join(&mount.place, below(layers.inside(path)?, &mount.root)?);
        // Another mount may hide it there.
        table.covering(&place).is_some_and(|shown| shown.id == mount.id).then_some(place)
    })
}

fn inode(path: &[u8]) -> Result<u64, ErrorKind> {
    metadata(path).map(|found| found.ino()).map_err(|error| error.kind())
}

fn metadata(path: &[u8]) -> io::Result<Metadata> {
    fs::symlink_metadata(Path::new(OsStr::from_bytes(path)))
}

/// With one decimal; `None` of nothing.
fn per_cent(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| (part as f64 * 1000.0 / whole as f64).floor() / 10.0)
}

#[cfg(test)]
#[path = "host_finder_tests.rs"]
mod tests;
