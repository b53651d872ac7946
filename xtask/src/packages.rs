//! Debian packages that building and testing need.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Uid;
use xshell::{Shell, cmd};

/// What compiles and lints the kernel side: a rustc with the source of `core`, and the LLVM that bpf-linker links.
pub(crate) const TOOLCHAIN: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy", "llvm-22-dev"];

/// What the tests run or compile with.
pub(crate) const TESTS: &[&str] = &[
    "bpftool",        // lists what is attached
    "btrfs-progs",    // mkfs.btrfs for file systems on loop devices
    "busybox-static", // the image of containers
    "containerd",     // containers
    "dmsetup",        // devices that stand on others
    "e2fsprogs",      // mkfs.ext4
    "fio",            // I/O whose requests must be charged to it
    "gcc",            // a compiler at work, with which nothing is wrong
    "jq",             // the documentation's examples
    "libc6-dev",      // headers for gcc
    "podman",         // more containers
    "postgresql",     // a database, for what blocks it writes
    "python3",        // programs that do I/O as services do
    "runc",           // starts containers
    "sqlite3",        // another database
    "sysstat",        // iostat, whose figures are compared
    "tmux",           // a terminal of a known size
    "util-linux",     // mount, losetup, unshare, setpriv
    "xfsprogs",       // mkfs.xfs
];

/// What runs virtual machines, besides what the tests need.
pub(crate) const MACHINES: &[&str] = &[
    "busybox-static",  // first processes of the guest
    "cpio",            // its first file system
    "qemu-system-x86", // the machine
    "xz-utils",        // kernel modules are compressed
];

/// What builds and runs machines of arm64, besides.
pub(crate) const ARM64: &[&str] = &[
    "gcc-aarch64-linux-gnu", // the linker
    "libc6-dev-arm64-cross", // the C library to link with
    "qemu-system-arm",       // the machine
    "tar",                   // unpacks what the guest runs
];

/// Other tracers that the benchmark compares with, besides those that are fetched for virtual machines.
pub(crate) const PEERS: &[&str] = &[
    "fatrace", // what fanotify tells
    "strace",  // what ptrace costs
];

/// Names of those packages that are not installed. All of them where dpkg does not exist.
pub(crate) fn missing(shell: &Shell, packages: &[&'static str]) -> Vec<&'static str> {
    packages.iter().copied().filter(|package| !is_installed(shell, package)).collect()
}

/// Installs packages with apt if this is Debian and we are root; says whether it did.
pub(crate) fn install(shell: &Shell, packages: &[&str]) -> Result<bool> {
    if packages.is_empty() {
        return Ok(true);
    }
    if !Uid::effective().is_root() || !is_debian() {
        return Ok(false);
    }
    let _noninteractive = shell.push_env("DEBIAN_FRONTEND", "noninteractive");
    cmd!(shell, "apt-get update --quiet=2").run().context("refresh of apt's package lists")?;
    cmd!(shell, "apt-get install --yes --no-install-recommends --quiet=2 {packages...}")
        .run()
        .with_context(|| format!("installation of {}", packages.join(" ")))?;
    Ok(true)
}

fn is_installed(shell: &Shell, package: &str) -> bool {
    let format = "${db:Status-Status}";
    cmd!(shell, "dpkg-query --show --showformat={format} {package}")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok_and(|status| status == "installed")
}

fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"))
}
