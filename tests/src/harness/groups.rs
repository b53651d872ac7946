//! What containers leave behind when a test fails: control groups, processes, mounts.

use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Two tests would use the same control groups.
static ALONE: Mutex<()> = Mutex::new(());
/// Nor do those of another checkout on the same machine.
const LOCK: &str = "iotrace-test-groups.lock";

/// Control groups that were not there before, in each hierarchy. Dropped, they are removed.
#[derive(Debug)]
pub(super) struct Groups {
    directories: Vec<PathBuf>,
    _lock: File,
    _alone: MutexGuard<'static, ()>,
}

impl Groups {
    /// Those with these names. Waits until no other test uses any.
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = File::create(std::env::temp_dir().join(LOCK)).unwrap();
        lock.lock().unwrap();
        let directories = names.into_iter().flat_map(|name| places(name)).filter(|group| !group.exists());
        Self { directories: directories.collect(), _lock: lock, _alone: alone }
    }

    /// Ends what a test that failed left running.
    pub(super) fn kill(&self) {
        for group in self.all() {
            let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for pid in list.lines().filter_map(|line| line.parse().ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = PathBuf> {
        self.directories.iter().flat_map(|group| tree(group))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in self.all() {
            let _ = fs::remove_dir(group);
        }
    }
}

/// A directory and all below it, the deepest first.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let inside = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut found: Vec<PathBuf> = inside.flat_map(|entry| tree(&entry.path())).collect();
    found.push(directory.into());
    found
}

/// Where control groups with a name are, in each hierarchy.
fn places(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let hierarchies = mounts.lines().filter(|line| line.starts_with("cgroup"));
    hierarchies.filter_map(|line| line.split(' ').nth(1)).map(|place| Path::new(place).join(name)).collect()
}

/// Process ids of a program that was started with something in this directory.
pub(super) fn processes_of(program: &str, place: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&words);
        text.contains(program) && text.contains(&*place.to_string_lossy())
    })
    .collect()
}

/// Takes away all mounts below a directory.
pub(super) fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for place in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(place).starts_with(directory) {
            let _ = umount2(place, MntFlags::MNT_DETACH);
        }
    }
}
