//! The linker, pinned: another version may give another object.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::toolchain::{LLVM_MAJOR, Toolchain};
use crate::workspace::Workspace;

const VERSION: &str = "0.13.0";

/// The pinned bpf-linker below the target directory, installed first if it is not there. One on `PATH` is not used.
pub(crate) fn ensure(workspace: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    let Workspace { cargo, shell, .. } = workspace;
    let root = workspace.target.join("tools");
    let linker = root.join("bin/bpf-linker");
    if is_pinned(shell, &linker) {
        return Ok(linker);
    }
    let feature = format!("llvm-{LLVM_MAJOR}");
    cmd!(
        shell,
        "{cargo} install bpf-linker --version {VERSION} --locked --force --root {root}
         --no-default-features --features {feature}"
    )
    .env("LLVM_PREFIX", &toolchain.llvm)
    // Built in a temporary directory, which cargo removes.
    .env_remove("CARGO_TARGET_DIR")
    .run()
    .context("installation of bpf-linker")?;
    Ok(linker)
}

fn is_pinned(shell: &Shell, linker: &Path) -> bool {
    // Running it also finds out whether its LLVM is still installed.
    linker.exists()
        && cmd!(shell, "{linker} --version")
            .quiet()
            .ignore_stderr()
            .read()
            .is_ok_and(|version| version == format!("bpf-linker {VERSION}"))
}
