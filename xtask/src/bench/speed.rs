//! CPU time of the tracer itself while a process writes.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::load::Request;
use super::operation::Operation;
use super::tracer::{Ended, Output, Tracer};
use super::{Bench, Plan};

/// Commands, as typed, with the writes per second; the writer is their only process, so that what others do here is not in
/// the figures.
const COMMANDS: [(&str, Option<u64>); 5] = [
    ("top --json", None),
    ("top --json -i 1s", None),
    ("top --json -i 1s", Some(100_000)),
    ("top --json -i 1s --by container", Some(100_000)),
    (EVENTS, None),
];
const EVENTS: &str = "events";
/// One command beside a process that writes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Speed {
    /// As typed, without the process filter.
    pub(crate) command: String,
    /// Writes per second as asked for; `None` is as fast as it goes.
    pub(crate) rate: Option<u64>,
    /// Writes done per second.
    pub(crate) writes_per_second: f64,
    /// Events told per second.
    pub(crate) events_per_second: f64,
    /// Share of the writes' events that was lost.
    pub(crate) lost: f64,
    /// Seconds of CPU time of iotrace per second.
    pub(crate) cpu: f64,
    /// Whether events told and events lost are the writes done.
    pub(crate) adds_up: bool,
}

/// The last line of JSON.
#[derive(Deserialize)]
struct Summary {
    events: u64,
    lost: u64,
}

/// Measures all commands.
pub(crate) fn measure(bench: &mut Bench, plan: &Plan) -> Result<Vec<Speed>> {
    let mut all = Vec::new();
    for (command, rate) in COMMANDS {
        eprintln!("xtask: iotrace {command} beside a process that writes");
        all.push(beside(bench, command, rate, plan.flood)?);
    }
    Ok(all)
}

fn beside(bench: &mut Bench, command: &str, rate: Option<u64>, length: Duration) -> Result<Speed> {
    let pid = bench.worker.pid().to_string();
    let arguments: Vec<String> =
        command.split(' ').chain(["--pid", &pid, "--op", "write"]).map(str::to_owned).collect();
    let tracer = Tracer::start(&bench.iotrace, &arguments, Output::LastLine)?;
    let before = tracer.cpu_time()?;
    let done = bench.worker.ask(&Request::Repeat { operation: Operation::Pwrite, rate, length })?;
    let cpu = tracer.cpu_time()?.saturating_sub(before);
    let summary = summary(&tracer.stop()?)?;
    let seconds = done.ns / 1e9;
    Ok(Speed {
        command: command.to_owned(),
        rate,
        writes_per_second: done.operations as f64 / seconds,
        events_per_second: summary.events as f64 / seconds,
        lost: summary.lost as f64 / (summary.events + summary.lost).max(1) as f64,
        cpu: cpu.as_secs_f64() / seconds,
        // The load's answer is a write too, but to a pipe, which `top` leaves out.
        adds_up: summary.events + summary.lost == done.operations + u64::from(command == EVENTS),
    })
}

fn summary(ended: &Ended) -> Result<Summary> {
    serde_json::from_str(&ended.last_line).with_context(|| format!("summary of iotrace: {}", ended.last_line))
}
