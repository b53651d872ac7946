//! Where file systems are mounted: the way from a path inside a file system to one that `ls` finds.

use procfs::process::MountInfo;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often at most the mount table is read again because of an unknown device.
const REREAD: Duration = Duration::from_secs(1);

/// Mounts by device, the widest and shortest first.
#[derive(Debug)]
pub struct Points {
    table: PathBuf,
    read: Option<Instant>,
    known: HashMap<u32, Vec<Point>>,
}

/// A mount: this directory of the file system is seen at that place.
#[derive(Debug, PartialEq, Eq)]
struct Point {
    root: String,
    place: PathBuf,
}

impl Default for Points {
    fn default() -> Self {
        Self { table: "/proc/self/mountinfo".into(), read: None, known: HashMap::new() }
    }
}

impl Points {
    /// The place of a file, from its path inside its file system; `None` when no mount here shows it. For an unknown device the mount
    /// table is read again, at most once a second: `now` says when.
    pub fn absolute(&mut self, dev: u32, inside: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.look(dev, now);
        self.known.get(&dev)?.iter().find_map(|point| point.absolute(inside))
    }

    /// Whether a file system with this device number is mounted here. `now` as above.
    pub fn is_mounted(&mut self, dev: u32, now: Instant) -> bool {
        self.look(dev, now);
        self.known.contains_key(&dev)
    }

    fn look(&mut self, dev: u32, now: Instant) {
        if !self.known.contains_key(&dev) && self.read.is_none_or(|at| now.duration_since(at) >= REREAD) {
            self.read = Some(now);
            self.known = fs::read(&self.table).map(|table| parse(&table)).unwrap_or_default();
        }
    }
}

impl Point {
    fn absolute(&self, inside: &[u8]) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt;
        let root = self.root.trim_end_matches('/').as_bytes();
        let rest = inside.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))?;
        let place = self.place.as_os_str().as_bytes();
        let place = place.strip_suffix(b"/").unwrap_or(place);
        let path = [place, rest].concat();
        Some(if path.is_empty() { b"/".to_vec() } else { path })
    }
}

/// Line by line, because one mount point that is not UTF-8 must not hide the others.
fn parse(table: &[u8]) -> HashMap<u32, Vec<Point>> {
    let mut known: HashMap<u32, Vec<Point>> = HashMap::new();
    for line in table.split(|&byte| byte == b'\n') {
        let Ok(mount) = MountInfo::from_line(&String::from_utf8_lossy(line)) else { continue };
        let Some((major, minor)) = mount.majmin.split_once(':') else { continue };
        let (Ok(major), Ok(minor)) = (major.parse::<u32>(), minor.parse::<u32>()) else { continue };
        let point = Point { root: mount.root, place: mount.mount_point };
        known.entry(major << 20 | minor).or_default().push(point);
    }
    let length = |place: &Path| place.as_os_str().len();
    for points in known.values_mut() {
        points.sort_by_key(|point| (point.root.len(), length(&point.place)));
    }
    known
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        40 27 0:41 /@home /home rw shared:1 - btrfs /dev/vdb rw\n\
        41 27 254:16 /data /srv/data rw - ext4 /dev/vdb rw\n\
        42 27 254:16 / /mnt/disk rw - ext4 /dev/vdb rw\n";

    fn at(major: u32, minor: u32, inside: &str) -> Option<String> {
        let mut points = Points { known: parse(TABLE), ..Points::default() };
        let path = points.absolute(major << 20 | minor, inside.as_bytes(), Instant::now());
        path.map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn a_file_lies_below_the_mount_of_its_file_system() {
        assert_eq!(at(254, 0, "/var/log/x").as_deref(), Some("/var/log/x"));
        assert_eq!(at(254, 16, "/data/x").as_deref(), Some("/mnt/disk/data/x"));
        assert_eq!(at(0, 41, "/@home/me/x").as_deref(), Some("/home/me/x"));
    }

    #[test]
    fn a_device_in_the_table_is_mounted() {
        let mut points = Points { known: parse(TABLE), ..Points::default() };
        assert!(points.is_mounted(254 << 20, Instant::now()));
        assert!(!points.is_mounted(9 << 20, Instant::now()));
    }

    #[test]
    fn what_no_mount_shows_has_no_place() {
        assert_eq!(at(0, 41, "/@homestead/x"), None);
        assert_eq!(at(9, 9, "/x"), None);
    }
}
