//! Memory after 10,000 files.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Bench;
use super::load::Request;
use super::tracer::{Memory, Output, Tracer};

/// Files written while the command traces.
pub(crate) const FILES: u32 = 10_000;

/// Commands, as typed, and when to look: `top` reads its sums when it prints, so it has to print all files in one table.
const COMMANDS: [(&str, Duration); 3] = [
    ("top -i 4s", Duration::from_millis(4800)),
    ("open", Duration::from_millis(1500)),
    ("events", Duration::from_millis(1500)),
];
/// At least, to take in what the ring buffer holds.
const SETTLE: Duration = Duration::from_millis(500);

/// Memory of one command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Use {
    /// As typed, without the process filter.
    pub(crate) command: String,
    /// When it traced, before the files.
    pub(crate) before: Memory,
    /// After the files.
    pub(crate) after: Memory,
}

/// Starts each command, has the files written and looks.
pub(crate) fn measure(bench: &mut Bench) -> Result<Vec<Use>> {
    let mut uses = Vec::new();
    for (command, moment) in COMMANDS {
        eprintln!("xtask: memory of iotrace {command}");
        let pid = bench.worker.pid().to_string();
        let arguments: Vec<_> = command.split(' ').chain(["--pid", &pid]).map(str::to_owned).collect();
        let tracer = Tracer::start(&bench.iotrace, &arguments, Output::Discarded)?;
        let began = Instant::now();
        let before = tracer.memory()?;
        bench.worker.ask(&Request::Files { count: FILES, depth: 0 })?;
        thread::sleep(moment.saturating_sub(began.elapsed()).max(SETTLE));
        let after = tracer.memory()?;
        tracer.stop()?;
        uses.push(Use { command: command.to_owned(), before, after });
    }
    Ok(uses)
}
