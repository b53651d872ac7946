//! The root image: one for all kernels, with programs of this machine and the libraries that they need.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xshell::{Shell, cmd};

use super::suite::Suite;
use crate::workspace::Workspace;

const INIT: &str = include_str!("guest/init.sh");

/// What tests call by name, or a shell does for them.
const PROGRAMS: &[&str] = &[
    "bash",
    "bpftool",
    "busybox",
    "cat",
    "dd",
    "head",
    "losetup",
    "mkfs.ext4",
    "mount",
    "printf",
    "setpriv",
    "sh",
    "sleep",
    "umount",
    "unshare",
];

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

/// Room for what the tests write.
const SIZE: &str = "3G";

/// A file with an ext4 file system, made without mounting it.
pub(crate) struct Image {
    /// Machines share it and keep what they write to themselves.
    pub(crate) path: PathBuf,
}

impl Image {
    /// Puts all that a guest needs into a new image.
    pub(crate) fn build(workspace: &Workspace, suite: &Suite) -> Result<Self> {
        let shell = &workspace.shell;
        let stage = Stage::new(shell)?;
        for (name, path) in &suite.tests {
            stage.add(path, &Path::new("guest/tests").join(name))?;
        }
        stage.add(&suite.iotrace, Path::new("guest/iotrace"))?;
        stage.add_in_place(&suite.workload)?;
        for name in PROGRAMS {
            stage.add_in_place(&find_program(name)?)?;
        }
        for settings in ["/etc/mke2fs.conf"].map(Path::new) {
            stage.add_in_place(settings)?;
        }
        let root = stage.dir.path();
        let path = super::scratch(workspace)?.join("root.img");
        let _ = fs::remove_file(&path);
        cmd!(shell, "mke2fs -q -F -t ext4 -d {root} -E root_owner=0:0 {path} {SIZE}").quiet().ignore_stdout().run()?;
        Ok(Self { path })
    }
}

/// A program of this machine, also where only root finds it.
pub(crate) fn find_program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed"))
}

/// What the image will hold.
struct Stage<'a> {
    shell: &'a Shell,
    dir: TempDir,
}

impl<'a> Stage<'a> {
    fn new(shell: &'a Shell) -> Result<Self> {
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
        fs::write(root.join("guest/init"), INIT).context("stage of /guest/init")?;
        fs::set_permissions(root.join("guest/init"), fs::Permissions::from_mode(0o755)).context("stage")?;
        Ok(Self { shell, dir })
    }

    /// A file under the name that it has here, and the libraries that it needs.
    fn add_in_place(&self, file: &Path) -> Result<()> {
        let name = file.strip_prefix("/").with_context(|| format!("{} is relative", file.display()))?;
        self.add(file, name)
    }

    /// A file under another name, relative to the root, and the libraries that it needs.
    fn add(&self, file: &Path, name: &Path) -> Result<()> {
        self.copy(file, name)?;
        for library in self.libraries(file) {
            self.copy(&library, library.strip_prefix("/").unwrap_or(&library))?;
        }
        Ok(())
    }

    fn copy(&self, file: &Path, name: &Path) -> Result<()> {
        let target = self.dir.path().join(name);
        if target.exists() {
            return Ok(());
        }
        if let Some(dir) = target.parent() {
            fs::create_dir_all(dir).with_context(|| format!("stage of {}", name.display()))?;
        }
        fs::copy(file, &target).map(drop).with_context(|| format!("copy {}", file.display()))
    }

    /// None for what is no dynamic executable.
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
