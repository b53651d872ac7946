//! Kernel modules: which ones, what they depend on, in which order they load.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// What the guest or a test needs. One that is not there is built in, or does not exist on that kernel.
const WANTED: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "loop",
    "overlay",
    "null_blk",
    "xfs",
    "btrfs",
    "dm_mod",
    "dm_crypt",
    // dm-crypt asks for ciphers by name, which is no dependency.
    "xts",
    "aes_generic",
    "raid1",
];

/// A module, ready for the kernel.
pub(crate) struct Module {
    /// With underscores.
    pub(crate) name: String,
    /// Not compressed.
    pub(crate) bytes: Vec<u8>,
}

/// The wanted modules below `dir` and all that they depend on, dependencies first.
pub(crate) fn load_order(shell: &Shell, dir: &Path) -> Result<Vec<Module>> {
    let files = files(dir)?;
    let mut loaded = Vec::new();
    for name in WANTED {
        add(shell, &files, name, &mut loaded)?;
    }
    Ok(loaded)
}

fn add(shell: &Shell, files: &[PathBuf], name: &str, loaded: &mut Vec<Module>) -> Result<()> {
    let file = files.iter().find(|file| name_of(file).as_deref() == Some(name));
    let Some(file) = file.filter(|_| loaded.iter().all(|module| module.name != name)) else { return Ok(()) };
    let bytes = read(shell, file).with_context(|| format!("read {}", file.display()))?;
    for dependency in dependencies(&bytes) {
        add(shell, files, &dependency, loaded)?;
    }
    loaded.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

/// All files below a directory.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.extend(files(&entry.path())?);
        } else {
            all.push(entry.path());
        }
    }
    Ok(all)
}

/// `null_blk` of `null-blk.ko.xz`.
fn name_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    Some(name.split_once(".ko")?.0.replace('-', "_"))
}

fn read(shell: &Shell, file: &Path) -> Result<Vec<u8>> {
    let decompress = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return Ok(fs::read(file)?),
    };
    Ok(cmd!(shell, "{decompress} --decompress --stdout --quiet {file}").quiet().output()?.stdout)
}

/// The list after `depends=` in the section .modinfo, whose strings end with a zero (scripts/mod/modpost.c).
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let rest = module.get(start + KEY.len()..).unwrap_or_default();
    let list = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(list);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_modinfo() {
        let module = b"\x7fELF\0license=GPL\0depends=virtio,virtio-ring\0intree=Y\0";
        assert_eq!(dependencies(module), ["virtio", "virtio_ring"]);
        assert_eq!(dependencies(b"license=GPL\0depends=\0"), [""; 0]);
        assert_eq!(dependencies(b""), [""; 0]);
    }

    #[test]
    fn compressed_and_dashed_files_have_the_modules_name() {
        assert_eq!(name_of(Path::new("/m/null-blk.ko.xz")).as_deref(), Some("null_blk"));
        assert_eq!(name_of(Path::new("/m/loop.ko")).as_deref(), Some("loop"));
        assert_eq!(name_of(Path::new("/m/modules.order")), None);
    }
}
