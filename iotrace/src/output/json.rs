//! JSON lines: one object a line, `type` first, bytes and nanoseconds as integers, unknown is `null`.
//!
//! Fields are added, never renamed. [`schema`] describes every line; `docs/json.md` says what each field means.

use crate::{output::lossy, resolve::Container};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::{borrow::Cow, io};

/// A name of any bytes, given as text; where it is not UTF-8, as near as text comes.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Text<'a>(#[schemars(with = "String")] pub &'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&lossy(self.0).0)
    }
}

/// The exact bytes, in base64, of a name that is not UTF-8.
pub fn exact(name: Option<&[u8]>) -> Option<String> {
    name.and_then(|name| lossy(name).1)
}

/// A finished read, write or sync.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IoLine<'a> {
    /// `read`, `write` or `fsync`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The system call.
    pub call: &'static str,
    /// When it began, UTC.
    pub ts: Cow<'a, str>,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: u64,
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
    /// What the process runs in.
    pub container: Option<&'a Container>,
    /// Absolute path; `null` where there is no file, or its name is not known.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Device of the file system, `MAJOR:MINOR`.
    pub dev: Option<String>,
    /// Whole disk it is on.
    pub disk: Option<&'a str>,
    /// File system type.
    pub fs: Option<&'a str>,
    /// Inode number.
    pub ino: Option<u64>,
    /// Position in the file.
    pub offset: Option<u64>,
    /// Bytes asked for.
    pub requested: Option<u64>,
    /// Bytes moved; `null` for syncs, 0 for what failed.
    pub bytes: Option<u64>,
    /// Name of the error.
    pub errno: Option<Cow<'static, str>>,
    /// From entry to return.
    pub latency_ns: u64,
    /// Flags of the open file.
    pub flags: Vec<&'static str>,
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
    /// When it began, UTC.
    pub ts: Cow<'a, str>,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: u64,
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
    /// What the process runs in.
    pub container: Option<&'a Container>,
    /// The descriptor; `null` when the open failed.
    pub fd: Option<u64>,
    /// Name of the error.
    pub errno: Option<Cow<'static, str>>,
    /// The flags asked for.
    pub flags: Vec<&'static str>,
    /// The permission bits asked for, octal; `null` when nothing is created.
    pub mode: Option<String>,
    /// The name as it was asked for.
    pub name: Option<Text<'a>>,
    /// Exact bytes of `name` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_bytes: Option<String>,
    /// Path of the file that was opened; of a failed open, the absolute path that was asked for.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Device of the file system, `MAJOR:MINOR`.
    pub dev: Option<String>,
    /// Whole disk it is on.
    pub disk: Option<&'a str>,
    /// File system type.
    pub fs: Option<&'a str>,
    /// Inode number.
    pub ino: Option<u64>,
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
    /// Process that put it into the queue.
    pub pid: u32,
    /// Thread that put it into the queue.
    pub tid: u32,
    /// Its name.
    pub comm: Text<'a>,
    /// Exact bytes of `comm` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_bytes: Option<String>,
    /// What it runs in.
    pub container: Option<&'a Container>,
    /// The file: not known yet.
    pub path: Option<Text<'a>>,
}

/// A row of `top`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TopLine<'a> {
    /// `top`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Process id; `null` where the row is of several processes.
    pub pid: Option<u32>,
    /// Thread id, with `--by thread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// Name of the process (of the thread, with `--by thread`).
    pub comm: Option<Text<'a>>,
    /// Exact bytes of `comm` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_bytes: Option<String>,
    /// What the process runs in.
    pub container: Option<&'a Container>,
    /// The file; the directory with `--by dir`; `null` where the row is of several files, or there is none.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Device of the file system, `MAJOR:MINOR`.
    pub dev: Option<String>,
    /// Whole disk it is on.
    pub disk: Option<&'a str>,
    /// File system type.
    pub fs: Option<&'a str>,
    /// Inode number; `null` where several files had the path.
    pub ino: Option<u64>,
    /// Read calls, failed ones included.
    pub reads: u64,
    /// Write calls, failed ones included.
    pub writes: u64,
    /// Bytes that reads returned.
    pub read_bytes: u64,
    /// Bytes that writes returned.
    pub write_bytes: u64,
    /// Sync calls, failed ones included.
    pub syncs: u64,
    /// Writes that sync by themselves.
    pub sync_writes: u64,
    /// Time in reads.
    pub read_ns: u64,
    /// Time in writes.
    pub write_ns: u64,
    /// Time in syncs.
    pub sync_ns: u64,
    /// Longest operation; 0 in an interval after the one that had it.
    pub max_ns: u64,
    /// Calls that failed.
    pub errors: u64,
}

/// A row of the sync ledger.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FsyncLine<'a> {
    /// `fsync`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Process id.
    pub pid: Option<u32>,
    /// Name of the process.
    pub comm: Option<Text<'a>>,
    /// Exact bytes of `comm` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_bytes: Option<String>,
    /// What the process runs in.
    pub container: Option<&'a Container>,
    /// The file; `null` for syncs of everything.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// Device of the file system, `MAJOR:MINOR`.
    pub dev: Option<String>,
    /// Whole disk it is on.
    pub disk: Option<&'a str>,
    /// File system type.
    pub fs: Option<&'a str>,
    /// Inode number.
    pub ino: Option<u64>,
    /// Sync calls, failed ones included.
    pub syncs: u64,
    /// Writes that sync by themselves.
    pub sync_writes: u64,
    /// Write calls.
    pub writes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Bytes written per sync, both kinds.
    pub bytes_per_sync: f64,
    /// Writes per sync, both kinds.
    pub writes_per_sync: f64,
    /// Time in syncs, both kinds.
    pub total_ns: u64,
    /// Mean time of a sync.
    pub avg_ns: u64,
    /// Median; `null` when events were lost.
    pub p50_ns: Option<u64>,
    /// 99th percentile; `null` when events were lost.
    pub p99_ns: Option<u64>,
    /// Longest sync.
    pub max_ns: u64,
    /// Time in syncs, in per cent of the time traced; over 100 where several threads sync at once.
    pub wall_pct: f64,
    /// Calls that failed.
    pub errors: u64,
}

/// Part of a latency.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Distribution {
    /// Sum of all values.
    pub sum_ns: u64,
    /// Shortest.
    pub min_ns: u64,
    /// Longest.
    pub max_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
}

/// A bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bucket {
    /// Values up to this one, and above the bucket before.
    pub le_ns: u64,
    /// How many.
    pub count: u64,
}

/// A row of `latency`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LatencyLine<'a> {
    /// `latency`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// The whole disk; `null` when it has no name any more.
    pub disk: Option<&'a str>,
    /// The whole disk, `MAJOR:MINOR`.
    pub dev: String,
    /// `read`, `write`, `flush`, `discard`, ...
    pub op: &'static str,
    /// Flags of the requests, with `--by-flags`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<&'static str>>,
    /// Requests.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// From entering the block layer to completion.
    #[serde(flatten)]
    pub total: Distribution,
    /// Until given to the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Distribution>,
    /// In the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Distribution>,
    /// The whole latency by powers of two.
    pub buckets: Vec<Bucket>,
}

/// The last line of every output.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SummaryLine<'a> {
    /// `summary`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The command.
    pub command: &'a str,
    /// The way into the kernel that was used.
    pub mechanism: &'a str,
    /// Time traced.
    pub duration_ns: u64,
    /// Operations counted or printed by the kernel side and not lost.
    pub events: u64,
    /// Operations whose record did not fit into the ring buffer.
    pub lost: u64,
    /// Ends without a begin.
    pub unmatched: u64,
    /// Paths cut at their front.
    pub paths_cut: u64,
    /// Paths and processes whose record did not fit: their names may be missing.
    pub names_lost: u64,
    /// Threads, requests and disks that found no room in a map: not counted.
    pub maps_full: u64,
    /// Operations counted under `(other files)`.
    pub other_files: u64,
    /// Runs of a kernel program that were skipped, because it interrupted itself.
    pub skipped: u64,
}

/// Any line of output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, clippy::large_enum_variant)] // only for the schema
pub enum Line<'a> {
    /// A read, write or sync.
    Io(IoLine<'a>),
    /// An open.
    Open(OpenLine<'a>),
    /// A block request.
    Block(BlockLine<'a>),
    /// A row of `top`.
    Top(TopLine<'a>),
    /// A row of the sync ledger.
    Fsync(FsyncLine<'a>),
    /// A row of `latency`.
    Latency(LatencyLine<'a>),
    /// The last line.
    Summary(SummaryLine<'a>),
}

/// JSON Schema of every line that any command prints.
pub fn schema() -> Schema {
    schema_for!(Line<'static>)
}

/// Writes compact JSON in which control characters stand as escapes, those too that JSON itself would allow: DEL and U+0080 to
/// U+009F, which some terminals obey.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let control = |c: char| matches!(c, '\u{7f}'..='\u{9f}');
        if fragment.is_ascii() && !fragment.as_bytes().contains(&0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| control(*c)) {
            let (before, after) = rest.split_at(at);
            write!(writer, "{before}\\u{:04x}", u32::from(found))?;
            rest = after.strip_prefix(found).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Appends a line.
///
/// # Errors
///
/// Never for these types; serde's signature has it.
pub fn append(out: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    line.serialize(&mut Serializer::with_formatter(&mut *out, Harmless))?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_read_back_and_holds_no_control_character(text in any::<String>()) {
            let mut out = Vec::new();
            append(&mut out, &text).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<String>(&out).unwrap(), &text);
            let line = String::from_utf8(out).unwrap();
            prop_assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
        }
    }
}
