//! `iotrace fsync`: the sync ledger.

use crate::{
    cli::{
        Exit,
        command::{Command, Interval, Setup, World},
        host::locate,
        io_lines::io_line,
        lines::{EVERYTHING, UNKNOWN, errno, fsync_line, name_cell, path_cell, selected, timestamp},
        options::{Common, Timing},
        run::run,
        tables::{keep_names, look, owner_cell, shown, table},
    },
    event::{
        Event,
        io::{Io, Operation},
    },
    kernel::{calls::FileOps, plan::Plan, tracer::Tracer},
    output::{Align, Column, Table, nanos, percent},
    view::{
        fsync::{Ledger, SyncRow},
        top::{By, Differences},
    },
};
use anyhow::Result;
use iotrace_common::file::kind_bit;

/// The sync ledger: who syncs which file how often, and what it costs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace fsync                        who syncs, most expensive first
  iotrace fsync --trace -p 4711        each sync of a process, as it happens
  iotrace fsync --min-latency 10ms     only slow syncs
  iotrace fsync --by container         which container, pod or service syncs
  iotrace fsync -- ./agent             all syncs of a program")]
pub struct Args {
    /// Print each sync as it ends instead of a table; until Ctrl-C unless -d says how long
    #[arg(long)]
    trace: bool,
    /// What a row is of
    #[arg(long, value_enum, default_value_t, conflicts_with = "trace")]
    by: By,
    /// Rows to print; 0 for all [default: 20, all with --json]
    #[arg(short, long, value_name = "N")]
    rows: Option<usize>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

/// Columns of the ledger.
pub const COLUMNS: &[Column] = &[
    Column::new("pid", "PID", Align::Right, 7, "Process id"),
    Column::new("comm", "COMM", Align::Left, 15, "Name of the process"),
    Column::new("syncs", "SYNCS", Align::Right, 6, "Sync calls, and writes that sync by themselves"),
    Column::new("writes", "WRITES", Align::Right, 6, "Write calls"),
    Column::new("b_sync", "B/SYNC", Align::Right, 7, "Bytes written per sync"),
    Column::new("avg", "AVG", Align::Right, 7, "Mean time of a sync"),
    Column::new("p99", "P99", Align::Right, 7, "99th percentile; `?` when events were lost"),
    Column::new("max", "MAX", Align::Right, 7, "Longest sync"),
    Column::new("wall", "%WALL", Align::Right, 5, "Time in syncs, per cent of the time traced"),
    Column::new("path", "PATH", Align::Left, 0, "The file; `(all file systems)` for sync()"),
    Column::new("tid", "TID", Align::Right, 0, "Thread id, with `--by thread`"),
    Column::new("disk", "DISK", Align::Left, 0, "Disk that the files are on, with `--by disk`"),
    Column::new("container", "CONTAINER", Align::Left, 0, "What the processes run in, with `--by container`"),
];

/// The columns of rows by what they are of.
fn columns(by: By) -> Vec<Column> {
    let (first, last): (&[&str], _) = match by {
        By::ProcessFile => (&["pid", "comm"], "path"),
        By::Thread => (&["pid", "tid", "comm"], "path"),
        By::Process => (&["pid"], "comm"),
        By::File | By::Dir => (&[], "path"),
        By::Disk => (&[], "disk"),
        By::Container => (&[], "container"),
    };
    let ledger = ["syncs", "writes", "b_sync", "avg", "p99", "max", "wall"];
    let keys = first.iter().chain(&ledger).chain([&last]);
    keys.filter_map(|key| COLUMNS.iter().find(|column| column.key == *key).copied()).collect()
}

/// Columns of `--trace`.
pub const TRACE_COLUMNS: &[Column] = &[
    Column::new("time", "TIME", Align::Left, 12, "When it began, local time"),
    Column::new("pid", "PID", Align::Right, 7, "Process id"),
    Column::new("comm", "COMM", Align::Left, 15, "Name of the thread"),
    Column::new("call", "CALL", Align::Left, 9, "The system call"),
    Column::new("lat", "LATENCY", Align::Right, 7, "From entry to return"),
    Column::new("err", "ERR", Align::Left, 6, "Name of the error"),
    Column::new("path", "PATH", Align::Left, 0, "The file; `(all file systems)` for sync()"),
];

fn cell(key: &str, sync: &SyncRow, wall_ns: u64) -> String {
    let row = &sync.row;
    let counters = &row.counters;
    match key {
        "syncs" => sync.syncs().to_string(),
        "writes" => counters.writes.to_string(),
        "b_sync" => (counters.write_bytes / sync.syncs().max(1)).to_string(),
        "avg" => nanos(sync.total_ns() / sync.syncs().max(1)),
        "p99" => sync.percentiles.map_or_else(|| UNKNOWN.to_owned(), |(_, p99)| nanos(p99)),
        "max" => nanos(counters.sync_max_ns),
        "wall" => percent(sync.total_ns(), wall_ns),
        key => owner_cell(key, row),
    }
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        let kinds = [libc::S_IFREG, libc::S_IFDIR, libc::S_IFBLK].iter().fold(1, |kinds, kind| kinds | kind_bit(*kind));
        let plan = Plan {
            files: FileOps { write: true, sync: true, ..FileOps::default() },
            sum: !self.trace,
            stream_sync: true,
            kinds,
            ..Plan::default()
        };
        let table = Table::new(TRACE_COLUMNS.iter().copied(), None);
        let mut fsync = Fsync { args: &self, ledger: Ledger::new(self.by), differences: Differences::default(), table };
        let setup = Setup {
            command: "fsync",
            stream: self.trace,
            everyone: false,
            host_paths: false,
            plan,
            timing: &self.timing,
            common: &self.common,
        };
        run(setup, &mut fsync)
    }
}

struct Fsync<'a> {
    args: &'a Args,
    ledger: Ledger,
    differences: Differences,
    table: Table,
}

impl Fsync<'_> {
    fn trace(&self, io: &Io, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        if world.form.json {
            return io_line(io, world, out);
        }
        let file = world.names.file(io.file).cloned();
        let path = file.as_ref().and_then(|file| file.file.path.as_deref());
        if selected(world, &io.task, path).is_none() {
            return Ok(());
        }
        let row = self.table.stream_row(&[
            world.clock.hms(io.begin_ns),
            io.task.pid.to_string(),
            name_cell(Some(io.task.comm.bytes())),
            io.call.to_owned(),
            nanos(io.latency_ns),
            errno(io.result).map_or_else(|| "-".to_owned(), |name| name.into_owned()),
            path_cell(path, io.inode.is_some(), if io.call == "sync" { EVERYTHING } else { "-" }),
        ]);
        out.extend_from_slice(row.as_bytes());
        Ok(())
    }
}

impl Command for Fsync<'_> {
    fn keep_names(&mut self, tracer: &mut Tracer, world: &mut World) {
        keep_names(&mut self.differences, tracer, world);
    }

    fn begin(&mut self, world: &mut World, out: &mut Vec<u8>) {
        if self.args.trace && !world.form.json {
            self.table = Table::new(TRACE_COLUMNS.iter().copied(), world.form.width);
            out.extend_from_slice(world.form.header(&self.table.stream_header()).as_bytes());
        }
    }

    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Event::Io(io) = event else { return Ok(()) };
        if self.args.trace {
            return self.trace(&io, world, out);
        }
        if io.operation == Operation::Fsync || io.sync {
            self.ledger.add(&io, &world.names);
        }
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(sums) = &mut tracer.sums else { return Ok(()) };
        let (look, other) = look(&mut self.differences, sums, world, interval.repeated)?;
        let mut rows = self.ledger.rows(&look.calls, other);
        let (total, printed) = (rows.len(), shown(self.args.rows, world.form.json, rows.len()));
        rows.truncate(printed);
        if world.names.wants_host_paths {
            rows.iter_mut().for_each(|row| locate(&mut row.row, &mut world.names));
        }
        let shown = rows.iter();
        let wall_ns = u64::try_from(interval.length.as_nanos()).unwrap_or(u64::MAX);
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            for row in shown {
                fsync_line(row, &ts, wall_ns, out)?;
            }
            return Ok(());
        }
        let columns = columns(self.args.by);
        let cells: Vec<Vec<String>> =
            shown.map(|row| columns.iter().map(|column| cell(column.key, row, wall_ns)).collect()).collect();
        table(&columns, &cells, total, interval, world, out);
        Ok(())
    }
}

#[cfg(test)]
#[path = "fsync_tests.rs"]
mod tests;
