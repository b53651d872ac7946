//! `iotrace events`: every event as a JSON line.

use crate::{
    cli::{
        Exit,
        block_lines::block_line,
        command::{Command, Setup, World},
        copyup_lines::copy_up_line,
        io_lines::io_line,
        lines::{open_line, truncate_line},
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
    /// Only these: read, write, fsync, open, fallocate, truncate, mmap, unlink, rename, link, block; copyup, which needs to be
    /// asked for
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
    CopyUp,
}

impl FromStr for EventOp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => return Ok(Self::Block),
            "copyup" => return Ok(Self::CopyUp),
            _ => {}
        }
        text.parse().map(Self::File).map_err(|_| {
            let names = FileOp::ALL.map(FileOp::name).join(", ");
            format!("no event named {text}: one of {names}, block, copyup")
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
                EventOp::Block | EventOp::CopyUp => None,
            })
            .collect();
        let all = FileOps::ALL;
        let files = match (self.op.is_empty(), named.is_empty()) {
            (true, _) => all,
            (false, true) => FileOps::default(),
            (false, false) => super::top::file_ops(&named, all)?,
        };
        // They need calls to be traced that nothing else needs, so only who asks for them gets them; opens tell of theirs.
        let stream_copy_ups = self.op.contains(&EventOp::CopyUp);
        let files = FileOps { copy_up: stream_copy_ups, ..files };
        let copy_ups = stream_copy_ups || files.open;
        let stream_block = self.op.is_empty() || self.op.contains(&EventOp::Block);
        let setup = Setup {
            command: "events",
            stream: true,
            everyone: false,
            host_paths: false,
            plan: Plan {
                files,
                stream_io: true,
                stream_block,
                copy_ups,
                stream_copy_ups,
                kinds: ALL_KINDS,
                ..Plan::default()
            },
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
            Event::CopyUp(copy_up) => copy_up_line(copy_up, world, out),
            Event::Naming(naming) => naming_line(&naming, world, out),
            Event::Block(block) => block_line(&block, world, out),
            Event::File(_) | Event::Process(_) | Event::BlockPart(_) => Ok(()),
        }
    }
}
