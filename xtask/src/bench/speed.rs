//! CPU time of the tracer itself while a process writes byte by byte, and how many events it can deliver.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::load::Request;
use super::tracer::{Ended, Output, Tracer};
use super::{Bench, Plan};

/// Commands, as typed, for the writer as their only process, so that what others do here is not in the figures.
const COMMANDS: [&str; 3] = ["top --json", "top --json -i 1s", EVENTS];
const EVENTS: &str = "events";
/// Writes per second, tried in this order until nothing is lost; `None` is as fast as it goes.
const RATES: [Option<u64>; 10] = [
    None,
    Some(400_000),
    Some(300_000),
    Some(200_000),
    Some(150_000),
    Some(100_000),
    Some(75_000),
    Some(50_000),
    Some(25_000),
    Some(10_000),
];
/// A rate counts as lossless when one of so many tries is: the machine is shared.
const TRIES: u32 = 2;

/// One command beside a process that writes as fast as it can.
pub(crate) struct Speed {
    /// As typed, without the process filter.
    pub(crate) command: &'static str,
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

/// Figures of this module.
pub(crate) struct Speeds {
    /// Writing as fast as possible.
    pub(crate) full: Vec<Speed>,
    /// Writes per second, as done, at the first of [`RATES`] at which `events` lost nothing; `None` when it always did.
    pub(crate) lossless: Option<f64>,
    /// The same for the rate tried before, at which it did; `None` when the first lost nothing.
    pub(crate) lossy: Option<f64>,
}

/// The last line of JSON.
#[derive(Deserialize)]
struct Summary {
    events: u64,
    lost: u64,
}

/// Measures all commands, then finds the rate.
pub(crate) fn measure(bench: &mut Bench, plan: &Plan) -> Result<Speeds> {
    let mut full = Vec::new();
    for command in COMMANDS {
        eprintln!("xtask: iotrace {command} beside a process that writes");
        full.push(beside(bench, command, None, plan.flood)?);
    }
    let mut lossy = None;
    for rate in RATES {
        let shown = rate.map_or_else(|| "all the".to_owned(), |rate| rate.to_string());
        eprintln!("xtask: iotrace events with {shown} writes per second");
        let (done, kept_up) = keeps_up(bench, rate, plan.pace)?;
        if kept_up {
            return Ok(Speeds { full, lossless: Some(done), lossy });
        }
        lossy = Some(done);
    }
    Ok(Speeds { full, lossless: None, lossy })
}

/// Writes done per second, and whether `events` told them all.
fn keeps_up(bench: &mut Bench, rate: Option<u64>, length: Duration) -> Result<(f64, bool)> {
    let mut done = 0.0;
    for _ in 0..TRIES {
        let speed = beside(bench, EVENTS, rate, length)?;
        done = speed.writes_per_second;
        if speed.lost == 0.0 {
            return Ok((done, true));
        }
    }
    Ok((done, false))
}

fn beside(bench: &mut Bench, command: &'static str, rate: Option<u64>, length: Duration) -> Result<Speed> {
    let pid = bench.worker.pid().to_string();
    let arguments: Vec<String> =
        command.split(' ').chain(["--pid", &pid, "--op", "write"]).map(str::to_owned).collect();
    let tracer = Tracer::start(&bench.iotrace, &arguments, Output::LastLine)?;
    let before = tracer.cpu_time()?;
    let done = bench.worker.ask(&Request::Write { rate, length })?;
    let cpu = tracer.cpu_time()?.saturating_sub(before);
    let summary = summary(&tracer.stop()?)?;
    let seconds = done.ns / 1e9;
    Ok(Speed {
        command,
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
