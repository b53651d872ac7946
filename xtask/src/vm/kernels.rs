//! Kernels: Debian's, fetched once, and any other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::apt::Apt;
use super::arch::Arch;
use crate::workspace::Workspace;

/// A series that Debian keeps up.
struct Series {
    name: &'static str,
    /// Where its packages are.
    suites: &'static [&'static str],
    /// The package that depends on the newest of the series, without the architecture.
    package: &'static str,
    /// Architectures, each with the mechanisms that do not work there.
    architectures: &'static [(Arch, &'static [&'static str])],
    /// Mechanisms, and groups of tests, that do not see everything there.
    loses: &'static [&'static str],
}

/// In the order of the report. The cloud kernels are the small ones, and differ from the others in drivers only.
const SERIES: &[Series] = &[
    Series {
        name: "5.10",
        suites: &["bullseye", "bullseye-security"],
        package: "linux-image-cloud",
        architectures: &[(Arch::Amd64, &[])],
        loses: &[],
    },
    Series {
        name: "6.1",
        suites: &["bookworm", "bookworm-security"],
        package: "linux-image-cloud",
        // BPF trampolines came to arm64 with 6.0, attaching them to functions with 6.4.
        architectures: &[(Arch::Amd64, &[]), (Arch::Arm64, &["fentry"])],
        loses: &[],
    },
    Series {
        name: "6.12",
        suites: &["bookworm-security"],
        package: "linux-image-6.12-cloud",
        architectures: &[(Arch::Amd64, &[]), (Arch::Arm64, &[])],
        loses: &[],
    },
    Series {
        name: "newest",
        suites: &["sid"],
        package: "linux-image-cloud",
        // Trampolines and tracepoints run with preemption on, and are skipped for the thread that comes in between:
        // docs/kernels.md. iotrace refuses the former there.
        architectures: &[(Arch::Amd64, &["fentry"])],
        loses: &["tracepoint"],
    },
];

/// What holds image and modules: one package, or two in newer suites.
const PARTS: &[&str] = &["linux-image-", "linux-binary-", "linux-modules-"];

/// A kernel, ready to boot.
pub(crate) struct Kernel {
    /// For people, and for names of files.
    pub(crate) name: String,
    /// The image.
    pub(crate) image: PathBuf,
    /// The directory with its modules, if it has any.
    pub(crate) modules: Option<PathBuf>,
    /// Mechanisms that do not work there, where that is known.
    pub(crate) lacks: Option<&'static [&'static str]>,
    /// Mechanisms, and groups of tests, that are known not to see everything there.
    pub(crate) loses: &'static [&'static str],
    /// The disk with the peers, if tests are to run beside them.
    pub(crate) peers: Option<PathBuf>,
}

/// Whether a word names a series.
pub(crate) fn is_known(word: &str) -> bool {
    SERIES.iter().any(|series| series.name == word)
}

/// The named kernels, or all that this architecture has; those not in the cache are fetched.
pub(crate) fn fetch(workspace: &Workspace, arch: Arch, names: &[String], refresh: bool) -> Result<Vec<Kernel>> {
    let is_wanted = |series: &&Series| names.is_empty() || names.iter().any(|name| name == series.name);
    let mut kernels = Vec::new();
    for series in SERIES.iter().filter(is_wanted) {
        match series.architectures.iter().find(|(found, _)| *found == arch) {
            Some((_, lacks)) => kernels.push(series.fetch(&workspace.shell, arch, lacks, refresh)?),
            None => ensure!(names.is_empty(), "kernel {} is not run on {arch}", series.name),
        }
    }
    Ok(kernels)
}

/// A kernel that is given: the directory of an unpacked package, a package, or an image.
pub(crate) fn open(workspace: &Workspace, path: &Path) -> Result<Kernel> {
    if path.is_dir() {
        return unpacked(path);
    }
    ensure!(path.is_file(), "no kernel at {}", path.display());
    if path.extension().is_some_and(|extension| extension == "deb") {
        let dir = super::scratch(workspace)?.join("unpacked").join(path.file_name().unwrap_or_default());
        unpack(&workspace.shell, &[path.to_path_buf()], &dir)?;
        return unpacked(&dir);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Kernel { name, image: path.to_path_buf(), modules: None, lacks: None, loses: &[], peers: None })
}

impl Series {
    fn fetch(&self, shell: &Shell, arch: Arch, lacks: &'static [&'static str], refresh: bool) -> Result<Kernel> {
        let cache = super::cache()?;
        let name = match arch {
            Arch::Amd64 => self.name.to_owned(),
            Arch::Arm64 => format!("{}-{arch}", self.name),
        };
        let dir = cache.join("kernels").join(&name);
        if !dir.exists() || refresh {
            eprintln!("xtask: fetching kernel {name}");
            let apt = Apt::new(shell, &cache.join("apt").join(&name), self.suites, arch)?;
            let packages = apt.dependencies(&format!("{}-{arch}", self.package), PARTS)?;
            let downloads = tempfile::tempdir().context("temporary directory")?;
            let files = apt.download(&packages, downloads.path())?;
            unpack(shell, &files, &dir)?;
        }
        Ok(Kernel { lacks: Some(lacks), loses: self.loses, ..unpacked(&dir)? })
    }
}

/// Unpacks packages into one directory, which is there afterwards whole or not at all.
pub(super) fn unpack(shell: &Shell, packages: &[PathBuf], dir: &Path) -> Result<()> {
    let partial = dir.with_added_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).with_context(|| format!("create {}", partial.display()))?;
    for package in packages {
        cmd!(shell, "dpkg-deb --extract {package} {partial}").quiet().run()?;
    }
    let _ = fs::remove_dir_all(dir);
    fs::rename(&partial, dir).with_context(|| format!("rename {}", partial.display()))
}

/// The kernel in an unpacked package. Older ones have /boot and /lib, newer ones only /usr/lib.
fn unpacked(dir: &Path) -> Result<Kernel> {
    let modules = ["lib/modules", "usr/lib/modules"].iter().find_map(|part| only_entry(&dir.join(part)));
    let modules = modules.with_context(|| format!("no modules of one kernel in {}", dir.display()))?;
    let name = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let images = [dir.join(format!("boot/vmlinuz-{name}")), modules.join("vmlinuz")];
    let image = images.into_iter().find(|image| image.exists());
    let image = image.with_context(|| format!("no image of {name} in {}", dir.display()))?;
    Ok(Kernel { name, image, modules: Some(modules), lacks: None, loses: &[], peers: None })
}

fn only_entry(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.flatten();
    let first = entries.next()?.path();
    entries.next().is_none().then_some(first)
}
