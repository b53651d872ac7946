//! The first file system of a guest: it loads the kernel's modules and goes on to the root image.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::cmd;

use super::image::Image;
use super::kernels::Kernel;
use super::modules;
use crate::workspace::Workspace;

const INIT: &str = include_str!("guest/initrd.sh");

/// Packs it, and says where it is. `job`: what the first process of the root image is told, as lines of the shell.
pub(crate) fn build(workspace: &Workspace, kernel: &Kernel, image: &Image, job: &str) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let stage = tempfile::tempdir().context("temporary directory")?;
    let root = stage.path();
    for dir in ["bin", "dev", "modules", "root"] {
        fs::create_dir(root.join(dir)).context("stage of the initrd")?;
    }
    fs::copy(&image.busybox, root.join("bin/busybox")).context("busybox")?;
    fs::write(root.join("init"), INIT).context("init")?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).context("init")?;
    fs::write(root.join("job"), job).context("job")?;

    // A distribution puts the configuration beside the kernel; iotrace reads it where debugfs is closed.
    let config = kernel.image.with_file_name(format!("config-{}", kernel.name));
    if config.exists() {
        fs::copy(&config, root.join("config")).context("the kernel's configuration")?;
    }
    let all = kernel.modules.as_deref().map_or(Ok(Vec::new()), |dir| modules::load_order(shell, dir))?;
    for (number, module) in all.iter().enumerate() {
        // Numbered, so that the shell's order is the right one.
        fs::write(root.join(format!("modules/{number:02}-{}", module.name)), &module.bytes).context("module")?;
    }
    let file = super::scratch(workspace)?.join(format!("{}.initrd", kernel.name));
    let _there = shell.push_dir(root);
    let names = names_below(root, Path::new(""))?.join("\n");
    let archive = cmd!(shell, "cpio --create --format=newc --owner=0:0 --quiet").stdin(names).quiet().output()?;
    fs::write(&file, archive.stdout).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// Names relative to `root`, directories before what is in them.
fn names_below(root: &Path, dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let name = dir.join(entry.file_name());
        names.push(name.display().to_string());
        if entry.file_type()?.is_dir() {
            names.extend(names_below(root, &name)?);
        }
    }
    Ok(names)
}
