//! Rows of `disk`.

use super::{Distribution, Owner, Stored, Text};
use schemars::JsonSchema;
use serde::Serialize;

/// Traced requests.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Requests {
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
    pub queue: Distribution,
    /// In the device.
    pub device: Distribution,
}

/// Traced requests of an operation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpRequests {
    /// `read`, `write`, `flush`, `discard`, ...
    pub op: &'static str,
    /// Its requests.
    #[serde(flatten)]
    pub requests: Requests,
}

/// What the kernel counted of one kind of request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KindCounts {
    /// Completed requests.
    pub count: u64,
    /// Requests that were merged into others before.
    pub merged: u64,
    /// Bytes.
    pub bytes: u64,
    /// From start to completion, all added up.
    pub sum_ns: u64,
}

/// What the kernel counted of a device.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeviceCounts {
    /// Reads.
    pub reads: KindCounts,
    /// Writes, those too that only flush.
    pub writes: KindCounts,
    /// Discards.
    pub discards: KindCounts,
    /// Flushes that the device was sent.
    pub flushes: KindCounts,
    /// Requests in flight at the end.
    pub in_flight: u64,
    /// Mean number of requests in flight.
    pub queue_len: f64,
    /// Time with a request in flight.
    pub busy_ns: u64,
    /// The same in per cent of the interval.
    pub util_pct: f64,
}

/// A process and a file that had requests on a disk.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiskCause<'a> {
    /// Whose.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// `file`, `metadata`, `journal`, `swap`, ...; `null` where it is not known.
    pub what: Option<&'static str>,
    /// Which file.
    #[serde(flatten)]
    pub stored: Stored<'a>,
    /// Requests of all kinds.
    pub requests: u64,
    /// Bytes of all requests.
    pub bytes: u64,
    /// Until given to the device, all requests together.
    pub queue_ns: u64,
    /// In the device, all requests together.
    pub device_ns: u64,
    /// Part of the time of all requests of the disk in the device, of 1.
    pub share: f64,
}

/// A row of `disk`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiskLine<'a> {
    /// `disk`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Length of the interval, between the two looks at the kernel's counters.
    pub interval_ns: u64,
    /// The device as in `/dev`; `null` when it has no name.
    pub name: Option<&'a str>,
    /// The whole disk.
    pub disk: Option<&'a str>,
    /// Device number, `MAJOR:MINOR`.
    pub dev: String,
    /// `disk`, `part`, `lvm`, `crypt`, `mpath`, `dm`, `raid1`, `loop`, ...
    pub device_type: Option<&'a str>,
    /// Device numbers of what it stands on; `null` when that cannot be told.
    pub on: Option<Vec<String>>,
    /// The file that a loop device is in.
    pub backing_file: Option<Text<'a>>,
    /// Exact bytes of `backing_file` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing_file_bytes: Option<String>,
    /// What the kernel counted; `null` when the device was gone at the end.
    pub counted: Option<DeviceCounts>,
    /// All traced requests; `null` without any.
    pub requests: Option<Requests>,
    /// The same by operation.
    pub ops: Vec<OpRequests>,
    /// The three processes and files whose requests took most time in the device.
    pub causes: Vec<DiskCause<'a>>,
}
