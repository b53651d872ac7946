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
    /// Runs of a kernel program that the kernel skipped, because another run of it was not finished on that CPU.
    pub skipped: u64,
}
