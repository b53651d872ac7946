//! Memory after 10,000 files.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::load::Request;
use super::tracer::{Memory, Output, Tracer};

/// Files written while the command traces.
pub(crate) const FILES: u32 = 10_000;

/// As typed. `top` reads its sums when it prints, so it has to print.
const COMMANDS: [&str; 3] = ["top -i 500ms", "open", "events"];

/// Memory of one command.
pub(crate) struct Use {
    /// As typed.
    pub(crate) command: &'static str,
    /// When it traced, before the files.
    pub(crate) before: Memory,
    /// After the files.
    pub(crate) after: Memory,
}

/// Starts each command, has the files written and looks.
pub(crate) fn measure(bench: &mut Bench) -> Result<Vec<Use>> {
    /// For two tables, and to take in what the ring buffer holds.
    const SETTLE: Duration = Duration::from_millis(1200);
    let mut uses = Vec::new();
    for command in COMMANDS {
        eprintln!("xtask: memory of iotrace {command}");
        let arguments: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let tracer = Tracer::start(&bench.iotrace, &arguments, Output::Discarded)?;
        let before = tracer.memory()?;
        bench.worker.ask(&Request::Files { count: FILES })?;
        thread::sleep(SETTLE);
        let after = tracer.memory()?;
        tracer.stop()?;
        uses.push(Use { command, before, after });
    }
    Ok(uses)
}
