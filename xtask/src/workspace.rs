//! Where things are, and how to run cargo on them.

use std::env;
use std::path::{self, PathBuf};

use anyhow::{Context, Result};
use xshell::Shell;

/// The checked-out workspace, with a shell that stands in its root.
pub(crate) struct Workspace {
    /// Directory of the workspace's `Cargo.toml`, absolute.
    pub(crate) root: PathBuf,
    /// Build directory, absolute: `CARGO_TARGET_DIR` or `target`.
    pub(crate) target: PathBuf,
    /// The cargo that runs this program: the user side is built with it.
    pub(crate) cargo: PathBuf,
    /// Runs commands in `root`.
    pub(crate) shell: Shell,
}

impl Workspace {
    /// Finds the workspace from what `cargo run` puts into the environment.
    pub(crate) fn locate() -> Result<Self> {
        // Asked when run and not when compiled, so that a moved checkout with an old binary still finds itself.
        let package = env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set: run `cargo xtask`")?;
        let root = PathBuf::from(package).parent().context("xtask lies outside of a workspace")?.to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // cargo takes a relative one from the directory where it was called, which is ours too.
            Some(dir) => path::absolute(dir).context("CARGO_TARGET_DIR")?,
            None => root.join("target"),
        };
        let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let shell = Shell::new().context("current directory")?;
        shell.change_dir(&root);
        shell.set_var("CARGO_TARGET_DIR", &target);
        Ok(Self { root, target, cargo, shell })
    }

    /// Directory of the kernel side's crate.
    pub(crate) fn ebpf_crate(&self) -> PathBuf {
        self.root.join("iotrace-ebpf")
    }

    /// Manifest of the kernel side's crate, which is a workspace of its own.
    pub(crate) fn ebpf_manifest(&self) -> PathBuf {
        self.ebpf_crate().join("Cargo.toml")
    }

    /// Build directory of the kernel side.
    pub(crate) fn ebpf_target(&self) -> PathBuf {
        self.target.join("ebpf")
    }
}
