//! Operations on files: `--op read,write,fsync,open,fallocate,truncate,mmap,unlink,rename,link`.

use std::fmt;
use std::str::FromStr;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileOp {
    /// Read calls of all kinds.
    Read,
    /// Write calls of all kinds.
    Write,
    /// Explicit syncs: fsync, fdatasync, sync_file_range, msync, syncfs, sync.
    Fsync,
    /// Opens, successful or not.
    Open,
    /// fallocate.
    Fallocate,
    /// truncate and ftruncate.
    Truncate,
    /// Bytes that page faults bring in, and that become dirty through a mapping.
    Mmap,
    /// A name is taken away: unlink, rmdir.
    Unlink,
    /// A file gets another name.
    Rename,
    /// A file gets one name more.
    Link,
}

/// The name given to `--op` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no operation named {0}: one of read, write, fsync, open, fallocate, truncate, mmap, unlink, rename, link")]
pub struct UnknownOp(String);

impl FileOp {
    /// All of them, in the order of help texts.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Fsync,
        Self::Open,
        Self::Fallocate,
        Self::Truncate,
        Self::Mmap,
        Self::Unlink,
        Self::Rename,
        Self::Link,
    ];

    /// The name on the command line, and in JSON's `type` (where `mmap` is `mmap_read` and `mmap_write`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Fsync => "fsync",
            Self::Open => "open",
            Self::Fallocate => "fallocate",
            Self::Truncate => "truncate",
            Self::Mmap => "mmap",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
            Self::Link => "link",
        }
    }
}

impl fmt::Display for FileOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for FileOp {
    type Err = UnknownOp;

    /// One name; `sync` means [`FileOp::Fsync`].
    fn from_str(text: &str) -> Result<Self, UnknownOp> {
        let name = if text == "sync" { "fsync" } else { text };
        Self::ALL.into_iter().find(|op| op.name() == name).ok_or_else(|| UnknownOp(text.into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read_back() {
        for op in FileOp::ALL {
            assert_eq!(op.to_string().parse(), Ok(op));
        }
        assert_eq!("sync".parse(), Ok(FileOp::Fsync));
    }

    #[test]
    fn another_name_lists_the_valid_ones() {
        let error = "delete".parse::<FileOp>().unwrap_err();
        let text = error.to_string();
        let names = "read, write, fsync, open, fallocate, truncate, mmap, unlink, rename, link";
        assert_eq!(text, format!("no operation named delete: one of {names}"));
    }
}
