//! Limits of control groups on I/O: `io.max` of the v2 hierarchy, `blkio.throttle` of v1.

use crate::resolve::dev_text;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a control group may do with a disk in a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoLimit {
    /// Path of the control group in its hierarchy.
    pub cgroup: String,
    /// Bytes that are read.
    pub read_bytes: Option<u64>,
    /// Bytes that are written.
    pub write_bytes: Option<u64>,
    /// Reads.
    pub reads: Option<u64>,
    /// Writes.
    pub writes: Option<u64>,
}

impl IoLimit {
    /// As `io.max` says it: what is limited.
    #[must_use]
    pub fn text(&self) -> String {
        let all =
            [("rbps", self.read_bytes), ("wbps", self.write_bytes), ("riops", self.reads), ("wiops", self.writes)];
        let said = all.iter().filter_map(|(key, value)| Some(format!("{key}={}", (*value)?)));
        said.collect::<Vec<_>>().join(" ")
    }

    fn any(&self) -> bool {
        [self.read_bytes, self.write_bytes, self.reads, self.writes].iter().any(Option::is_some)
    }
}

/// The limit on a disk, by its number in the kernel's encoding, of the control group of a process, or of the nearest one above it
/// that has one. `known`: path of the group, for a process that is gone.
#[must_use]
pub fn io_limit(pid: u32, known: &str, disk: u32) -> Option<IoLimit> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    let groups = groups.unwrap_or_else(|_| format!("0::{known}\n1:blkio:{known}\n"));
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    limit(&groups, &mounts, &dev_text(disk))
}

/// `groups`: `/proc/PID/cgroup`; `mounts`: `/proc/self/mounts`.
fn limit(groups: &str, mounts: &str, disk: &str) -> Option<IoLimit> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let of_v1 = controllers.split(',').any(|one| one == "blkio");
        if !(of_v1 || controllers.is_empty()) {
            return None;
        }
        let root = hierarchy(mounts, of_v1)?;
        let read = if of_v1 { v1 } else { v2 };
        // The root has no limits.
        let ancestors = Path::new(path).ancestors().filter(|group| group.parent().is_some());
        ancestors.map(|group| (group, root.join(group.strip_prefix("/").unwrap_or(group)))).find_map(
            |(group, place)| {
                let limit = IoLimit { cgroup: group.to_string_lossy().into_owned(), ..read(&place, disk) };
                limit.any().then_some(limit)
            },
        )
    })
}

/// Where the v2 hierarchy is mounted, or that of v1 with the controller `blkio`.
fn hierarchy(mounts: &str, of_v1: bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
        let fits = if of_v1 {
            kind == "cgroup" && options.split(',').any(|option| option == "blkio")
        } else {
            kind == "cgroup2"
        };
        fits.then(|| place.into())
    })
}

/// Lines of `MAJOR:MINOR rbps=N wbps=max riops=N wiops=N`.
fn v2(group: &Path, disk: &str) -> IoLimit {
    let text = fs::read_to_string(group.join("io.max")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(disk)?.strip_prefix(' ')).unwrap_or_default();
    let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
    IoLimit {
        read_bytes: value("rbps"),
        write_bytes: value("wbps"),
        reads: value("riops"),
        writes: value("wiops"),
        ..IoLimit::default()
    }
}

/// Files with lines of `MAJOR:MINOR N`.
fn v1(group: &Path, disk: &str) -> IoLimit {
    let value = |file: &str| {
        let text = fs::read_to_string(group.join(format!("blkio.throttle.{file}_device"))).ok()?;
        text.lines().find_map(|line| line.strip_prefix(disk)?.strip_prefix(' ')?.trim().parse().ok())
    };
    IoLimit {
        read_bytes: value("read_bps"),
        write_bytes: value("write_bps"),
        reads: value("read_iops"),
        writes: value("write_iops"),
        ..IoLimit::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_nearest_group_with_a_limit_on_the_disk_counts() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().display();
        let group = place.path().join("v2/a/b");
        fs::create_dir_all(&group).unwrap();
        fs::write(
            place.path().join("v2/a/io.max"),
            "7:1 rbps=1 wbps=max riops=max wiops=max\n7:10 rbps=max wbps=1048576 riops=5 wiops=max\n",
        )
        .unwrap();
        fs::write(group.join("io.max"), "8:0 rbps=9 wbps=9 riops=9 wiops=9\n").unwrap();
        let mounts = format!("none {root}/v1 cgroup rw,blkio 0 0\nnone {root}/v2 cgroup2 rw 0 0\n");
        let found = limit("0::/a/b\n", &mounts, "7:10");
        let expected =
            IoLimit { cgroup: "/a".into(), write_bytes: Some(1 << 20), reads: Some(5), ..IoLimit::default() };
        assert_eq!(expected.text(), "wbps=1048576 riops=5");
        assert_eq!(found, Some(expected));
        assert_eq!(limit("0::/a/b\n", &mounts, "7:0"), None);
        assert_eq!(limit("0::/\n", &mounts, "7:10"), None);
    }

    #[test]
    fn the_first_version_has_a_file_for_each() {
        let place = tempfile::tempdir().unwrap();
        let group = place.path().join("x");
        fs::create_dir(&group).unwrap();
        fs::write(group.join("blkio.throttle.read_bps_device"), "7:3 4096\n").unwrap();
        let mounts = format!("none {} cgroup rw,relatime,blkio 0 0\n", place.path().display());
        let found = limit("4:memory:/y\n3:blkio:/x\n0::/\n", &mounts, "7:3").unwrap();
        assert_eq!((found.cgroup.as_str(), found.read_bytes, found.write_bytes), ("/x", Some(4096), None));
    }
}
