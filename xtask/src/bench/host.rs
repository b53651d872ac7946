//! The machine that was measured, without its name.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result};
use nix::sys::statfs::{self, FsType, statfs};
use serde::{Deserialize, Serialize};

/// What one has to know to compare figures.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Host {
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// Processor, as the kernel names it.
    pub(crate) cpu: String,
    /// Cores this process may use.
    pub(crate) cores: usize,
    /// Memory, GiB.
    pub(crate) memory_gib: f64,
    /// File system of the files that were read and written.
    pub(crate) file_system: String,
    /// Day of the run, UTC.
    pub(crate) date: String,
}

impl Host {
    /// Looks at `/proc`, and at the file system of `dir`.
    pub(crate) fn look(dir: &Path) -> Result<Self> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("release of the kernel")?;
        let cpu = fs::read_to_string("/proc/cpuinfo").context("processor")?;
        let memory = fs::read_to_string("/proc/meminfo").context("memory")?;
        let kibibytes = field(&memory, "MemTotal").and_then(|value| value.strip_suffix(" kB")?.parse::<f64>().ok());
        let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Ok(Self {
            kernel: kernel.trim().to_owned(),
            // Other architectures name parts of it, or nothing.
            cpu: field(&cpu, "model name").unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kibibytes.unwrap_or(f64::NAN) / f64::from(1 << 20),
            file_system: file_system(statfs(dir).context("file system")?.filesystem_type()),
            date: date.split('T').next().unwrap_or_default().to_owned(),
        })
    }
}

/// Processes that wanted a core in the last minute, on average.
pub(crate) fn load_average() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("load average")?;
    text.split(' ').next().and_then(|word| word.parse().ok()).context("load average")
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn file_system(kind: FsType) -> String {
    let known = [
        (statfs::EXT4_SUPER_MAGIC, "ext4"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlayfs"),
    ];
    let name = known.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("type {:#x}", kind.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_of_proc_files() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A: B\n", "model name"), Some("A: B"));
        assert_eq!(field("MemTotal:       16 kB\n", "MemTotal"), Some("16 kB"));
        assert_eq!(field("processor\t: 0\n", "model name"), None);
    }
}
