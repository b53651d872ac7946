//! The peers that iotrace is compared with: Debian's newest suite on a disk of its own, since its libraries are others than
//! the guest's.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use super::apt::Apt;
use super::arch::Arch;
use super::kernels::Kernel;
use super::stage::Stage;
use crate::workspace::Workspace;

/// Where they are.
const SUITE: &str = "sid";
const PACKAGES: &[&str] = &["libbpf-tools", "bpftrace"];

/// What the guest starts, under these names.
const PROGRAMS: &[&str] = &["biolatency", "biosnoop", "bpftrace", "filetop", "opensnoop"];

/// Starts one of them.
const SCRIPT: &str = include_str!("guest/peer.sh");

/// Room for the packages and all that they depend on, most of it LLVM.
const SIZE: &str = "768M";

/// Gives these kernels the disk with the peers, which is fetched if it is not in the cache.
pub(super) fn add<'a>(
    workspace: &Workspace,
    arch: Arch,
    refresh: bool,
    kernels: impl Iterator<Item = &'a mut Kernel>,
) -> Result<()> {
    let disk = fetch(workspace, arch, refresh)?;
    kernels.for_each(|kernel| kernel.peers = Some(disk.clone()));
    Ok(())
}

/// The disk, made once and kept with the kernels.
fn fetch(workspace: &Workspace, arch: Arch, refresh: bool) -> Result<PathBuf> {
    let (shell, cache) = (&workspace.shell, super::cache()?);
    let disk = cache.join(format!("peers-{arch}.img"));
    if disk.exists() && !refresh {
        return Ok(disk);
    }
    eprintln!("xtask: fetching {}", PACKAGES.join(" and "));
    let apt = Apt::new(shell, &cache.join("apt").join(format!("peers-{arch}")), &[SUITE], arch)?;
    let (downloads, root) = (tempfile::tempdir()?, tempfile::tempdir()?);
    apt.download_with_dependencies(PACKAGES, downloads.path())?;
    for entry in fs::read_dir(downloads.path()).context("downloads")? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            let archive = cmd!(shell, "dpkg-deb --fsys-tarfile {package}").quiet().output()?.stdout;
            let root = root.path();
            cmd!(shell, "tar --extract --exclude=./usr/share --directory {root}").stdin(archive).quiet().run()?;
        }
    }
    let (root, partial) = (root.path(), disk.with_added_extension("partial"));
    let _ = fs::remove_file(&partial);
    // Machines only read it.
    cmd!(shell, "mke2fs -q -F -t ext4 -O ^has_journal -d {root} -E root_owner=0:0 {partial} {SIZE}")
        .quiet()
        .ignore_stdout()
        .run()?;
    fs::rename(&partial, &disk).with_context(|| format!("rename {}", partial.display()))?;
    Ok(disk)
}

/// Puts what starts the peers into the root image; it does nothing without the disk.
pub(super) fn add_scripts(stage: &Stage) -> Result<()> {
    for dir in ["bin", "suite"] {
        let dir = stage.root().join("guest/peers").join(dir);
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    }
    PROGRAMS.iter().try_for_each(|name| stage.script(&format!("guest/peers/bin/{name}"), SCRIPT))
}
