//! Processes, from `/proc`: which exist, who descends from whom, and what the kernel's record would have said.

use procfs::process::{Process, all_processes};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// What `/proc` says of a process whose record from the kernel was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent; 0 when it is outside this pid namespace.
    pub ppid: u32,
    /// Real user id.
    pub uid: u32,
    /// Start in nanoseconds since boot. `/proc` gives clock ticks (10 ms), the kernel's record is finer: compare
    /// rounded down to a tick.
    pub start_ns: u64,
    /// Name of the main thread: any bytes, at most 15.
    pub comm: Vec<u8>,
    /// Path of the control group below its hierarchy's root, by [`cgroup_path`].
    pub cgroup: String,
}

/// Whether a process exists. A thread's id is no process's.
#[must_use]
pub fn exists(pid: u32) -> bool {
    // /proc/TID can be opened too, though it is not listed; it says whose thread it is.
    status(&directory(pid), "Tgid:").is_some_and(|tgid| tgid == pid)
}

/// Whether a process has a thread.
#[must_use]
pub fn thread_exists(pid: u32, tid: u32) -> bool {
    exists(pid) && directory(pid).join("task").join(tid.to_string()).exists()
}

/// Processes and all that descend from them, those given included (existing or not), in ascending order.
///
/// One scan of `/proc`: a process that forks meanwhile may have a child that is missed.
#[must_use]
pub fn descendants(of: &[u32]) -> Vec<u32> {
    let processes = all_processes().into_iter().flatten().flatten();
    let parents = processes.filter_map(|process| process.stat().ok());
    family(of, parents.filter_map(|stat| Some((u32::try_from(stat.pid).ok()?, u32::try_from(stat.ppid).ok()?))))
}

/// The closure of `of` under (process, parent) pairs.
fn family(of: &[u32], parents: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, ppid) in parents {
        children.entry(ppid).or_default().push(pid);
    }
    let mut found = BTreeSet::new();
    let mut open = of.to_vec();
    while let Some(pid) = open.pop() {
        // Also ends the walk if processes changed places during the scan.
        if found.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found.into_iter().collect()
}

/// A process by `/proc`; `None` when it is gone, or what is read belongs to another that took its id meanwhile.
#[must_use]
pub fn from_proc(pid: u32) -> Option<ProcessInfo> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    // procfs gives the name as text; the file has the bytes.
    let mut comm = fs::read(directory(pid).join("comm")).ok()?;
    comm.pop_if(|byte| *byte == b'\n');
    let info = ProcessInfo {
        pid,
        ppid: u32::try_from(stat.ppid).ok()?,
        uid: status(&directory(pid), "Uid:")?,
        start_ns: stat.starttime.checked_mul(1_000_000_000 / procfs::ticks_per_second())?,
        comm,
        cgroup: fs::read(directory(pid).join("cgroup")).map(|file| cgroup_path(&file)).unwrap_or_default(),
    };
    // `process` holds the directory open, so it fails once that process is gone.
    process.stat().is_ok().then_some(info)
}

/// The path in a `/proc/PID/cgroup` file that tells most: the v2 hierarchy's, unless that is the root, as it is where v1
/// hierarchies do the work; then systemd's, then the first that is not the root. `/` when all are.
#[must_use]
pub fn cgroup_path(file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file);
    let groups = || {
        text.lines().filter_map(|line| {
            let (id, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            Some((id, controllers, path)).filter(|_| path != "/")
        })
    };
    let chosen = groups()
        .find(|&(id, controllers, _)| id == "0" && controllers.is_empty())
        .or_else(|| groups().find(|&(_, controllers, _)| controllers == "name=systemd"))
        .or_else(|| groups().next());
    chosen.map_or_else(|| "/".into(), |(_, _, path)| path.into())
}

fn directory(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The first number of a line in `status`. Read as bytes, because the name in it need not be UTF-8.
fn status(directory: &Path, key: &str) -> Option<u32> {
    let file = fs::read(directory.join("status")).ok()?;
    let mut lines = file.split(|&byte| byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(key.as_bytes()))?;
    str::from_utf8(line).ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
