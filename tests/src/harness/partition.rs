//! A partition of a loop device.

use super::LoopDisk;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A partition that only the kernel knows of: nothing is written to the device. It goes when it is dropped.
#[derive(Debug)]
pub struct Partition {
    disk: PathBuf,
    name: String,
    number: u32,
    /// Where the host makes no nodes by itself.
    node: Option<PathBuf>,
}

impl Partition {
    /// Sectors of a device, from the first one on.
    pub fn new(disk: &LoopDisk, number: u32, first: u64, sectors: u64) -> Self {
        let words = [number.to_string(), first.to_string(), sectors.to_string()];
        assert!(Command::new("addpart").arg(disk.path()).args(words).status().unwrap().success());
        let name = format!("{}p{number}", disk.name());
        let mut partition = Self { disk: disk.path(), name, number, node: None };
        if !partition.path().exists() {
            let text =
                std::fs::read_to_string(Path::new("/sys/class/block").join(&partition.name).join("dev")).unwrap();
            let (major, minor) = text.trim().split_once(':').unwrap();
            let node = partition.path();
            assert!(Command::new("mknod").arg(&node).args(["b", major, minor]).status().unwrap().success());
            partition.node = Some(node);
        }
        partition
    }

    /// As in /sys/class/block.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            let _ = std::fs::remove_file(node);
        }
        let _ = Command::new("delpart").arg(&self.disk).arg(self.number.to_string()).status();
    }
}
