//! `iotrace events`: every event as a JSON line.

use crate::{
    cli::{
        Exit,
        block_lines::block_line,
        command::{Command, Setup, World},
        lines::{io_line, open_line, truncate_line},
        naming_lines::naming_line,
        options::{Common, Timing},
        run::run,
    },
    event::Event,
    kernel::{calls::FileOps, plan::Plan, tracer::ALL_KINDS},
    output::json,
    parse::FileOp,
};
use anyhow::Result;
use std::{io::Write, str::FromStr, time::Duration};

/// Every traced event as a JSON line, for jq and for machines
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace events | jq -c 'select(.latency_ns > 1e6) | [.comm, .type, .path]'
  iotrace events --op write --path '/var/**'
  iotrace events --schema              what the lines look like, as JSON Schema
  iotrace events -o job.json -- ./job.sh")]
pub struct Args {
    /// Trace for so long [default: until Ctrl-C, or PROGRAM ends]
    #[arg(short, long, value_name = "TIME", value_parser = crate::parse::duration)]
    duration: Option<Duration>,
    /// Only these: read, write, fsync, open, fallocate, truncate, mmap, unlink, rename, link, block
    #[arg(long, value_name = "OP,...", value_delimiter = ',')]
    op: Vec<EventOp>,
    /// Print the JSON Schema of all lines, and end
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    common: Common,
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventOp {
    File(FileOp),
    Block,
}

impl FromStr for EventOp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "block" {
            return Ok(Self::Block);
        }
        text.parse().map(Self::File).map_err(|_| {
            let names = FileOp::ALL.map(FileOp::name).join(", ");
            format!("no event named {text}: one of {names}, block")
        })
    }
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(mut self) -> Result<Exit> {
        if self.schema {
            let text = serde_json::to_string_pretty(&json::schema())?;
            // A closed pipe is no error.
            let _ = writeln!(std::io::stdout(), "{text}");
            return Ok(Exit::Done);
        }
        self.common.output.json = true;
        let named: Vec<_> = self
            .op
            .iter()
            .filter_map(|op| match op {
                EventOp::File(op) => Some(*op),
                EventOp::Block => None,
            })
            .collect();
        let all = FileOps::ALL;
        let files = match (self.op.is_empty(), named.is_empty()) {
            (true, _) => all,
            (false, true) => FileOps::default(),
            (false, false) => super::top::file_ops(&named, all)?,
        };
        let stream_block = self.op.is_empty() || self.op.contains(&EventOp::Block);
        let setup = Setup {
            command: "events",
            stream: true,
            everyone: false,
            host_paths: false,
            plan: Plan { files, stream_io: true, stream_block, kinds: ALL_KINDS, ..Plan::default() },
            timing: &Timing::stream(self.duration),
            common: &self.common,
        };
        run(setup, &mut Events)
    }
}

struct Events;

impl Command for Events {
    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        match event {
            Event::Io(io) => io_line(&io, world, out),
            Event::Open(open) => open_line(&open, world, out),
            Event::Truncate(truncate) => truncate_line(&truncate, world, out),
            Event::Naming(naming) => naming_line(&naming, world, out),
            Event::Block(block) => block_line(&block, world, out),
            Event::File(_) | Event::Process(_) | Event::BlockPart(_) => Ok(()),
        }
    }
}
