//! What a command gives to the loop that runs it, and what it gets.

use crate::{
    cli::{
        form::Form,
        io_lines::Rendered,
        options::{Common, Timing},
    },
    event::{Event, open::Created},
    kernel::{block::BlockFacts, endings::Endings, plan::Plan, tracer::Tracer},
    output::Clock,
    resolve::names::Names,
    view::select::Selection,
};
use anyhow::Result;
use std::time::Duration;

/// What every command gives to the loop.
pub struct Setup<'a> {
    /// Its name.
    pub command: &'static str,
    /// Whether it prints events as they come.
    pub stream: bool,
    /// Whether a PROGRAM only says how long to trace, not whom.
    pub everyone: bool,
    /// Whether a table shows where files lie on the host, or what is free there. JSON always does.
    pub host_paths: bool,
    /// What it needs from the kernel side; filters and settings are added.
    pub plan: Plan,
    /// How long, how often.
    pub timing: &'a Timing,
    /// The options that all have.
    pub common: &'a Common,
}

/// What a view may use.
pub struct World {
    /// Files, processes, disks.
    pub names: Names,
    /// Wall-clock times.
    pub clock: Clock,
    /// Filters that need names.
    pub selection: Selection,
    /// The devices of `--disk`.
    pub devices: Option<Vec<u32>>,
    /// How this kernel numbers block operations.
    pub block: BlockFacts,
    /// What the ends of bios say.
    pub endings: Endings,
    /// Whether opens make files.
    pub created: Created,
    /// The form of the output.
    pub form: Form,
    /// Operations that the kernel side told apart, and that share a row for want of memory here.
    pub folded: u64,
    /// Where the path is put together that an open asked for.
    pub asked: Vec<u8>,
    /// What lines of one thread and file have in common.
    pub rendered: Rendered,
}

/// A part of the time traced.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Its end, nanoseconds of CLOCK_MONOTONIC.
    pub end_ns: u64,
    /// Its length.
    pub length: Duration,
    /// Whether tables come at intervals, so that each needs a time.
    pub repeated: bool,
}

/// What a command does with what comes.
pub trait Command {
    /// How long a command traces that prints one table, when nobody says.
    fn duration(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Once a second, where tables do not come at intervals.
    ///
    /// # Errors
    ///
    /// When the kernel side's sums cannot be read, or a line cannot be made.
    fn sample(&mut self, _tracer: &mut Tracer, _world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    /// Before names of files are forgotten: what is needed later must be kept.
    fn keep_names(&mut self, _tracer: &mut Tracer, _world: &mut World) {}

    /// Before the first event.
    fn begin(&mut self, _world: &mut World, _out: &mut Vec<u8>) {}

    /// A record about an operation. Those about files and processes are in `world.names` already.
    ///
    /// # Errors
    ///
    /// When a line cannot be made.
    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()>;

    /// The end of an interval, or of all.
    ///
    /// # Errors
    ///
    /// When the kernel side's sums cannot be read.
    fn report(
        &mut self,
        _interval: Interval,
        _tracer: &mut Tracer,
        _world: &mut World,
        _out: &mut Vec<u8>,
    ) -> Result<()> {
        Ok(())
    }

    /// After the last report.
    fn end(&mut self, _world: &mut World, _out: &mut Vec<u8>) {}
}
