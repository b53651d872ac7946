//! `iotrace open`: every open, successful or not.

use crate::{
    cli::{
        Exit,
        command::{Command, Setup, World},
        lines::{errno, name_cell, open_line, open_path, path_cell, selected},
        options::{Common, Timing},
        run::run,
    },
    event::{Event, open::Open},
    kernel::{calls::FileOps, plan::Plan, tracer::ALL_KINDS},
    output::{Align, Column, Table, open_flags},
};
use anyhow::Result;
use std::time::Duration;

/// Every open, successful or not, with the full path
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace open                         until Ctrl-C
  iotrace open -x                      only opens that fail
  iotrace open -e --path '/etc/**'     with flags by name, only below /etc
  iotrace open --json -- make          all opens of a program and its children")]
pub struct Args {
    /// Trace for so long [default: until Ctrl-C, or PROGRAM ends]
    #[arg(short, long, value_name = "TIME", value_parser = crate::parse::duration)]
    duration: Option<Duration>,
    /// Flags by name instead of octal
    #[arg(short, long)]
    extended: bool,
    #[command(flatten)]
    common: Common,
}

/// The columns.
pub const COLUMNS: &[Column] = &[
    Column::new("time", "TIME", Align::Left, 12, "When it began, local time"),
    Column::new("pid", "PID", Align::Right, 7, "Process id"),
    Column::new("comm", "COMM", Align::Left, 15, "Name of the thread"),
    Column::new("fd", "FD", Align::Right, 4, "The descriptor; `-` when the open failed"),
    Column::new("err", "ERR", Align::Left, 7, "Name of the error; `-` when the open succeeded"),
    Column::new("flags", "FLAGS", Align::Left, 8, "The flags asked for, octal; by name with `-e`"),
    Column::new(
        "path",
        "PATH",
        Align::Left,
        0,
        "The file that was opened; of a failed open, the absolute path that was asked for",
    ),
];

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        let mut open = Opens { args: &self, table: Table::new(COLUMNS.iter().copied(), None) };
        let setup = Setup {
            command: "open",
            stream: true,
            everyone: false,
            host_paths: false,
            plan: Plan {
                files: FileOps { open: true, ..FileOps::default() },
                copy_ups: true,
                kinds: ALL_KINDS,
                ..Plan::default()
            },
            timing: &Timing::stream(self.duration),
            common: &self.common,
        };
        run(setup, &mut open)
    }
}

struct Opens<'a> {
    args: &'a Args,
    table: Table,
}

impl Opens<'_> {
    fn row(&self, open: &Open<'_>, world: &mut World, out: &mut Vec<u8>) {
        let file = world.names.file(open.file).cloned();
        let mut asked = Vec::new();
        let path = open_path(open, file.as_deref(), world, &mut asked);
        if selected(world, &open.task, path).is_none() {
            return;
        }
        let flags = if self.args.extended {
            open_flags(open.flags as u32).collect::<Vec<_>>().join("|")
        } else {
            format!("{:08o}", open.flags)
        };
        // At the end, where nothing is cut.
        let copied = if open.copy_up_ns.is_some() { " (copied up)" } else { "" };
        let row = self.table.stream_row(&[
            world.clock.hms(open.begin_ns),
            open.task.pid.to_string(),
            name_cell(Some(open.task.comm.bytes())),
            open.result.map_or_else(|_| "-".to_owned(), |fd| fd.to_string()),
            errno(open.result).map_or_else(|| "-".to_owned(), |name| name.into_owned()),
            flags,
            path_cell(path, true, "-") + copied,
        ]);
        out.extend_from_slice(row.as_bytes());
    }
}

impl Command for Opens<'_> {
    fn begin(&mut self, world: &mut World, out: &mut Vec<u8>) {
        if !world.form.json {
            self.table = Table::new(COLUMNS.iter().copied(), world.form.width);
            out.extend_from_slice(world.form.header(&self.table.stream_header()).as_bytes());
        }
    }

    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Event::Open(open) = event else { return Ok(()) };
        if world.form.json {
            return open_line(&open, world, out);
        }
        self.row(&open, world, out);
        Ok(())
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
