//! A disk to read from: one that does nothing (null_blk) where there is one, else a loop device.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

const NULL: &str = "/dev/nullb0";
/// More than is read.
const SIZE: u64 = 16 << 20;

/// A disk. A loop device goes away when this is dropped.
pub(crate) struct Disk {
    /// Its device.
    pub(crate) device: PathBuf,
    is_loop: bool,
}

impl Disk {
    /// Finds or makes one.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        if Path::new(NULL).exists() {
            return Ok(Self { device: NULL.into(), is_loop: false });
        }
        let file = dir.join("disk");
        File::create(&file).and_then(|file| file.set_len(SIZE)).context("file of a loop device")?;
        let shell = Shell::new().context("current directory")?;
        let device =
            cmd!(shell, "losetup --find --show {file}").quiet().ignore_stderr().read().context("loop device")?;
        Ok(Self { device: device.trim().into(), is_loop: true })
    }

    /// For people.
    pub(crate) fn kind(&self) -> &'static str {
        if self.is_loop { "a loop device" } else { "null_blk" }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_loop
            && let Ok(shell) = Shell::new()
        {
            let device = &self.device;
            // It stays as long as the load has it open, and then goes.
            let _ = cmd!(shell, "losetup --detach {device}").quiet().ignore_stderr().run();
        }
    }
}
