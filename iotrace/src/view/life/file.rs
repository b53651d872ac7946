//! One file: which it is, where it came from, and how it ended.

use super::Bytes;
use crate::{
    event::Task,
    resolve::names::{FileInfo, ProcessInfo},
};
use iotrace_common::file::FileKey;
use std::sync::Arc;

/// Bytes of a file without its path, and how often that is kept: in the file, in what is known of it, and in the ways to ask for it.
pub(super) const FILE_BYTES: usize = 800;
const PATHS: usize = 6;

/// Which file, under whatever names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode {
    /// Device of its file system.
    pub dev: u32,
    /// Number.
    pub ino: u64,
    /// Differs when a number is used again, where the file system keeps one.
    pub generation: u32,
}

impl Inode {
    /// Of a file's identity.
    pub fn of(key: &FileKey) -> Self {
        Self { dev: key.dev, ino: key.ino, generation: key.generation }
    }
}

/// How a file lost its last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was removed.
    Unlinked,
    /// Another file took it (`rename`).
    Replaced,
    /// It never had one (O_TMPFILE), or had lost it when the call returned that made the file. When the file goes is not seen.
    Nameless,
}

/// By what it is known which file a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The directory itself, and the name in it.
    Directory,
    /// The path, in the same mount namespace.
    Path,
    /// The name by which the file was opened: it leads through a symbolic link or `..`.
    Asked,
}

/// The end of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// When the call had returned, nanoseconds of CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// How.
    pub how: How,
    /// By what it is known; `None` for a file that was not seen before.
    pub matched: Option<Matched>,
    /// Who.
    pub task: Task,
}

/// A file.
#[derive(Clone, Debug)]
pub struct Life {
    /// Which; `None` when all that is known of it is the name that was removed.
    pub inode: Option<Inode>,
    /// Its path, the last one.
    pub path: Option<Vec<u8>>,
    /// The path under which it was made, where it has another one now.
    pub made_as: Option<Vec<u8>>,
    /// What is known of it.
    pub file: Option<Arc<FileInfo>>,
    /// Who made it; of a file that was there before, who opened or removed it first.
    pub owner: Task,
    /// That process.
    pub process: Option<Arc<ProcessInfo>>,
    /// When the call had returned that made it; `None` for a file that was there before.
    pub born_ns: Option<u64>,
    /// How it lost its last name.
    pub end: Option<End>,
    /// Opens that succeeded.
    pub opens: u64,
    /// New names that took the place of old ones.
    pub renames: u64,
    /// What was read and written; `None` when it is not known.
    pub bytes: Option<Bytes>,
    /// Time in opens of it, and in calls that took or gave its names, nanoseconds.
    pub call_ns: u64,
    /// The descriptor of a file without a name, in its process: it may get one by that.
    pub(super) descriptor: Option<u64>,
    /// Another file has had this inode, and nothing tells the bytes of both apart.
    pub(super) mixed: bool,
    /// Its birth is in a table that was printed.
    pub(super) told: bool,
}

impl Life {
    /// From the return of the call that made it to the return of the one that took its last name.
    pub fn length_ns(&self) -> Option<u64> {
        let end = self.end.as_ref().filter(|end| end.how != How::Nameless)?;
        Some(end.at_ns.saturating_sub(self.born_ns?))
    }

    /// Bytes that it takes with its names, by the path that it had first.
    pub(super) fn bytes_kept(&self) -> usize {
        let path = self.made_as.as_ref().or(self.path.as_ref());
        FILE_BYTES + PATHS * path.map_or(0, Vec::len)
    }

    /// Whether it came or went.
    pub(super) fn counts(&self) -> bool {
        self.end.is_some() || (self.born_ns.is_some() && !self.told)
    }
}
