//! The identity of what the object is built from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Files, and directories with all that is in them, relative to the workspace.
const SOURCES: &[&str] = &[
    "iotrace-common/Cargo.toml",
    "iotrace-common/src",
    "iotrace-ebpf/Cargo.lock",
    "iotrace-ebpf/Cargo.toml",
    "iotrace-ebpf/src",
];

/// SHA-256, in hex, over the sorted relative paths and the contents of all sources below `root`.
pub(crate) fn hash(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        let bytes = super::read(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy();
        // The lengths keep two trees apart whose concatenated names and contents are the same.
        for part in [name.as_bytes(), &bytes] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(super::manifest::hex(&hasher.finalize()))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("read {}", path.display()))? {
        collect(&entry.with_context(|| format!("read {}", path.display()))?.path(), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(main: &str) -> Result<tempfile::TempDir> {
        let dir = tempfile::tempdir()?;
        for krate in ["iotrace-common", "iotrace-ebpf"] {
            fs::create_dir_all(dir.path().join(krate).join("src/kernel"))?;
            fs::write(dir.path().join(krate).join("Cargo.toml"), "[package]")?;
            fs::write(dir.path().join(krate).join("src/kernel/file.rs"), "")?;
        }
        fs::write(dir.path().join("iotrace-ebpf/Cargo.lock"), "")?;
        fs::write(dir.path().join("iotrace-ebpf/src/main.rs"), main)?;
        Ok(dir)
    }

    #[test]
    fn hash_depends_on_contents_and_not_on_the_place() -> Result<()> {
        let (a, b, c) = (tree("fn a() {}")?, tree("fn a() {}")?, tree("fn c() {}")?);
        assert_eq!(hash(a.path())?, hash(b.path())?);
        assert_ne!(hash(a.path())?, hash(c.path())?);
        Ok(())
    }

    #[test]
    fn hash_depends_on_names_in_subdirectories() -> Result<()> {
        let (a, b) = (tree("")?, tree("")?);
        fs::rename(
            b.path().join("iotrace-ebpf/src/kernel/file.rs"),
            b.path().join("iotrace-ebpf/src/kernel/inode.rs"),
        )?;
        assert_ne!(hash(a.path())?, hash(b.path())?);
        Ok(())
    }

    #[test]
    fn missing_lock_file_is_an_error() -> Result<()> {
        let dir = tree("")?;
        fs::remove_file(dir.path().join("iotrace-ebpf/Cargo.lock"))?;
        assert!(hash(dir.path()).is_err());
        Ok(())
    }
}
