//! File systems whose device number is anonymous (major 0), and the block device they are on.
//!
//! btrfs gives each file system an anonymous number, because it may span disks; the mount table names its device. An overlay has one
//! because it is on other file systems.

use super::disk::dev_of_rdev;
use procfs::process::MountInfo;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often at most the mount table is read again because of an unknown device.
const REREAD: Duration = Duration::from_secs(1);

/// The block devices of mounted file systems with anonymous numbers.
#[derive(Debug)]
pub struct Mounts {
    table: PathBuf,
    read: Option<Instant>,
    known: HashMap<u32, u32>,
}

impl Default for Mounts {
    fn default() -> Self {
        Self::new()
    }
}

impl Mounts {
    /// Those in this process's mount namespace.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Path::new("/proc/self/mountinfo"))
    }

    /// Those of another table, such as `/proc/1/mountinfo`.
    #[must_use]
    pub fn at(table: &Path) -> Self {
        Self { table: table.into(), read: None, known: HashMap::new() }
    }

    /// The block device of a file system's device number, both in the kernel's encoding; `dev` itself unless it is
    /// anonymous: of an overlay, that of its upper directory. `None` when the file system is on no block device (tmpfs, nfs) or is not
    /// mounted here.
    ///
    /// For an unknown device the mount table is read again, at most once a second: `now` says when.
    pub fn block_dev(&mut self, dev: u32, now: Instant) -> Option<u32> {
        if dev >> 20 != 0 {
            return Some(dev);
        }
        if !self.known.contains_key(&dev) && self.read.is_none_or(|at| now.duration_since(at) >= REREAD) {
            self.read = Some(now);
            self.known = fs::read(&self.table).map(|table| parse(&table, block_number)).unwrap_or_default();
        }
        self.known.get(&dev).copied()
    }
}

impl Mounts {
    /// The anonymous numbers of mounted file systems that are on one of these block devices.
    pub fn anonymous_on(&mut self, devs: &[u32]) -> Vec<u32> {
        self.known = fs::read(&self.table).map(|table| parse(&table, block_number)).unwrap_or_default();
        self.known.iter().filter(|(_, dev)| devs.contains(dev)).map(|(anonymous, _)| *anonymous).collect()
    }
}

/// Most overlays on overlays.
const OVERLAYS_MAX: usize = 4;

/// Anonymous device to block device: of each line whose source is a device by the judgement of `number`; and of each overlay, whose
/// upper directory (or first lower one) is on one, by the mounts of the same table.
///
/// Line by line, because one mount point that is not UTF-8 must not hide the others.
fn parse(table: &[u8], number: impl Fn(&str) -> Option<u32>) -> HashMap<u32, u32> {
    let lines = table.split(|&byte| byte == b'\n').map(String::from_utf8_lossy);
    let mounts: Vec<MountInfo> = lines.filter_map(|line| MountInfo::from_line(&line).ok()).collect();
    let mut known: HashMap<u32, u32> = mounts
        .iter()
        .filter_map(|mount| {
            let source = mount.mount_source.as_deref().filter(|source| source.starts_with("/dev/"))?;
            Some((anonymous(mount)?, number(source)?))
        })
        .collect();
    for _ in 0..OVERLAYS_MAX {
        let on = |mount: &MountInfo| {
            let below = covering(&mounts, layer(mount)?)?;
            let dev = device(below)?;
            Some((anonymous(mount)?, if dev >> 20 == 0 { *known.get(&dev)? } else { dev }))
        };
        let found: Vec<_> = mounts.iter().filter(|mount| mount.fs_type == "overlay").filter_map(on).collect();
        known.extend(found);
    }
    known
}

/// The number of a mount's file system, in the kernel's encoding.
fn device(mount: &MountInfo) -> Option<u32> {
    let (major, minor) = mount.majmin.split_once(':')?;
    Some(major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?)
}

/// The same, if it is anonymous.
fn anonymous(mount: &MountInfo) -> Option<u32> {
    device(mount).filter(|dev| dev >> 20 == 0)
}

/// The directory in which an overlay has what is written to it, or one that has what is read.
fn layer(mount: &MountInfo) -> Option<&str> {
    let option = |key| mount.super_options.get(key).and_then(Option::as_deref);
    let lower = || option("lowerdir").or_else(|| option("lowerdir+")).map(|all| all.split(':').next().unwrap_or(all));
    option("upperdir").or_else(lower).filter(|path| path.starts_with('/'))
}

/// The mount that a path is on: of the longest mount points, the last.
fn covering<'a>(mounts: &'a [MountInfo], path: &str) -> Option<&'a MountInfo> {
    let covers = mounts.iter().filter(|mount| Path::new(path).starts_with(&mount.mount_point));
    covers.max_by_key(|mount| mount.mount_point.components().count())
}

/// Whether /proc is mounted so that it shows a user no processes of others (`hidepid`), unless the user has CAP_SYS_PTRACE.
#[must_use]
pub fn hides_processes() -> bool {
    fs::read("/proc/self/mountinfo").is_ok_and(|table| hidden(&table))
}

/// The same by the mount table: of several mounts on /proc the last is seen.
fn hidden(table: &[u8]) -> bool {
    let lines = table.split(|&byte| byte == b'\n').map(String::from_utf8_lossy);
    let mut mounts = lines.filter_map(|line| MountInfo::from_line(&line).ok());
    let seen = mounts.rfind(|mount| mount.mount_point == Path::new("/proc"));
    // The kernel shows the option only where it is not 0 (proc_show_options of fs/proc/root.c).
    seen.is_some_and(|mount| mount.fs_type == "proc" && mount.super_options.contains_key("hidepid"))
}

fn block_number(path: &str) -> Option<u32> {
    let found = fs::metadata(path).ok()?;
    found.file_type().is_block_device().then(|| dev_of_rdev(found.rdev()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        40 27 0:41 /@home /home rw,noatime shared:1 - btrfs /dev/vdb rw,subvol=/@home\n\
        41 27 0:42 / /mnt/bad\xffname rw - btrfs /dev/mapper/vg-data rw\n\
        42 27 0:43 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n\
        43 27 0:44 / /nfs rw - nfs4 server:/dev/x rw\n\
        44 27 0:45 / /fuse rw - fuse /dev/fuse rw\n\
        short line\n";

    fn number(path: &str) -> Option<u32> {
        match path {
            "/dev/vdb" => Some((254 << 20) | 16),
            "/dev/mapper/vg-data" => Some(253 << 20),
            _ => None,
        }
    }

    #[test]
    fn processes_are_hidden_where_proc_was_mounted_so() {
        const HIDING: &[u8] = b"50 22 0:50 / /proc rw,relatime - proc proc rw,gid=4,hidepid=invisible\n";
        assert!(!hidden(TABLE));
        assert!(hidden(&[TABLE, b"\n", HIDING].concat()));
        assert!(!hidden(&[HIDING, TABLE].concat()), "another one was mounted over it");
    }

    #[test]
    fn btrfs_is_on_the_device_that_the_mount_table_names() {
        let found = parse(TABLE, number);
        assert_eq!(found, HashMap::from([(41, (254 << 20) | 16), (42, 253 << 20), (43, 254 << 20)]));
    }

    #[test]
    fn an_overlay_is_on_the_disk_of_its_upper_directory() {
        const OVERLAYS: &[u8] = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
            28 27 7:0 / /var/lib/containerd rw - ext4 /dev/loop0 rw\n\
            29 27 0:50 / /run/1/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=/var/lib/containerd/9/fs,workdir=/w\n\
            30 27 0:51 / /ro ro - overlay overlay ro,lowerdir=/var/lib/containers:/l2\n\
            31 27 0:52 / /inner rw - overlay overlay rw,lowerdir=/l,upperdir=/run/1/rootfs/up,workdir=/w\n\
            32 27 0:53 / /short ro - overlay overlay ro,lowerdir=7/fs:8/fs\n\
            33 27 0:54 / /tmp rw - tmpfs tmpfs rw\n\
            34 27 0:55 / /on-tmpfs rw - overlay overlay rw,lowerdir=/l,upperdir=/tmp/up,workdir=/w\n";
        let found = parse(OVERLAYS, number);
        assert_eq!(found, HashMap::from([(50, 7 << 20), (51, 254 << 20), (52, 7 << 20)]));
    }

    #[test]
    fn a_device_that_is_not_anonymous_is_itself() {
        let mut mounts = Mounts::at(Path::new("/nowhere"));
        assert_eq!(mounts.block_dev((254 << 20) | 1, Instant::now()), Some((254 << 20) | 1));
        assert_eq!(mounts.read, None);
    }

    #[test]
    fn an_unknown_device_has_the_table_read_once_a_second() {
        let mut mounts = Mounts::new();
        let start = Instant::now();
        for (after, read_at) in [(0, 0), (999, 0), (1000, 1000)] {
            assert_eq!(mounts.block_dev(0xf_fffe, start + Duration::from_millis(after)), None);
            assert_eq!(mounts.read, Some(start + Duration::from_millis(read_at)));
        }
    }
}
