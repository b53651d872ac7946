//! Lines about single events.

use super::{Dev, Mode, Owner, Text};
use crate::{
    output::{OpenFlags, Stamp},
    resolve::Container,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::borrow::Cow;

/// When and who.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Head<'a> {
    /// When it began, UTC.
    pub ts: Stamp,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// Who.
    #[serde(flatten)]
    pub who: Who<'a>,
}

/// Who.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Who<'a> {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// Name of the thread.
    pub comm: Text<'a>,
    /// Exact bytes of `comm` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_bytes: Option<String>,
    /// What the process runs in, or what it serves.
    pub container: Option<&'a Container>,
    /// `runtime` for a process of a container runtime.
    pub role: Option<&'static str>,
}

/// Which file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Place<'a> {
    /// Absolute path; `null` where there is no file, its name is not known, or the row is of several. The directory, with `--by dir`.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Where on the host.
    #[serde(flatten)]
    pub host: HostPlace<'a>,
    /// Device of the file system, `MAJOR:MINOR`.
    pub dev: Option<Dev>,
    /// Whole disk it is on.
    pub disk: Option<&'a str>,
    /// File system type.
    pub fs: Option<&'a str>,
    /// Inode number; `null` where several files had the path.
    pub ino: Option<u64>,
}

/// Where a file lies on the host, and its file system there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HostPlace<'a> {
    /// Where it lies on the host; `null` where that is not known.
    pub host_path: Option<Text<'a>>,
    /// Exact bytes of `host_path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path_bytes: Option<String>,
    /// Volume of a container runtime that it is in.
    pub volume: Option<&'a str>,
    /// Mount point of its file system on the host.
    pub mount: Option<Text<'a>>,
    /// Exact bytes of `mount` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_bytes: Option<String>,
    /// Bytes that users may still take there, in per cent.
    pub fs_free_pct: Option<f64>,
    /// Inodes that are free there, in per cent.
    pub fs_inodes_free_pct: Option<f64>,
}

/// A finished operation on a file other than an open.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IoLine<'a> {
    /// `read`, `write`, `fsync`, `fallocate`, `truncate`, `mmap_read` or `mmap_write`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The system call; `io_uring`; `fault` for what came through a mapping.
    pub call: &'static str,
    /// When and who.
    #[serde(flatten)]
    pub head: Head<'a>,
    /// Which file.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// What it did.
    #[serde(flatten)]
    pub done: IoDone,
    /// How.
    #[serde(flatten)]
    pub how: IoHow,
}

/// What an operation on a file did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IoDone {
    /// Position in the file.
    pub offset: Option<u64>,
    /// Bytes asked for; the length, of `fallocate` and `truncate`.
    pub requested: Option<u64>,
    /// Bytes moved; `null` for syncs, 0 for what failed or moves none.
    pub bytes: Option<u64>,
    /// Name of the error.
    pub errno: Option<Cow<'static, str>>,
    /// From begin to end; `null` for what came through a mapping.
    pub latency_ns: Option<u64>,
}

/// How an operation on a file was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IoHow {
    /// Flags of the open file.
    pub flags: OpenFlags,
    /// A write that syncs by itself.
    pub sync: bool,
}

/// A finished open.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenLine<'a> {
    /// `open`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The system call.
    pub call: &'static str,
    /// When and who.
    #[serde(flatten)]
    pub head: Head<'a>,
    /// The descriptor; `null` when the open failed.
    pub fd: Option<u64>,
    /// Name of the error.
    pub errno: Option<Cow<'static, str>>,
    /// The flags asked for.
    pub flags: OpenFlags,
    /// The permission bits asked for, octal; `null` when nothing is created.
    pub mode: Option<Mode>,
    /// The name as it was asked for.
    pub name: Option<Text<'a>>,
    /// Exact bytes of `name` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_bytes: Option<String>,
    /// Which file: the one that was opened; of a failed open, the absolute path that was asked for.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// From entry to return.
    pub latency_ns: u64,
    /// Time of it in which overlayfs copied the file up; `null` where it did not, or that cannot be seen.
    pub copy_up_ns: Option<u64>,
    /// Whether it made the file; `null` where that cannot be told.
    pub created: Option<bool>,
}

/// A finished unlink, rename or link.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NamingLine<'a> {
    /// `unlink`, `rename` or `link`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The system call.
    pub call: &'static str,
    /// When and who.
    #[serde(flatten)]
    pub head: Head<'a>,
    /// The absolute path that was asked for; device, disk and file system of the directory from which the name counts.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// The name as it was asked for.
    pub name: Option<Text<'a>>,
    /// Exact bytes of `name` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_bytes: Option<String>,
    /// The new absolute path that was asked for; `null` for `unlink`.
    pub new_path: Option<Text<'a>>,
    /// Exact bytes of `new_path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_path_bytes: Option<String>,
    /// Name of the error.
    pub errno: Option<Cow<'static, str>>,
    /// The flags asked for.
    pub flags: Vec<&'static str>,
    /// From entry to return.
    pub latency_ns: u64,
}

/// A completed block request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BlockLine<'a> {
    /// `block`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When it entered the block layer, UTC.
    pub ts: Cow<'a, str>,
    /// When it entered the block layer, nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// `read`, `write`, `flush`, `discard`, ...
    pub op: &'static str,
    /// `sync`, `meta`, `fua`, ...
    pub flags: Vec<&'static str>,
    /// The partition where known, else the disk, `MAJOR:MINOR`.
    pub dev: String,
    /// The whole disk.
    pub disk: Option<&'a str>,
    /// First sector of 512 bytes, on the whole disk; `null` where the operation has none.
    pub sector: Option<u64>,
    /// Bytes completed.
    pub bytes: u64,
    /// Until given to the device.
    pub queue_ns: u64,
    /// In the device.
    pub device_ns: u64,
    /// Both.
    pub latency_ns: u64,
    /// Name of the error.
    pub errno: Option<Cow<'static, str>>,
    /// Whose most of its bytes are, and the file: the first of `files` that passes the filters.
    #[serde(flatten)]
    pub cause: Cause<'a>,
    /// Who put it into the queue.
    pub issuer: Issuer<'a>,
    /// All whose bytes it carries; empty for a request without bytes.
    pub files: Vec<BlockFile<'a>>,
}

/// A file whose bytes are on a disk, or what else they are of.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stored<'a> {
    /// The file, or `[metadata]` and its like.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Where the file lies on the host; `null` where that is not known, or it is none.
    pub host_path: Option<Text<'a>>,
    /// Exact bytes of `host_path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path_bytes: Option<String>,
}

/// Whose bytes of a block request, and of which file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cause<'a> {
    /// Who; `null` where nobody is known.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// How that is known: `page`, `inode`, `submitter` or `issuer`; `null` where nobody is known.
    pub charged_by: Option<&'static str>,
    /// `file`, `metadata`, `journal`, `swap`, `device`, `discard`, `zeroes`; `null` where it is not known, or there are no bytes.
    pub what: Option<&'static str>,
    /// Which file.
    #[serde(flatten)]
    pub stored: Stored<'a>,
    /// File system type.
    pub fs: Option<&'a str>,
    /// Inode number.
    pub ino: Option<u64>,
}

/// The bytes of a block request that belong to one file and one process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BlockFile<'a> {
    /// How many.
    pub bytes: u64,
    /// Whose.
    #[serde(flatten)]
    pub cause: Cause<'a>,
}

/// Who put a block request into the queue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Issuer<'a> {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread.
    pub comm: Text<'a>,
    /// Exact bytes of `comm` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_bytes: Option<String>,
}
