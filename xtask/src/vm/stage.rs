//! The directory of which a root image is made.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xshell::{Shell, cmd};

/// Directories without which nothing works. /bin and the like are links, as on every distribution of today.
const DIRECTORIES: &[&str] = &[
    "dev",
    "etc",
    "guest/tests",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/sbin",
    "var/tmp",
];
const LINKS: &[&str] = &["bin", "lib", "lib64", "sbin"];

/// Settings: tests trace as root and as nobody.
const FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hostname", "guest\n"),
    ("etc/mtab", ""),
];

/// What an image will hold.
pub(super) struct Stage<'a> {
    shell: &'a Shell,
    dir: TempDir,
}

impl<'a> Stage<'a> {
    /// One with the directories and settings that every guest has.
    pub(super) fn new(shell: &'a Shell) -> Result<Self> {
        let dir = tempfile::tempdir().context("temporary directory")?;
        let root = dir.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).context("stage")?;
        for name in DIRECTORIES {
            fs::create_dir_all(root.join(name)).with_context(|| format!("stage of /{name}"))?;
        }
        for name in LINKS {
            symlink(Path::new("usr").join(name), root.join(name)).with_context(|| format!("stage of /{name}"))?;
        }
        for name in ["tmp", "var/tmp"] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o1777)).context("stage")?;
        }
        for (name, text) in FILES {
            fs::write(root.join(name), text).with_context(|| format!("stage of /{name}"))?;
        }
        Ok(Self { shell, dir })
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// An executable with this text, under a name relative to the root.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<()> {
        let path = self.root().join(name);
        fs::write(&path, text).with_context(|| format!("stage of /{name}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).with_context(|| format!("stage of /{name}"))
    }

    /// A file under the name that it has here, and the libraries that it needs.
    pub(super) fn add_in_place(&self, file: &Path) -> Result<()> {
        let name = file.strip_prefix("/").with_context(|| format!("{} is relative", file.display()))?;
        self.add(file, name)
    }

    /// A file under another name, relative to the root, and the libraries that it needs.
    pub(super) fn add(&self, file: &Path, name: &Path) -> Result<()> {
        self.copy(file, name)?;
        for library in self.libraries(file) {
            self.copy(&library, library.strip_prefix("/").unwrap_or(&library))?;
        }
        Ok(())
    }

    /// What is in Debian packages, except for documentation.
    pub(super) fn unpack(&self, packages: &[PathBuf]) -> Result<()> {
        let (shell, root) = (self.shell, self.root());
        for package in packages {
            let archive = cmd!(shell, "dpkg-deb --fsys-tarfile {package}").quiet().output()?.stdout;
            // Packages of older releases have files in /bin, which is a link here.
            cmd!(shell, "tar --extract --keep-directory-symlink --exclude=./usr/share --directory {root}")
                .stdin(archive)
                .quiet()
                .run()?;
        }
        Ok(())
    }

    fn copy(&self, file: &Path, name: &Path) -> Result<()> {
        let target = self.root().join(name);
        if target.exists() {
            return Ok(());
        }
        if let Some(dir) = target.parent() {
            fs::create_dir_all(dir).with_context(|| format!("stage of {}", name.display()))?;
        }
        fs::copy(file, &target).map(drop).with_context(|| format!("copy {}", file.display()))
    }

    /// None for what is no dynamic executable of this machine.
    fn libraries(&self, file: &Path) -> BTreeSet<PathBuf> {
        let text = cmd!(self.shell, "ldd {file}").quiet().ignore_stderr().ignore_status().read().unwrap_or_default();
        text.lines().filter_map(library).collect()
    }
}

/// `/lib/libc.so.6` of `libc.so.6 => /lib/libc.so.6 (0x7f00)`; the loader's line has no arrow, the kernel's no path.
fn library(line: &str) -> Option<PathBuf> {
    let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
    Some(PathBuf::from(OsStr::new(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldds_lines() {
        assert_eq!(library("\tlibm.so.6 => /lib/libm.so.6 (0x00007f9c)"), Some("/lib/libm.so.6".into()));
        assert_eq!(library("\t/lib64/ld-linux-x86-64.so.2 (0x00007f9c)"), Some("/lib64/ld-linux-x86-64.so.2".into()));
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007f9c)"), None);
        assert_eq!(library("\tnot a dynamic executable"), None);
    }
}
