//! What is known of files and processes: filled from the kernel's records, limited in size.

use crate::{
    event::{Comm, file::File, process::Process},
    resolve::{
        Container, Containers, Disk, Disks, Free, HostPath, Meanwhile, Mounts, Points, Resident, from_proc,
        host_paths::HostPaths, numbers::NumberMap, role::role,
    },
};
use iotrace_common::record::COMM_LEN;
use std::{collections::HashMap, sync::Arc, time::Instant};

/// Bytes of what is remembered of a file, without its path.
const FILE: usize = size_of::<FileInfo>() + 64;

/// How much is remembered; the older half goes when it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of files and their paths.
    pub files: usize,
    /// Processes.
    pub processes: usize,
    /// Files of which is known where they lie on the host.
    pub host_paths: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 1 << 25, processes: 1 << 16, host_paths: 1 << 16 }
    }
}

/// A file under one name, with what user space found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// The kernel's record.
    pub file: File,
    /// The block device it is on.
    pub disk: Option<Arc<Disk>>,
    /// Where it lies on the host, if that is how it was found and its path is a container's.
    pub on_host: Option<Vec<u8>>,
}

/// A process, with what user space found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// The kernel's record.
    pub process: Process,
    /// What it runs in.
    pub resident: Option<Resident>,
    /// `runtime` when it is a container runtime's own: then `resident` is the container that it serves.
    pub role: Option<&'static str>,
}

impl ProcessInfo {
    /// The container or service that it runs in. Waits a little for names that are being looked up.
    pub fn container(&self) -> Option<&Container> {
        self.resident.as_ref()?.container()
    }

    /// Whether it shares the mounts of what it runs in: a runtime's own process does not.
    pub(super) fn is_inside(&self) -> bool {
        self.resident.is_some() && self.role.is_none()
    }
}

/// A time.
#[derive(Clone, Copy, Debug)]
struct Moment(Instant);

impl Default for Moment {
    fn default() -> Self {
        Self(Instant::now())
    }
}

/// Names by number.
#[derive(Debug, Default)]
pub struct Names {
    limits: Limits,
    files: NumberMap<u64, Arc<FileInfo>>,
    /// Bytes of these.
    bytes: usize,
    processes: NumberMap<u32, Arc<ProcessInfo>>,
    /// Processes whose number another one has now.
    former: HashMap<(u32, u64), Arc<ProcessInfo>>,
    containers: Containers,
    host_paths: HostPaths,
    /// Whether host paths are going to be asked for.
    pub wants_host_paths: bool,
    /// The time, as it was not long ago: whether an answer is old need not be known to the microsecond.
    now: Moment,
    /// Block devices.
    pub disks: Disks,
    mounts: Mounts,
    points: Points,
}

impl Names {
    /// With these limits.
    pub fn limited(limits: Limits) -> Self {
        Self { limits, host_paths: HostPaths::limited(limits.host_paths), ..Self::default() }
    }

    /// Keeps from now on what is on disk of a container only while it lives.
    pub fn watch(&self) {
        self.containers.watch();
    }

    /// What has to be done from now on while somebody waits for what only files tell.
    pub fn meanwhile(&self, meanwhile: Meanwhile) {
        self.containers.meanwhile(meanwhile.clone());
        self.host_paths.meanwhile(meanwhile);
    }

    /// Looks at the clock: before many are asked for.
    pub fn look_at_the_clock(&mut self) {
        self.now = Moment::default();
    }

    /// Whether others have to be forgotten to remember a file.
    pub fn is_full_for(&self, file: &File) -> bool {
        self.bytes + bytes_of(file) > self.limits.files
    }

    /// Remembers a file.
    pub fn add_file(&mut self, mut file: File) {
        if file.inside_fs {
            let dev = file.key.dev;
            file.place_below(|inside| self.points.absolute(dev, inside, Instant::now()));
        }
        self.bytes += bytes_of(&file);
        if self.bytes > self.limits.files && self.files.len() > 1 {
            // Numbers grow with time: the smaller half is the older one.
            let mut numbers: Vec<u64> = self.files.keys().copied().collect();
            let middle = numbers.len() / 2;
            let (_, &mut oldest_kept, _) = numbers.select_nth_unstable(middle);
            self.files.retain(|number, _| *number >= oldest_kept);
            self.bytes = bytes_of(&file) + self.files.values().map(|known| bytes_of(&known.file)).sum::<usize>();
        }
        let disk = self.disk(file.key.dev);
        if let Some(before) = self.files.insert(file.id, Arc::new(FileInfo { file, disk, on_host: None })) {
            self.bytes -= bytes_of(&before.file);
        }
    }

    /// Remembers a process.
    pub fn add_process(&mut self, process: Process) {
        if self.processes.len() + self.former.len() >= self.limits.processes && !self.processes.is_empty() {
            self.former.clear();
            let mut starts: Vec<u64> = self.processes.values().map(|known| known.process.start_ns).collect();
            let middle = starts.len() / 2;
            let (_, &mut oldest_kept, _) = starts.select_nth_unstable(middle);
            self.processes.retain(|_, known| known.process.start_ns >= oldest_kept);
        }
        let (comm, cgroup) = (process.comm.bytes(), process.cgroup.as_str());
        let role = role(comm, cgroup, Container::from_cgroup(cgroup).as_ref());
        let served = role.and_then(|_| self.containers.served_by(process.pid, comm, cgroup));
        let resident = served.or_else(|| self.containers.find(cgroup, Instant::now()));
        let (pid, start_ns) = (process.pid, process.start_ns);
        let known = Arc::new(ProcessInfo { process, resident, role });
        self.host_paths.remember(&known, Instant::now());
        let before = self.processes.insert(pid, known);
        if let Some(before) = before.filter(|before| before.process.start_ns != start_ns) {
            self.former.insert((pid, before.process.start_ns), before);
        }
    }

    /// A file by the number in the kernel's records; `None` when its record was lost.
    pub fn file(&self, number: u64) -> Option<&Arc<FileInfo>> {
        self.files.get(&number)
    }

    /// The process with a number; with `start_ns`, the one that started then. Where the kernel's record was lost, /proc is asked.
    pub fn process(&mut self, pid: u32, start_ns: Option<u64>) -> Option<Arc<ProcessInfo>> {
        let fits = |known: &&Arc<ProcessInfo>| start_ns.is_none_or(|start_ns| known.process.start_ns == start_ns);
        if let Some(known) = self.processes.get(&pid).filter(fits) {
            return Some(known.clone());
        }
        if let Some(known) = start_ns.and_then(|start_ns| self.former.get(&(pid, start_ns))) {
            return Some(known.clone());
        }
        let found = from_proc(pid)?;
        // /proc counts in ticks of 10 ms: another process has the number when the difference is larger.
        if start_ns.is_some_and(|start_ns| start_ns.abs_diff(found.start_ns) > 10_000_000) {
            return None;
        }
        let mut comm = [0; COMM_LEN];
        for (to, from) in comm.iter_mut().zip(found.comm) {
            *to = from;
        }
        self.add_process(Process {
            pid,
            ppid: found.ppid,
            uid: found.uid,
            start_ns: start_ns.unwrap_or(found.start_ns),
            comm: Comm(comm),
            cgroup_id: 0,
            cgroup: found.cgroup,
        });
        self.processes.get(&pid).cloned()
    }

    /// A file as a process sees it. Where only the inode was known, the path is the host's: a process in a container sees another.
    /// Waits a little for that.
    pub fn as_seen(&mut self, file: Arc<FileInfo>, process: Option<&ProcessInfo>) -> Arc<FileInfo> {
        match process {
            Some(process) => self.host_paths.as_seen(file, process, self.now.0),
            None => file,
        }
    }

    /// Where a file lies on the host that a process uses; `writes`: it did so by writing. Waits a little for the answer. Where nobody
    /// is known, that of a file whose path is the host's.
    pub fn host_path(&mut self, file: &FileInfo, process: Option<&ProcessInfo>, writes: bool) -> Option<Arc<HostPath>> {
        self.host_paths.find(file, process, writes, self.now.0)
    }

    /// Where a file of an overlay lies in the layer below the upper directory, from which it was copied up. Waits likewise.
    pub fn lower_path(&mut self, file: &FileInfo, process: &ProcessInfo) -> Option<HostPath> {
        self.host_paths.find_below(file, process)
    }

    /// The path under which a process sees a file of an upper directory. Waits likewise.
    pub fn path_above(&mut self, upper: &FileInfo, process: &ProcessInfo) -> Option<Vec<u8>> {
        self.host_paths.find_above(upper, process)
    }

    /// Where the file system with this device number is mounted, and what is free of it; `host`: where a file of it lies. Waits
    /// likewise.
    pub fn free(&mut self, dev: u32, host: Option<&HostPath>) -> Option<Arc<Free>> {
        self.host_paths.free(dev, host, self.now.0)
    }

    /// Whether a file system on this block device is mounted.
    pub fn is_mounted(&mut self, dev: u32) -> bool {
        self.points.is_mounted(dev, Instant::now())
    }

    /// The block device of a file system's device number.
    pub fn disk(&mut self, dev: u32) -> Option<Arc<Disk>> {
        let dev = self.mounts.block_dev(dev, Instant::now())?;
        self.disks.of(dev)
    }
}

fn bytes_of(file: &File) -> usize {
    FILE + file.path.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use iotrace_common::file::FileKey;

    fn process(pid: u32, start_ns: u64, name: u8) -> Process {
        let mut comm = [0; COMM_LEN];
        comm[0] = name;
        Process { pid, ppid: 1, uid: 0, start_ns, comm: Comm(comm), cgroup_id: 0, cgroup: "/".into() }
    }

    #[test]
    fn a_number_used_again_keeps_both_processes_apart() {
        let mut names = Names::default();
        names.add_process(process(u32::MAX, 1, b'a'));
        names.add_process(process(u32::MAX, 2, b'b'));
        let name = |names: &mut Names, start| names.process(u32::MAX, start).unwrap().process.comm.0[0];
        assert_eq!(name(&mut names, Some(1)), b'a');
        assert_eq!(name(&mut names, Some(2)), b'b');
        assert_eq!(name(&mut names, None), b'b');
        assert_eq!(names.process(u32::MAX, Some(3)), None);
    }

    #[test]
    fn files_and_processes_are_forgotten_when_there_are_too_many_the_oldest_first() {
        let mut names = Names::limited(Limits { files: 100 * FILE, processes: 50, host_paths: 1 });
        for id in 1..1009 {
            let path = Some(vec![b'/'; if id % 97 == 0 { 4096 } else { 7 }]);
            let key = FileKey { dev: 254 << 20, ..FileKey::default() };
            names.add_file(File { id, key, fs: "ext4".into(), path, cut: false, inside_fs: false });
            assert!(names.bytes <= 100 * FILE && names.file(id).is_some(), "{id}: {}", names.bytes);
            let held: usize = names.files.values().map(|known| bytes_of(&known.file)).sum();
            assert_eq!(held, names.bytes);
            // Numbers that /proc does not have.
            names.add_process(process(u32::MAX - id as u32, id, b'a'));
            assert!(names.processes.len() <= 50);
        }
        assert!(names.file(1).is_none() && names.file(1007).is_some());
    }

    #[test]
    fn a_new_program_renames_its_process() {
        let mut names = Names::default();
        names.add_process(process(u32::MAX, 1, b'a'));
        names.add_process(process(u32::MAX, 1, b'b'));
        assert_eq!(names.process(u32::MAX, Some(1)).unwrap().process.comm.bytes(), b"b");
    }
}
