//! The root image: one for all kernels, with the programs that tests call and the libraries that they need.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use xshell::cmd;

use super::arch::Arch;
use super::stage::Stage;
use super::suite::Suite;
use super::{cross, peers, verifier};
use crate::workspace::Workspace;

const INIT: &str = include_str!("guest/init.sh");

/// What tests call by name, or a shell does for them. For other names the guest has busybox.
const PROGRAMS: &[&str] = &[
    "addpart",
    "bash",
    "bpftool",
    "busybox",
    "cat",
    "dd",
    "delpart",
    "df",
    "dmsetup",
    "head",
    "iostat",
    "losetup",
    "mkfs.btrfs",
    "mkfs.ext4",
    "mkfs.xfs",
    "mount",
    "printf",
    "setpriv",
    "sh",
    "sleep",
    "split",
    "truncate",
    "umount",
    "unshare",
];

/// Room for what the tests write.
const SIZE: &str = "3G";

/// A file with an ext4 file system, made without mounting it.
pub(crate) struct Image {
    /// Machines share it and keep what they write to themselves.
    pub(crate) path: PathBuf,
    /// The guest's busybox, which a file system before this one needs too.
    pub(crate) busybox: PathBuf,
}

impl Image {
    /// Puts all that a guest needs into a new image.
    pub(crate) fn build(workspace: &Workspace, suite: &Suite, arch: Arch) -> Result<Self> {
        let shell = &workspace.shell;
        let stage = Stage::new(shell)?;
        let dir = super::scratch(workspace)?;
        stage.script("guest/init", INIT)?;
        stage.script("guest/verifier.sh", verifier::SCRIPT)?;
        peers::add_scripts(&stage)?;
        for (name, path) in &suite.tests {
            stage.add(path, &Path::new("guest/tests").join(name))?;
        }
        stage.add(&suite.iotrace, Path::new("guest/iotrace"))?;
        stage.add(&verifier::build_spy(workspace, arch)?, Path::new("guest/verifier.so"))?;
        suite.workload.iter().try_for_each(|workload| stage.add_in_place(workload))?;
        let busybox = dir.join(format!("busybox-{arch}"));
        let found = match arch {
            Arch::Amd64 => {
                for name in PROGRAMS {
                    stage.add_in_place(&find_program(name)?)?;
                }
                stage.add_in_place(Path::new("/etc/mke2fs.conf"))?;
                find_program("busybox")?
            }
            Arch::Arm64 => {
                stage.unpack(&cross::guest_packages(workspace)?)?;
                stage.root().join("usr/bin/busybox")
            }
        };
        fs::copy(&found, &busybox).with_context(|| format!("copy {}", found.display()))?;
        let (root, path) = (stage.root(), dir.join(format!("root-{arch}.img")));
        let _ = fs::remove_file(&path);
        cmd!(shell, "mke2fs -q -F -t ext4 -d {root} -E root_owner=0:0 {path} {SIZE}").quiet().ignore_stdout().run()?;
        Ok(Self { path, busybox })
    }
}

/// A program of this machine, also where only root finds it.
fn find_program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed"))
}
