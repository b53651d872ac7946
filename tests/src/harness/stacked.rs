//! Devices that stand on others: of device-mapper, and of md.

use super::{LoopDisk, succeeds};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tempfile::TempDir;

/// dmsetup that makes nodes in `/dev/mapper` itself, whether there is a udev or not.
fn dmsetup() -> Command {
    let mut command = Command::new("dmsetup");
    command.env("DM_DISABLE_UDEV", "1");
    command
}

/// A device of device-mapper. It goes when it is dropped.
#[derive(Debug)]
pub struct Mapped {
    name: String,
}

impl Mapped {
    /// Makes one by its table: lines of `START LENGTH TARGET ARGUMENTS`. `maker` is what its uuid begins with: `LVM`, `CRYPT`.
    pub fn new(name: &str, maker: &str, table: &str) -> Self {
        Self::possible(name, maker, table).unwrap()
    }

    /// The same; the error is why the kernel cannot do it.
    ///
    /// # Errors
    /// What dmsetup says.
    pub fn possible(name: &str, maker: &str, table: &str) -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let mapped = Self { name: format!("iotrace-test-{number}-{name}") };
        let mut create = dmsetup();
        create.args(["create", &mapped.name, "--table", table, "--uuid", &format!("{maker}-{number}")]);
        let output = create.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
        if output.status.success() { Ok(mapped) } else { Err(said) }
    }

    /// As below `/dev`: `mapper/NAME`.
    pub fn name(&self) -> String {
        format!("mapper/{}", self.name)
    }

    /// The device.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(self.name())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let mut remove = dmsetup();
        remove.args(["--retry", "remove", &self.name]).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = remove.status();
    }
}

/// An ext4 file system on a device, mounted. It goes before the device does.
#[derive(Debug)]
pub struct Mounted {
    place: TempDir,
}

impl Mounted {
    /// Makes and mounts one.
    pub fn ext4(device: &Path) -> Self {
        // Nothing is left to be written in the background.
        let options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        succeeds(Command::new("mkfs.ext4").args(options).arg(device));
        let place = tempfile::tempdir().unwrap();
        mount(Some(device), place.path(), Some("ext4"), MsFlags::MS_NOATIME, None::<&str>).unwrap();
        Self { place }
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        self.place.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(self.place.path(), MntFlags::MNT_DETACH);
    }
}

/// An array of md with nothing of its own on the disks. It goes when it is dropped.
#[derive(Debug)]
pub struct Array {
    name: String,
}

impl Array {
    /// A mirror (`raid1`) of disks of so many MiB.
    pub fn mirror(name: &str, disks: &[LoopDisk], mib: u64) -> Self {
        let array = Self { name: format!("md_{name}") };
        fs::write("/sys/module/md_mod/parameters/new_array", &array.name).unwrap();
        array.set("metadata_version", "none");
        array.set("level", "raid1");
        array.set("raid_disks", &disks.len().to_string());
        for (slot, disk) in disks.iter().enumerate() {
            let dev = fs::read_to_string(format!("/sys/block/{}/dev", disk.name())).unwrap();
            array.set("new_dev", dev.trim());
            array.set(&format!("dev-{}/size", disk.name()), &(mib << 10).to_string());
            array.set(&format!("dev-{}/slot", disk.name()), &slot.to_string());
        }
        array.set("component_size", &(mib << 10).to_string());
        // The disks are the same from the start.
        array.set("resync_start", "none");
        array.set("array_state", "active");
        // Who opens it first has the kernel look for partitions.
        drop(File::open(array.path()).unwrap());
        array
    }

    /// As in /sys/block.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    fn attribute(&self, name: &str) -> PathBuf {
        Path::new("/sys/block").join(&self.name).join("md").join(name)
    }

    fn set(&self, name: &str, value: &str) {
        let file = self.attribute(name);
        fs::write(&file, value).unwrap_or_else(|error| panic!("{value} to {}: {error}", file.display()));
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        let _ = fs::write(self.attribute("array_state"), "clear");
        // The kernel takes its name away when the last one has closed it, a little later (md_free_disk of drivers/md/md.c).
        for _ in 0..500 {
            if !Path::new("/sys/block").join(&self.name).exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
