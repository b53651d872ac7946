//! Block devices: names for device numbers and the other way round, from sysfs.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most devices remembered, known and unknown ones together; when full the cache starts anew.
const CACHE_MAX: usize = 4096;
/// Most layers of stacked devices followed (dm on md on dm ... on disks). The kernel itself forbids cycles.
const STACK_MAX: usize = 16;

/// A block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its name as in `/dev`: `vda1`, `mapper/vg-root`, `md0`, `loop3`.
    pub name: String,
    /// Name of the whole disk: `vda` for `vda1`; its own for all that is no partition.
    pub disk: String,
    /// Device number of the whole disk, in the kernel's encoding.
    pub whole: u32,
}

/// No block device has the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no disk named {0}: see lsblk")]
pub struct UnknownDisk(String);

/// Looks block devices up and remembers them.
#[derive(Debug)]
pub struct Disks {
    sys: PathBuf,
    dev: PathBuf,
    known: HashMap<u32, Option<Arc<Disk>>>,
}

impl Default for Disks {
    fn default() -> Self {
        Self::new()
    }
}

impl Disks {
    /// The running system's.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Path::new("/sys"), Path::new("/dev"))
    }

    /// Those of a sysfs and a `/dev` that are mounted elsewhere.
    #[must_use]
    pub fn at(sys: &Path, dev: &Path) -> Self {
        Self { sys: sys.into(), dev: dev.into(), known: HashMap::new() }
    }

    /// The device with a number in the kernel's encoding (major << 20 | minor); `None` when it is no block device
    /// (btrfs, overlayfs and network file systems have anonymous numbers), or is gone.
    pub fn of(&mut self, dev: u32) -> Option<Arc<Disk>> {
        if let Some(known) = self.known.get(&dev) {
            return known.clone();
        }
        let disk = self.read(dev).map(Arc::new);
        if self.known.len() >= CACHE_MAX {
            self.known.clear();
        }
        self.known.insert(dev, disk.clone());
        disk
    }

    /// Forgets all, so that devices added, renamed or removed since are seen.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// The numbers that a name on the command line means: a whole disk's own first, then those of its partitions.
    ///
    /// Takes a name with or without `/dev/`: `vda`, `vda1`, `dm-0`, `mapper/NAME`, and links such as
    /// `/dev/disk/by-uuid/...`.
    ///
    /// # Errors
    /// [`UnknownDisk`] when no block device has the name.
    pub fn find(&self, name: &str) -> Result<Vec<u32>, UnknownDisk> {
        let short = name.strip_prefix("/dev/").unwrap_or(name);
        let dev = self.node(short).or_else(|| self.named(short)).ok_or_else(|| UnknownDisk(name.into()))?;
        let mut found = vec![dev];
        // A partition's directory lies in that of its disk.
        let partitions = entries(&self.directory(dev)).into_iter().filter(|path| path.join("partition").exists());
        let mut partitions: Vec<u32> = partitions.filter_map(|path| number(&path)).collect();
        partitions.sort_unstable();
        found.extend(partitions);
        Ok(found)
    }

    /// All that a device-mapper or md device (or a partition of one) stands on, down to whole disks, in ascending order; empty for
    /// a device that stands on no other.
    #[must_use]
    pub fn below(&self, dev: u32) -> Vec<u32> {
        let mut below = BTreeSet::new();
        self.collect_below(dev, STACK_MAX, &mut below);
        below.into_iter().collect()
    }

    fn collect_below(&self, dev: u32, depth: usize, below: &mut BTreeSet<u32>) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let Some(whole) = self.read(dev).map(|disk| disk.whole) else { return };
        for slave in entries(&self.directory(whole).join("slaves")).iter().filter_map(|path| number(path)) {
            let Some(disk) = self.read(slave).map(|disk| disk.whole) else { continue };
            if below.insert(slave) {
                below.insert(disk);
                self.collect_below(disk, depth, below);
            }
        }
    }

    /// The stacked devices (device-mapper, md) that stand on a device, and their partitions, in ascending order.
    #[must_use]
    pub fn holders(&self, dev: u32) -> Vec<u32> {
        let mut above = BTreeSet::new();
        self.collect_holders(dev, STACK_MAX, &mut above);
        above.into_iter().collect()
    }

    fn collect_holders(&self, dev: u32, depth: usize, above: &mut BTreeSet<u32>) {
        let Some(depth) = depth.checked_sub(1) else { return };
        for holder in entries(&self.directory(dev).join("holders")).iter().filter_map(|path| number(path)) {
            let partitions =
                entries(&self.directory(holder)).into_iter().filter(|path| path.join("partition").exists());
            for found in partitions.filter_map(|path| number(&path)).chain([holder]) {
                if above.insert(found) {
                    self.collect_holders(found, depth, above);
                }
            }
        }
    }

    fn directory(&self, dev: u32) -> PathBuf {
        self.sys.join("dev/block").join(dev_text(dev))
    }

    fn read(&self, dev: u32) -> Option<Disk> {
        // Resolved, because a partition's parent directory is its disk's, and the link lies elsewhere.
        let own = fs::canonicalize(self.directory(dev)).ok()?;
        let name = device_name(&own)?;
        if own.join("partition").exists() {
            let whole = own.parent()?;
            return Some(Disk { name, disk: device_name(whole)?, whole: number(whole)? });
        }
        Some(Disk { disk: name.clone(), name, whole: dev })
    }

    /// The number of a device node under `/dev`.
    fn node(&self, name: &str) -> Option<u32> {
        let found = fs::metadata(self.dev.join(name)).ok()?;
        found.file_type().is_block_device().then(|| dev_of_rdev(found.rdev()))
    }

    /// The number by sysfs alone: a container's `/dev` often lacks the nodes.
    fn named(&self, name: &str) -> Option<u32> {
        let target = fs::canonicalize(self.dev.join(name)).ok();
        let linked = target.as_deref().and_then(|path| path.strip_prefix(&self.dev).ok()?.to_str());
        let class = self.sys.join("class/block");
        let candidates = || [Some(name), linked].into_iter().flatten().filter(|name| !name.is_empty());
        // sysfs writes the slash of names such as cciss/c0d0 as an exclamation mark.
        candidates().find_map(|name| number(&class.join(name.replace('/', "!")))).or_else(|| {
            entries(&class)
                .iter()
                .find(|path| candidates().any(|name| is_mapper(path, name)))
                .and_then(|path| number(path))
        })
    }
}

/// The kernel's encoding (major << 20 | minor, include/linux/kdev_t.h) of a number from `stat`.
#[must_use]
pub fn dev_of_rdev(rdev: u64) -> u32 {
    (libc::major(rdev) << 20) | (libc::minor(rdev) & 0xf_ffff)
}

/// `254:0` for a number in the kernel's encoding.
#[must_use]
pub fn dev_text(dev: u32) -> String {
    DevNumber(dev).to_string()
}

/// A number in the kernel's encoding that is shown as `254:0`.
#[derive(Clone, Copy, Debug)]
pub struct DevNumber(pub u32);

impl fmt::Display for DevNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 20, self.0 & 0xf_ffff)
    }
}

/// Paths in a directory; none when it cannot be read.
pub(super) fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The number in a device's sysfs directory.
pub(super) fn number(directory: &Path) -> Option<u32> {
    let text = fs::read_to_string(directory.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse::<u32>().ok()? << 20) | minor.parse::<u32>().ok()?)
}

/// `vg-root` of a device-mapper device.
fn mapper_name(directory: &Path) -> Option<String> {
    Some(fs::read_to_string(directory.join("dm/name")).ok()?.trim_end_matches('\n').to_owned())
}

fn is_mapper(directory: &Path, name: &str) -> bool {
    name.strip_prefix("mapper/").is_some_and(|wanted| mapper_name(directory).is_some_and(|own| own == wanted))
}

/// The name in `/dev` by a device's sysfs directory.
pub(super) fn device_name(directory: &Path) -> Option<String> {
    if let Some(name) = mapper_name(directory) {
        return Some(format!("mapper/{name}"));
    }
    Some(directory.file_name()?.to_str()?.replace('!', "/"))
}

#[cfg(test)]
#[path = "disk_tests.rs"]
pub(super) mod tests;
