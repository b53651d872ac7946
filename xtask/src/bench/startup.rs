//! How long a command takes until it traces, and to end.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::contestants::{Contestant, fill};
use super::stats::Spread;
use super::tracer::{Output, Tracer};
use super::{Bench, Plan, interrupt};

/// On a busy machine, a command is started less often than planned once this is over.
const LIMIT: Duration = Duration::from_secs(8);

/// Start and end of one command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Startup {
    /// Which.
    pub(crate) command: String,
    /// What it says that it traces with.
    pub(crate) mechanism: String,
    /// Milliseconds from just before it is started to its line.
    pub(crate) wall_ms: Spread,
    /// Milliseconds of CPU time it used for that.
    pub(crate) cpu_ms: Spread,
    /// Milliseconds from SIGINT to its end.
    pub(crate) end_ms: Spread,
    /// Starts.
    pub(crate) starts: usize,
}

/// Starts each command again and again; those that do not start here are left out.
pub(crate) fn measure(bench: &Bench, plan: &Plan) -> Result<Vec<Startup>> {
    let mut all = Vec::new();
    for (name, arguments) in Contestant::of_iotrace() {
        all.extend(one(bench, plan, name, arguments)?);
    }
    Ok(all)
}

fn one(bench: &Bench, plan: &Plan, name: &str, arguments: &[&str]) -> Result<Option<Startup>> {
    const FEWEST: usize = 3;
    eprintln!("xtask: start of iotrace {name}");
    let arguments = fill(arguments, bench.worker.pid());
    let (mut wall, mut cpu, mut end) = (Vec::new(), Vec::new(), Vec::new());
    let mut mechanism = String::new();
    let began = Instant::now();
    while wall.len() < plan.starts && (wall.len() < FEWEST || began.elapsed() < LIMIT) {
        let tracer = match Tracer::start(&bench.iotrace, &arguments, Output::Discarded) {
            Ok(tracer) => tracer,
            Err(error) => {
                interrupt::check()?;
                eprintln!("xtask: no iotrace {name}: {error:#}");
                return Ok(None);
            }
        };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        wall.push(milliseconds(tracer.began_after));
        cpu.push(milliseconds(tracer.began_cpu));
        mechanism.clone_from(&tracer.mechanism);
        end.push(milliseconds(tracer.stop()?.after));
    }
    Ok(Some(Startup {
        command: name.to_owned(),
        mechanism,
        starts: wall.len(),
        wall_ms: Spread::of(wall),
        cpu_ms: Spread::of(cpu),
        end_ms: Spread::of(end),
    }))
}
