//! Rows of tables.

use super::{Place, Stored, Text};
use crate::resolve::Container;
use schemars::JsonSchema;
use serde::Serialize;

/// Whose row.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Owner<'a> {
    /// Process id; `null` where the row is of several processes, or none is known.
    pub pid: Option<u32>,
    /// Thread id; in rows only with `--by thread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// Name of the process; in events and with `--by thread`, of the thread.
    pub comm: Option<Text<'a>>,
    /// Exact bytes of `comm` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_bytes: Option<String>,
    /// What the process runs in, or what it serves.
    pub container: Option<&'a Container>,
    /// `runtime` for a process of a container runtime.
    pub role: Option<&'static str>,
}

/// A row of `top`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TopLine<'a> {
    /// `top`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Who.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Which file.
    #[serde(flatten)]
    pub place: Place<'a>,
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
    /// Time in reads; this and the other times are null with `--no-latency`.
    pub read_ns: Option<u64>,
    /// Time in writes.
    pub write_ns: Option<u64>,
    /// Time in syncs.
    pub sync_ns: Option<u64>,
    /// Longest operation; 0 in an interval after the one that had it.
    pub max_ns: Option<u64>,
    /// Calls that failed.
    pub errors: u64,
    /// fallocate calls, failed ones included.
    pub allocates: u64,
    /// truncate and ftruncate calls, failed ones included.
    pub truncates: u64,
    /// Folios that page faults brought in.
    pub mmap_reads: u64,
    /// Bytes that page faults brought in.
    pub mmap_read_bytes: u64,
    /// Folios that became dirty through a mapping.
    pub mmap_writes: u64,
    /// Bytes that became dirty through a mapping.
    pub mmap_write_bytes: u64,
}

/// A row of the sync ledger.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FsyncLine<'a> {
    /// `fsync`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Who.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Which file.
    #[serde(flatten)]
    pub place: Place<'a>,
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
    /// Whose requests, with `--by`.
    #[serde(flatten)]
    pub of: Option<LatencyOwner<'a>>,
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

/// Whose requests a row of `latency` is of.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LatencyOwner<'a> {
    /// The process that caused them.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// The file whose bytes they carried, or `[metadata]` and its like.
    pub path: Option<Text<'a>>,
    /// Exact bytes of `path` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// The row has all that found no row of its own.
    pub others: bool,
}

/// A row of `block --summary`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BlockSumLine<'a> {
    /// `block_summary`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Whose.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Number of the disk, `MAJOR:MINOR`; `null` where the row is of several.
    pub dev: Option<String>,
    /// The whole disk.
    pub disk: Option<String>,
    /// `file`, `metadata`, `journal`, `swap`, `device`, `discard`, `zeroes`; `null` where it is not known, or the row is of all.
    pub what: Option<&'static str>,
    /// Which file.
    #[serde(flatten)]
    pub stored: Stored<'a>,
    /// File system type.
    pub fs: Option<&'a str>,
    /// Requests of all kinds.
    pub requests: u64,
    /// Requests that read.
    pub reads: u64,
    /// Requests that write, zeroes too.
    pub writes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Bytes of all requests, discarded ones too.
    pub bytes: u64,
    /// Until given to the device, all requests together.
    pub queue_ns: u64,
    /// In the device, all requests together.
    pub device_ns: u64,
    /// Longest single request, queue and device.
    pub max_ns: u64,
    /// Requests that failed.
    pub errors: u64,
}
