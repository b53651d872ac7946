//! Building for arm64 on another machine, with Debian's packages.
//!
//! The compiler and the C library come from cross packages. Rust's own library and all that the guest runs are packages of
//! arm64, fetched by a private apt: the machine's own knows nothing of that architecture.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use xshell::cmd;

use super::apt::Apt;
use super::arch::Arch;
use crate::ebpf::Toolchain;
use crate::workspace::Workspace;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// What tests call by name, or a shell does for them; what they depend on comes with them.
const GUEST_PACKAGES: &[&str] = &[
    "bash",
    "bpftool",
    "btrfs-progs",
    "busybox-static",
    "coreutils",
    "dash",
    "e2fsprogs",
    "libgcc-s1",
    "mount",
    "util-linux",
    "xfsprogs",
];

/// Rust's library, and the package of the compiler that must be of the same version.
const LIBRARY: (&str, &str) = ("libstd-rust-web-dev", "rustc-web");

/// The kernel side's cargo, set up for arm64. The machine's own, from rustup, has no library for it.
pub(crate) fn cargo(workspace: &Workspace) -> Result<Command> {
    let toolchain = Toolchain::find(workspace)?;
    let library = rust_library(workspace)?;
    let mut command = Command::new(&toolchain.cargo);
    command.current_dir(&workspace.root);
    // Settings of the cargo that runs us.
    for name in ["CARGO", "LD_LIBRARY_PATH", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_TARGET_DIR", workspace.target.join("arm64"))
        .env("CARGO_BUILD_TARGET", TARGET)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", format!("-L{}", library.display()));
    Ok(command)
}

/// Rust's library for arm64, as old as the compiler.
fn rust_library(workspace: &Workspace) -> Result<PathBuf> {
    let (shell, (library, compiler)) = (&workspace.shell, LIBRARY);
    let format = "${Version}";
    let version = cmd!(shell, "dpkg-query --show --showformat={format} {compiler}").quiet().read()?;
    let dir = super::cache()?.join("rust-arm64").join(&version);
    if !dir.exists() {
        let downloads = tempfile::tempdir().context("temporary directory")?;
        let files = apt(workspace)?.download(&[format!("{library}={version}")], downloads.path())?;
        super::kernels::unpack(shell, &files, &dir)?;
    }
    Ok(dir.join("usr/lib/rustlib").join(TARGET).join("lib"))
}

/// The guest's packages.
pub(crate) fn guest_packages(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let dir = super::cache()?.join("guest-arm64");
    if !dir.exists() {
        let partial = dir.with_added_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).with_context(|| format!("create {}", partial.display()))?;
        apt(workspace)?.download_with_dependencies(GUEST_PACKAGES, &partial)?;
        fs::rename(&partial, &dir).with_context(|| format!("rename {}", partial.display()))?;
    }
    let entries = fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    Ok(files.filter(|file| file.extension().is_some_and(|extension| extension == "deb")).collect())
}

/// The suites of this machine's release, for arm64: the libraries must be those that the cross packages are of.
fn apt(workspace: &Workspace) -> Result<Apt<'_>> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let release = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).context("unknown release")?;
    let security = format!("{release}-security");
    let dir = super::cache()?.join("apt").join(format!("{release}-arm64"));
    Apt::new(&workspace.shell, &dir, &[release, &security], Arch::Arm64)
}
