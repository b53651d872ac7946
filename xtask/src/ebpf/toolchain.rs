//! Finds a compiler for the kernel side.
//!
//! It takes a rustc with the source of `core`, since no target comes with BPF's. Stable toolchains of rustup have none;
//! distributions package one, and rustup's nightly has it as a component.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::manifest::Versions;
use crate::packages;
use crate::workspace::Workspace;

/// rustc and bpf-linker must use the same major version of LLVM: the linker reads the compiler's bitcode.
pub(crate) const LLVM_MAJOR: &str = "22";

/// A set of tools that can build the kernel side.
pub(crate) struct Toolchain {
    /// Path of rustc.
    pub(crate) rustc: PathBuf,
    /// Path of cargo.
    pub(crate) cargo: PathBuf,
    /// Where rustc keeps its libraries and sources.
    pub(crate) sysroot: PathBuf,
    /// Where LLVM is installed, for bpf-linker and llvm-objcopy.
    pub(crate) llvm: PathBuf,
    rustc_llvm: String,
}

impl Toolchain {
    /// The distribution's toolchain, else rustup's nightly; on Debian, root gets what is missing installed.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let shell = &workspace.shell;
        let distribution = match Self::distribution(shell) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let nightly = match Self::nightly(shell) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        if packages::install(shell, packages::TOOLCHAIN)? {
            return Self::distribution(shell).context("toolchain of the distribution, just installed");
        }
        bail!(
            "no toolchain for the kernel side.\n  \
             distribution: {distribution:#}\n  \
             rustup: {nightly:#}\n\
             Debian: apt-get install {}\n\
             elsewhere: rustup toolchain install nightly --component rust-src, and LLVM {LLVM_MAJOR} with its headers; \
             LLVM_PREFIX says where that is",
            packages::TOOLCHAIN.join(" ")
        )
    }

    fn distribution(shell: &Shell) -> Result<Self> {
        Self::inspect(shell, Path::new("/usr/bin/rustc"), Path::new("/usr/bin/cargo"))
    }

    fn nightly(shell: &Shell) -> Result<Self> {
        let which = |tool: &str| -> Result<PathBuf> {
            Ok(cmd!(shell, "rustup which --toolchain nightly {tool}").quiet().ignore_stderr().read()?.into())
        };
        Self::inspect(shell, &which("rustc")?, &which("cargo")?)
    }

    fn inspect(shell: &Shell, rustc: &Path, cargo: &Path) -> Result<Self> {
        let version = foreign(cmd!(shell, "{rustc} -vV")).ignore_stderr().read()?;
        foreign(cmd!(shell, "{cargo} -V")).ignore_stderr().read()?;
        let rustc_llvm = version
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "))
            .with_context(|| format!("{} does not name its LLVM", rustc.display()))?
            .to_owned();
        if rustc_llvm.split('.').next() != Some(LLVM_MAJOR) {
            bail!("{} uses LLVM {rustc_llvm}, not {LLVM_MAJOR}", rustc.display());
        }
        let sysroot = PathBuf::from(foreign(cmd!(shell, "{rustc} --print sysroot")).read()?);
        let llvm =
            env::var_os("LLVM_PREFIX").map_or_else(|| format!("/usr/lib/llvm-{LLVM_MAJOR}").into(), PathBuf::from);
        let found = Self { rustc: rustc.into(), cargo: cargo.into(), sysroot, llvm, rustc_llvm };
        for needed in
            [found.rust_src().join("library/core/Cargo.toml"), found.llvm_tool("llvm-config"), found.clippy()?]
        {
            if !needed.exists() {
                bail!("no {}", needed.display());
            }
        }
        Ok(found)
    }

    /// The sources of rustc's libraries.
    pub(crate) fn rust_src(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }

    /// A program of the LLVM that bpf-linker uses.
    pub(crate) fn llvm_tool(&self, name: &str) -> PathBuf {
        self.llvm.join("bin").join(name)
    }

    /// cargo-clippy of this toolchain: called by path, since cargo would look for it among rustup's first.
    pub(crate) fn clippy(&self) -> Result<PathBuf> {
        Ok(self.cargo.parent().context("cargo's directory")?.join("cargo-clippy"))
    }

    /// What the tools say they are.
    pub(crate) fn versions(&self, workspace: &Workspace, linker: &Path) -> Result<Versions> {
        let (shell, rustc, cargo, llvm_config) =
            (&workspace.shell, &self.rustc, &self.cargo, self.llvm_tool("llvm-config"));
        Ok(Versions {
            rustc: foreign(cmd!(shell, "{rustc} -V")).read()?,
            rustc_llvm: self.rustc_llvm.clone(),
            cargo: foreign(cmd!(shell, "{cargo} -V")).read()?,
            linker: cmd!(shell, "{linker} --version").quiet().read()?,
            linker_llvm: cmd!(shell, "{llvm_config} --version").quiet().read()?,
        })
    }
}

/// A command of another toolchain than the one that runs us: `cargo run` points the loader at ours.
fn foreign(command: xshell::Cmd<'_>) -> xshell::Cmd<'_> {
    command.quiet().env_remove("LD_LIBRARY_PATH")
}
