//! Which block device stands on which: partitions, device-mapper, md, loop.

use super::{
    disk::{dev_of_rdev, device_name, entries, number},
    mounts::Mounts,
};
use std::{
    ffi::OsString,
    fs,
    os::unix::{
        ffi::OsStringExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    time::Instant,
};

/// A block device and what it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name as in `/dev`: `vda1`, `mapper/vg-root`, `md0`, `loop3`.
    pub name: String,
    /// Name of the whole disk: `vda` for `vda1`; its own for all that is no partition.
    pub disk: String,
    /// What it is, in the words of lsblk: `disk`, `part`, `lvm`, `crypt`, `mpath`, `dm`, `raid1`, `loop`.
    pub kind: String,
    /// The devices that it stands on, in ascending order: none for a disk of its own; `None` when that cannot be told.
    pub on: Option<Vec<u32>>,
    /// The file that a loop device is in.
    pub backing: Option<Vec<u8>>,
}

/// Reads devices from sysfs.
#[derive(Debug)]
pub struct Devices {
    sys: PathBuf,
    mounts: Mounts,
}

impl Default for Devices {
    fn default() -> Self {
        Self::at(Path::new("/sys"), Mounts::new())
    }
}

impl Devices {
    /// Those of a sysfs that is mounted elsewhere.
    #[must_use]
    pub fn at(sys: &Path, mounts: Mounts) -> Self {
        Self { sys: sys.into(), mounts }
    }

    /// The device with a number in the kernel's encoding and this name in `/sys/class/block`; `None` when it is gone, or
    /// another one has the name by now.
    pub fn read(&mut self, dev: u32, sys_name: &str, now: Instant) -> Option<Device> {
        // Resolved, because a partition's parent directory is its disk's, and the link lies elsewhere.
        let own = fs::canonicalize(self.sys.join("class/block").join(sys_name)).ok()?;
        if number(&own) != Some(dev) {
            return None;
        }
        let whole = if own.join("partition").exists() { own.parent()? } else { &own };
        let backing = attribute(&own.join("loop/backing_file"));
        Some(Device {
            name: device_name(&own)?,
            disk: device_name(whole)?,
            kind: kind(&own),
            on: self.below(&own, backing.as_deref(), now),
            backing,
        })
    }

    fn below(&mut self, own: &Path, backing: Option<&[u8]>, now: Instant) -> Option<Vec<u32>> {
        if own.join("partition").exists() {
            return Some(vec![number(own.parent()?)?]);
        }
        if let Some(file) = backing {
            let file = fs::metadata(OsString::from_vec(file.to_owned())).ok()?;
            let dev = dev_of_rdev(if file.file_type().is_block_device() { file.rdev() } else { file.dev() });
            return self.mounts.block_dev(dev, now).map(|dev| vec![dev]);
        }
        let mut slaves: Vec<u32> = entries(&own.join("slaves")).iter().filter_map(|path| number(path)).collect();
        slaves.sort_unstable();
        Some(slaves)
    }
}

/// An attribute without the newline at its end.
fn attribute(file: &Path) -> Option<Vec<u8>> {
    let mut value = fs::read(file).ok()?;
    value.pop_if(|last| *last == b'\n');
    Some(value)
}

fn text(file: &Path) -> Option<String> {
    String::from_utf8(attribute(file)?).ok().filter(|text| !text.is_empty())
}

fn kind(own: &Path) -> String {
    if own.join("partition").exists() {
        return "part".into();
    }
    if own.join("dm").exists() {
        // Who makes a device gives it a uuid that begins with its own name: LVM-..., CRYPT-LUKS2-..., part1-mpath-...
        let uuid = text(&own.join("dm/uuid")).unwrap_or_default();
        let maker = uuid.split_once('-').map_or("dm", |(maker, _)| maker).to_ascii_lowercase();
        return if maker.starts_with("part") { "part".into() } else { maker };
    }
    if own.join("md").exists() {
        return text(&own.join("md/level")).unwrap_or_else(|| "md".into());
    }
    // A loop device without a file has no such directory, only the name.
    let is_loop = own.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"loop"));
    if is_loop { "loop".into() } else { "disk".into() }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
