//! What a run says of itself at its end.

use crate::{
    kernel::losses::Losses,
    output::{
        json::{InFlightLine, SummaryLine},
        nanos,
    },
};
use std::time::Duration;

/// From this age on a request that has not ended is worth a line below a table: disks that are well, but slow, are faster.
const HANGS_NS: u64 = 1_000_000_000;

/// The last line of JSON; `in_flight`: where the command follows requests.
pub fn line<'a>(
    command: &'a str,
    mechanism: &'a str,
    duration: Duration,
    losses: &Losses,
    in_flight: Option<Vec<InFlightLine>>,
) -> SummaryLine<'a> {
    SummaryLine {
        kind: "summary",
        command,
        mechanism,
        duration_ns: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        events: losses.seen - losses.events,
        lost: losses.events,
        unmatched: losses.unmatched,
        in_flight,
        paths_cut: losses.cut,
        names_lost: losses.paths + losses.processes,
        maps_full: losses.maps_full,
        other_files: losses.other_files,
        skipped: losses.skipped,
    }
}

/// What was lost, in words; empty when nothing was.
pub fn footer(losses: &Losses) -> String {
    let lines = [
        (losses.events, "events did not fit into the ring buffer and are missing: try a larger --buffer"),
        (losses.paths + losses.processes, "names did not fit into the ring buffer: shown as ?"),
        (losses.unmatched, "operations of which only the begin or only the end was seen are not counted"),
        (losses.maps_full, "threads, requests or disks found no room in the kernel's maps, and are not counted"),
        (losses.other_files, "operations found no row of their own: they are under (other files)"),
        (
            losses.skipped,
            "runs of a kernel program were skipped by the kernel, because another run of it was not finished on that CPU",
        ),
        (losses.cut, "paths were too long, and are cut at their front"),
    ];
    lines.iter().filter(|(count, _)| *count > 0).map(|(count, text)| format!("lost: {count} {text}\n")).collect()
}

/// Requests that seem to hang, in words; empty when there are none.
pub fn hanging(in_flight: &[InFlightLine]) -> String {
    let hang = in_flight.iter().filter(|found| found.oldest_ns >= HANGS_NS);
    hang.map(|found| {
        let (disk, oldest) = (&found.disk, nanos(found.oldest_ns));
        match found.requests {
            1 => format!("not ended: a request to {disk}, for {oldest}\n"),
            requests => format!("not ended: {requests} requests to {disk}, the oldest for {oldest}\n"),
        }
    })
    .collect()
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
