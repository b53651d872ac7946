//! How long a command takes until it traces.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::stats::Spread;
use super::tracer::{Output, Tracer};
use super::{Bench, Plan, Traced};

/// On a busy machine, a command is started less often than planned once this is over.
const LIMIT: Duration = Duration::from_secs(8);

/// Start-up of one command.
pub(crate) struct Startup {
    /// Which.
    pub(crate) command: &'static Traced,
    /// Milliseconds from just before it is started to its line.
    pub(crate) wall_ms: Spread,
    /// Milliseconds of CPU time it used for that.
    pub(crate) cpu_ms: Spread,
    /// Starts.
    pub(crate) starts: usize,
}

/// Starts each command again and again.
pub(crate) fn measure(bench: &Bench, plan: &Plan) -> Result<Vec<Startup>> {
    Traced::ALL.iter().map(|command| one(bench, plan, command)).collect()
}

fn one(bench: &Bench, plan: &Plan, command: &'static Traced) -> Result<Startup> {
    const FEWEST: usize = 3;
    eprintln!("xtask: start of iotrace {}", command.name);
    let arguments = command.arguments(&[]);
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while wall.len() < plan.starts && (wall.len() < FEWEST || began.elapsed() < LIMIT) {
        let tracer = Tracer::start(&bench.iotrace, &arguments, Output::Discarded)?;
        wall.push(tracer.began_after.as_secs_f64() * 1e3);
        cpu.push(tracer.began_cpu.as_secs_f64() * 1e3);
        tracer.stop()?;
    }
    Ok(Startup { command, starts: wall.len(), wall_ms: Spread::of(wall), cpu_ms: Spread::of(cpu) })
}
