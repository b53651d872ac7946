//! Memory and exactness beside more than any map holds: many files, many processes, long paths.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::load::Request;
use super::tracer::{Output, Tracer};
use super::{Bench, Plan, interrupt};

/// What happens, how often, and what is asked of the load.
type Storm = (&'static str, u32, fn(u32) -> Request);

const FILES: Storm = ("files, a byte to each", 1_000_000, |count| Request::Files { count, depth: 0 });
const PROCESSES: Storm = ("processes, a byte from each", 100_000, |count| Request::Processes { count });
const PATHS: Storm = ("files with paths of 2.4 KiB", 200_000, |count| Request::Files { count, depth: 10 });
/// Commands, as typed, and whether each write is an event of theirs.
const RUNS: &[(&str, bool, Storm)] = &[
    ("top --op write", true, FILES),
    ("top --op write", true, PROCESSES),
    ("top --op write", true, PATHS),
    ("events --op write", true, PATHS),
    ("life", false, FILES),
    ("life", false, PROCESSES),
    ("diagnose", false, FILES),
    ("diagnose", false, PROCESSES),
];
/// With --quick, so many times fewer.
const FEWER: u32 = 10;

/// One command in one storm.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Weathered {
    /// As typed, without the process filter.
    pub(crate) command: String,
    /// What happened.
    pub(crate) storm: String,
    /// How often.
    pub(crate) count: u32,
    /// Bytes of maps and anonymous memory together, less what the latter was at the beginning.
    pub(crate) bytes: u64,
    /// Largest resident set.
    pub(crate) peak: u64,
    /// Writes that found no row of their own.
    pub(crate) folded: u64,
    /// Whether writes told and lost are the writes done, where the command tells each.
    pub(crate) adds_up: Option<bool>,
}

/// The last line of JSON.
#[derive(Deserialize)]
struct Summary {
    events: u64,
    lost: u64,
    #[serde(default)]
    other_files: u64,
}

/// Runs all.
pub(crate) fn measure(bench: &mut Bench, plan: &Plan) -> Result<Vec<Weathered>> {
    let mut all = Vec::new();
    for &(command, each, (storm, count, request)) in RUNS {
        interrupt::check()?;
        let count = if plan.quick { count / FEWER } else { count };
        eprintln!("xtask: iotrace {command} beside {count} {storm}");
        let pid = bench.worker.pid().to_string();
        let arguments: Vec<String> =
            command.split(' ').chain(["--json", "--pid", &pid, "--children"]).map(str::to_owned).collect();
        let tracer = Tracer::start(&bench.iotrace, &arguments, Output::LastLine)?;
        let before = tracer.memory()?;
        bench.worker.ask(&request(count))?;
        let after = tracer.memory()?;
        let last = tracer.stop()?.last_line;
        let summary: Summary = serde_json::from_str(&last).with_context(|| format!("summary of iotrace: {last}"))?;
        // The load's answer is a write too, but to a pipe, which `top` leaves out.
        let done = u64::from(count) + u64::from(command.starts_with("events"));
        all.push(Weathered {
            command: command.to_owned(),
            storm: storm.to_owned(),
            count,
            bytes: after.maps + after.anonymous.saturating_sub(before.anonymous),
            peak: after.peak,
            folded: summary.other_files,
            adds_up: each.then_some(summary.events + summary.lost == done),
        });
        bench.worker.ask(&Request::Files { count: 0, depth: 0 })?;
    }
    Ok(all)
}
