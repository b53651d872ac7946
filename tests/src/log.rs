//! The log of truth: JSON lines, one per operation (identical ones in a row share a line), the last line is [`End`].

use crate::procio::Account;
use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What an operation is, by the names that iotrace's events have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Bytes came from a file.
    Read,
    /// Bytes went to a file.
    Write,
    /// Data was made durable.
    Fsync,
    /// A file was opened, or was not.
    Open,
    /// Page faults brought in bytes of a mapped file.
    MmapRead,
    /// Page faults made pages of a mapped file dirty.
    MmapWrite,
    /// Room of a file was allocated, or given back (`fallocate`).
    Fallocate,
    /// The length of a file was set.
    Truncate,
    /// A name was taken away.
    Unlink,
    /// A file got another name.
    Rename,
    /// A file got one name more.
    Link,
    /// No call, but what became of a file: [`Op::life`].
    Life,
}

impl Kind {
    /// `type` of the event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Fsync => "fsync",
            Self::Open => "open",
            Self::MmapRead => "mmap_read",
            Self::MmapWrite => "mmap_write",
            Self::Fallocate => "fallocate",
            Self::Truncate => "truncate",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Life => "life_end",
        }
    }

    /// Whether the result is a number of bytes.
    pub fn moves_bytes(self) -> bool {
        matches!(self, Self::Read | Self::Write | Self::MmapRead | Self::MmapWrite)
    }
}

/// One operation. A call with two files (sendfile, splice, copy_file_range) is a read and a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// How often in a row.
    pub count: u64,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Real user.
    pub uid: u32,
    /// Thread name.
    pub comm: String,
    /// Name of the system call.
    pub call: String,
    /// The path that iotrace should show, `null` for none.
    pub path: Option<String>,
    /// The exact bytes of a path that is not UTF-8, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Bytes, a descriptor, or a negated errno.
    pub ret: i64,
    /// Bytes asked for; `null` for syncs and opens, and where nobody can know.
    pub requested: Option<u64>,
    /// Position in the file, where the scenario notes it; `null` also where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// A write that syncs by itself.
    pub sync_write: bool,
    /// A regular file with a name: shown without `-a`.
    pub regular: bool,
    /// The path is longer than 4,096 bytes: expected with its front cut off.
    pub cut: bool,
    /// Inode number, 0 where not known.
    pub ino: u64,
    /// Device, `MAJ:MIN`.
    pub dev: Option<String>,
    /// Before the second snapshot of /proc/self/io.
    pub windowed: bool,
    /// Of an open: the name that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of an open: O_ flags by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Of a rename or link: the new absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_path: Option<String>,
    /// Of [`Kind::Life`]: the file's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// It was made by the workload.
    pub created: bool,
    /// `unlinked`, `replaced`, `nameless`; `None`: it is still there.
    pub how: Option<String>,
    /// By what iotrace knows which file it was.
    pub matched_by: Option<String>,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Whether iotrace can know these bytes.
    pub known: bool,
    /// Opens.
    pub opens: u64,
    /// Renames.
    pub renames: u64,
    /// Bounds of its lifetime, by the workload's own clock; none where it cannot be known.
    pub ns: Option<(u64, u64)>,
}

impl Op {
    /// The bytes of the path.
    pub fn path_key(&self) -> Option<Vec<u8>> {
        path_key(self.path.as_deref(), self.path_bytes.as_deref())
    }

    /// Bytes that one call moved.
    pub fn bytes(&self) -> u64 {
        if self.kind.moves_bytes() { self.ret.max(0) as u64 } else { 0 }
    }
}

/// The bytes of a path that is given lossily with its exact bytes beside it.
pub fn path_key(path: Option<&str>, path_bytes: Option<&str>) -> Option<Vec<u8>> {
    match path_bytes {
        Some(exact) => Some(BASE64_STANDARD.decode(exact).expect("path_bytes is base64")),
        None => path.map(|path| path.as_bytes().to_vec()),
    }
}

/// A path as the two JSON fields `path` and `path_bytes`.
pub fn path_fields(path: Option<&[u8]>) -> (Option<String>, Option<String>) {
    let lossy = path.map(|path| String::from_utf8_lossy(path).into_owned());
    let exact = path.filter(|path| std::str::from_utf8(path).is_err()).map(|path| BASE64_STANDARD.encode(path));
    (lossy, exact)
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The process that wrote the log.
    pub end: u32,
    /// Growth of its /proc/self/io while it worked; reaped children are in it, the reading of /proc/self/io is not.
    pub io: Account,
}

/// A whole log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Operations, per thread in order.
    pub ops: Vec<Op>,
    /// The last line.
    pub end: End,
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// When the file is missing, incomplete or not a log.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("no log at {}", path.display()))?;
        let mut lines: Vec<&str> = text.lines().collect();
        let end = lines.pop().context("the log is empty")?;
        let end = serde_json::from_str(end).context("the log's last line is missing")?;
        let ops = lines.into_iter().map(serde_json::from_str).collect::<Result<Vec<Op>, _>>()?;
        ensure!(!ops.is_empty(), "the workload did nothing");
        Ok(Self { ops, end })
    }

    /// How many operations `matches` describes.
    pub fn count(&self, matches: impl Fn(&Op) -> bool) -> u64 {
        self.ops.iter().filter(|op| matches(op)).map(|op| op.count).sum()
    }

    /// What the kernel's accounting should have grown by.
    pub fn account(&self) -> Account {
        self.ops.iter().filter(|op| op.windowed).map(Account::of).sum()
    }
}
