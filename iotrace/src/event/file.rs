//! The path of a file.

use super::{DecodeError, names, split, tail, until_nul};
use iotrace_common::{
    file::{FileKey, FileRecord, PATH_CUT, PATH_OF_FS, STATE_DELETED},
    record,
};

/// A file under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The number by which operations refer to it.
    pub id: u64,
    /// Its identity.
    pub key: FileKey,
    /// File system type (`ext4`).
    pub fs: String,
    /// How it is shown; `None` when the kernel knows no name.
    pub path: Option<Vec<u8>>,
    /// The front of the path is missing.
    pub cut: bool,
    /// The mount that it was reached through is not known: the path begins at the root of the file's own file system, until
    /// [`Self::place_below`] puts it where that is mounted.
    pub inside_fs: bool,
}

impl File {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (head, rest) = split::<FileRecord>(record::FILE, bytes)?;
        let components = names(tail(record::FILE, rest, head.names)?);
        let fs = String::from_utf8_lossy(until_nul(&head.fs)).into_owned();
        let cut = head.flags & PATH_CUT != 0;
        let inside_fs = head.flags & PATH_OF_FS != 0;
        let path = path(&head.key, &fs, &components, cut);
        Ok(Self { id: head.id, key: head.key, fs, path, cut, inside_fs })
    }

    /// Puts the path below the place where its file system is mounted; marks it as cut where no such place is known.
    pub fn place_below(&mut self, place: impl FnOnce(&[u8]) -> Option<Vec<u8>>) {
        let Some(inside) = self.path.take().filter(|path| path.starts_with(b"/")) else { return };
        self.path = Some(place(&inside).unwrap_or_else(|| {
            self.cut = true;
            [CUT_MARK.as_bytes(), &inside].concat()
        }));
    }
}

/// Components of a path cut at its front begin with this.
pub const CUT_MARK: &str = "…";

/// The path as `d_path` (fs/d_path.c) writes it; pipes, sockets and their like as `/proc/PID/fd` shows them.
fn path(key: &FileKey, fs: &str, components: &[&[u8]], cut: bool) -> Option<Vec<u8>> {
    let numbered = |kind: &str| Some(format!("{kind}:[{}]", key.ino).into_bytes());
    let own_name = components.first().copied().unwrap_or_default();
    match fs {
        "pipefs" => return numbered("pipe"),
        "sockfs" => return numbered("socket"),
        "pidfs" => return numbered("pidfd"),
        "nsfs" => return numbered("ns"),
        "anon_inodefs" => return Some([b"anon_inode:", own_name].concat()),
        _ => {}
    }
    if own_name == b"/" {
        // A dentry that hangs nowhere yet (opened by handle): it has no name.
        return None;
    }
    let mut path = Vec::new();
    if cut {
        path.extend_from_slice(CUT_MARK.as_bytes());
    }
    for component in components.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(component);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    // A file of no directory (memfd) is shown as deleted too (simple_dname).
    let hangs_nowhere = components.len() == 1 && own_name.starts_with(b"memfd:");
    if key.state & STATE_DELETED != 0 || hangs_nowhere {
        path.extend_from_slice(b" (deleted)");
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(fs: &str, components: &[&[u8]], state: u32, cut: bool) -> String {
        let key = FileKey { ino: 7, state, ..FileKey::default() };
        String::from_utf8(path(&key, fs, components, cut).unwrap()).unwrap()
    }

    #[test]
    fn components_are_turned_round() {
        assert_eq!(shown("ext4", &[b"app.log", b"log", b"var"], 0, false), "/var/log/app.log");
        assert_eq!(shown("ext4", &[], 0, false), "/");
    }

    #[test]
    fn deleted_and_cut_paths_are_marked() {
        assert_eq!(shown("ext4", &[b"f", b"tmp"], STATE_DELETED, false), "/tmp/f (deleted)");
        assert_eq!(shown("ext4", &[b"f", b"d"], 0, true), "…/d/f");
        assert_eq!(shown("tmpfs", &[b"memfd:x"], 0, false), "/memfd:x (deleted)");
    }

    #[test]
    fn files_without_a_directory_have_readable_names() {
        assert_eq!(shown("pipefs", &[], 0, false), "pipe:[7]");
        assert_eq!(shown("sockfs", &[], 0, false), "socket:[7]");
        assert_eq!(shown("anon_inodefs", &[b"[eventfd]"], 0, false), "anon_inode:[eventfd]");
    }

    #[test]
    fn a_dentry_that_hangs_nowhere_has_no_path() {
        assert_eq!(path(&FileKey::default(), "ext4", &[b"/"], false), None);
    }
}
