//! The last line.

use schemars::JsonSchema;
use serde::Serialize;

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
    /// Operations of which only the begin or only the end was seen: not counted.
    pub unmatched: u64,
    /// Requests that were given to disks and had not ended when tracing did: not counted. `null` where the command follows none.
    pub in_flight: Option<Vec<InFlightLine>>,
    /// Paths cut at their front.
    pub paths_cut: u64,
    /// Paths and processes whose record did not fit: their names may be missing.
    pub names_lost: u64,
    /// Threads, requests and disks that found no room in a map: not counted.
    pub maps_full: u64,
    /// Operations counted under `(other files)`.
    pub other_files: u64,
    /// Runs of a kernel program that the kernel skipped, because another run of it was not finished on that CPU.
    pub skipped: u64,
}

/// Requests to a disk that had not ended.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InFlightLine {
    /// The disk.
    pub disk: String,
    /// How many.
    pub requests: u64,
    /// For how long the oldest of them had been in the block layer, nanoseconds.
    pub oldest_ns: u64,
}
