//! Deleted files that somebody has open, from `/proc/PID/fd`.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::{Duration, Instant},
};

/// What the kernel appends to the path of a file without a name (fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";
/// Blocks of `stat` have so many bytes, whatever the file system's.
const BLOCK: u64 = 512;

/// A deleted file and one process that has it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Device of the file system, in the kernel's encoding.
    pub dev: u32,
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: Vec<u8>,
    /// The path that the file had.
    pub path: Vec<u8>,
    /// Bytes that it takes.
    pub bytes: u64,
}

/// Deleted files on these devices, each once, the largest first; and whether all processes were looked at. Stops after `limit`.
pub fn deleted(devs: &HashSet<u32>, limit: Duration) -> (Vec<Deleted>, bool) {
    deleted_in(Path::new("/proc"), devs, limit)
}

fn deleted_in(proc: &Path, devs: &HashSet<u32>, limit: Duration) -> (Vec<Deleted>, bool) {
    let until = Instant::now() + limit;
    let (mut found, mut seen, mut whole) = (Vec::new(), HashSet::new(), true);
    for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if Instant::now() > until {
            return (sorted(found), false);
        }
        let Ok(links) = fs::read_dir(entry.path().join("fd")) else {
            // Gone, or not to be looked at.
            whole &= !entry.path().exists();
            continue;
        };
        for link in links.flatten().map(|link| link.path()) {
            let Some(path) = fs::read_link(&link).ok().and_then(|target| name(target.as_os_str())) else { continue };
            let Ok(file) = fs::metadata(&link) else { continue };
            let dev = super::dev_of_rdev(file.dev());
            if file.nlink() == 0 && devs.contains(&dev) && seen.insert((dev, file.ino())) {
                let comm = fs::read(entry.path().join("comm")).unwrap_or_default();
                let comm = comm.strip_suffix(b"\n").unwrap_or(&comm).to_vec();
                found.push(Deleted { dev, pid, comm, path, bytes: file.blocks() * BLOCK });
            }
        }
    }
    (sorted(found), whole)
}

fn sorted(mut found: Vec<Deleted>) -> Vec<Deleted> {
    found.sort_by_key(|file| std::cmp::Reverse(file.bytes));
    found
}

/// The path that a deleted file had; `None` for all others.
fn name(target: &OsStr) -> Option<Vec<u8>> {
    let path = target.as_bytes().strip_suffix(DELETED)?;
    path.starts_with(b"/").then(|| path.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn a_deleted_file_is_found_while_it_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old.log");
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&[1; 100_003]).unwrap();
        file.sync_all().unwrap();
        let dev = super::super::dev_of_rdev(file.metadata().unwrap().dev());
        let find = || {
            let (found, _) = deleted(&HashSet::from([dev]), Duration::from_secs(30));
            found.into_iter().find(|file| Path::new(OsStr::from_bytes(&file.path)) == path)
        };
        assert_eq!(find(), None);
        fs::remove_file(&path).unwrap();
        let found = find().unwrap();
        assert_eq!((found.pid, found.dev), (std::process::id(), dev));
        assert!(found.bytes >= 100_003);
        drop(file);
        assert_eq!(find(), None);
    }

    #[test]
    fn what_is_not_finished_in_time_is_told() {
        let (found, whole) = deleted(&HashSet::new(), Duration::ZERO);
        assert_eq!((found, whole), (Vec::new(), false));
    }
}
