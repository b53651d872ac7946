//! `iotrace top`: files by I/O.

use crate::{
    cli::{
        Exit, Misused,
        command::{Command, Interval, Setup, World},
        lines::{name_cell, row_path_cell, timestamp, top_line},
        options::{Common, Timing},
        run::run,
        tables::{look, shown, table},
    },
    event::Event,
    kernel::{
        calls::FileOps,
        plan::Plan,
        tracer::{ALL_KINDS, REGULAR, Tracer},
    },
    output::{Align, Column, escape, kib, nanos, select},
    parse::FileOp,
    view::top::{By, Differences, Row, Sort, rows},
};
use anyhow::Result;

/// Files by I/O: reads, writes, bytes, syncs and time, with full paths
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace top                          the busiest files of the next 5 seconds
  iotrace top 1                        a table each second, until Ctrl-C
  iotrace top -p 4711 --by thread      which thread of a process does it
  iotrace top --path '/var/log/**'     only logs
  iotrace top --json -- ./job.sh       all I/O of a program and its children")]
pub struct Args {
    /// What a row is of
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Sort by, largest first
    #[arg(short, long, value_enum, default_value_t)]
    sort: Sort,
    /// Rows to print; 0 for all [default: 20, all with --json]
    #[arg(short, long, value_name = "N")]
    rows: Option<usize>,
    /// Pipes, sockets, terminals, devices and directories too
    #[arg(short, long)]
    all: bool,
    /// Only these operations: read, write, fsync
    #[arg(long, value_name = "OP,...", value_delimiter = ',')]
    op: Vec<FileOp>,
    /// Columns to print, in this order
    #[arg(long, value_name = "COLUMN,...")]
    columns: Option<String>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

const fn column(key: &'static str, header: &'static str, align: Align, doc: &'static str) -> Column {
    Column { key, header, doc, align, width: 0 }
}

/// The columns; the last ones only on demand.
pub const COLUMNS: &[Column] = &[
    column("pid", "PID", Align::Right, "Process id; `-` when the row is of several processes"),
    column("comm", "COMM", Align::Left, "Name of the process; of the thread with `--by thread`"),
    column("reads", "READS", Align::Right, "Read calls, failed ones included"),
    column("writes", "WRITES", Align::Right, "Write calls, failed ones included"),
    column("r_kb", "R_KB", Align::Right, "Bytes that reads returned, in units of 1024, rounded up"),
    column("w_kb", "W_KB", Align::Right, "Bytes that writes returned, in units of 1024, rounded up"),
    column("syncs", "SYNCS", Align::Right, "Sync calls, and writes that sync by themselves"),
    column("time", "TIME", Align::Right, "Time in these calls, of all threads together"),
    column("path", "PATH", Align::Left, "The file, as the process's mount namespace has it"),
    column("tid", "TID", Align::Right, "Thread id, with `--by thread`"),
    column("errors", "ERRORS", Align::Right, "Calls that failed"),
    column("max", "MAX", Align::Right, "Longest single call"),
    column("disk", "DISK", Align::Left, "Disk that the file is on"),
    column("fs", "FS", Align::Left, "File system type"),
    column("container", "CONTAINER", Align::Left, "What the process runs in: name, else the id's first 12 characters"),
];

fn cell(key: &str, row: &Row) -> String {
    let counters = &row.counters;
    match key {
        "pid" => row.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        "tid" => row.tid.map_or_else(|| "-".to_owned(), |tid| tid.to_string()),
        "comm" => name_cell(row.comm.as_ref().map(|comm| comm.bytes())),
        "reads" => counters.reads.to_string(),
        "writes" => counters.writes.to_string(),
        "r_kb" => kib(counters.read_bytes),
        "w_kb" => kib(counters.write_bytes),
        "syncs" => (counters.syncs + counters.sync_writes).to_string(),
        "time" => nanos(counters.total_ns()),
        "max" => nanos(counters.max_ns),
        "errors" => counters.errors.to_string(),
        "disk" => name_cell(row.disk.as_ref().map(|disk| disk.disk.as_bytes())),
        "fs" => row.fs.clone().unwrap_or_else(|| "-".to_owned()),
        "container" => match row.process.as_ref().and_then(|process| process.container.as_ref()) {
            Some(container) => {
                escape(container.name.clone().unwrap_or_else(|| container.id.chars().take(12).collect()).as_bytes())
                    .into_owned()
            }
            None => "-".to_owned(),
        },
        _ => row_path_cell(row),
    }
}

/// Columns that a row has by what it is of.
fn default_columns(by: By) -> &'static str {
    match by {
        By::ProcessFile => "pid,comm,reads,writes,r_kb,w_kb,syncs,time,path",
        By::Thread => "pid,tid,comm,reads,writes,r_kb,w_kb,syncs,time,path",
        By::Process => "pid,reads,writes,r_kb,w_kb,syncs,time,comm",
        By::File | By::Dir => "reads,writes,r_kb,w_kb,syncs,time,path",
        By::Disk => "reads,writes,r_kb,w_kb,syncs,time,disk",
    }
}

/// The operations on files that `--op` names, of those that a command can show; all of them when it names none.
///
/// # Errors
///
/// When one is named that the command does not show.
pub fn file_ops(named: &[FileOp], shown: FileOps) -> Result<FileOps> {
    if named.is_empty() {
        return Ok(shown);
    }
    let mut ops = FileOps::default();
    for op in named {
        let (wanted, can) = match op {
            FileOp::Read => (&mut ops.read, shown.read),
            FileOp::Write => (&mut ops.write, shown.write),
            FileOp::Fsync => (&mut ops.sync, shown.sync),
            FileOp::Open => (&mut ops.open, shown.open),
        };
        if !can {
            return Err(Misused(format!("this command does not show the operation {op}")).into());
        }
        *wanted = true;
    }
    Ok(ops)
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        let files = file_ops(&self.op, FileOps { read: true, write: true, sync: true, open: false })?;
        let chosen = self.columns.as_deref().unwrap_or(default_columns(self.by));
        let columns: Vec<Column> = select(COLUMNS, chosen)
            .map_err(Misused)?
            .into_iter()
            .filter_map(|index| COLUMNS.get(index).copied())
            .collect();
        let mut top = Top { args: &self, columns, differences: Differences::default() };
        let setup = Setup {
            command: "top",
            stream: false,
            everyone: false,
            plan: Plan { files, sum: true, kinds: if self.all { ALL_KINDS } else { REGULAR }, ..Plan::default() },
            timing: &self.timing,
            common: &self.common,
        };
        run(setup, &mut top)
    }
}

struct Top<'a> {
    args: &'a Args,
    columns: Vec<Column>,
    differences: Differences,
}

impl Command for Top<'_> {
    fn event(&mut self, _event: Event, _world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(sums) = &mut tracer.sums else { return Ok(()) };
        let (deltas, other) = look(&mut self.differences, sums, world, interval.repeated)?;
        let rows = rows(&deltas, other, self.args.by, self.args.sort);
        let shown = rows.iter().take(shown(self.args.rows, world.form.json, rows.len()));
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            for row in shown {
                top_line(row, &ts, out)?;
            }
            return Ok(());
        }
        let cells: Vec<Vec<String>> =
            shown.map(|row| self.columns.iter().map(|column| cell(column.key, row)).collect()).collect();
        table(&self.columns, &cells, rows.len(), interval, world, out);
        Ok(())
    }
}

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
