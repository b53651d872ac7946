//! `iotrace copyup`: what overlayfs copies from lower layers before it can be changed.

use crate::{
    cli::{
        Exit, Misused,
        block::container_cell,
        command::{Command, Interval, Setup, World},
        copyup_lines::{copied, copy_up_line, copy_up_sum_line},
        lines::{UNKNOWN, errno, name_cell, path_cell, timestamp},
        options::{Common, Timing},
        run::run,
        tables::{self, shown},
    },
    event::Event,
    kernel::{calls::FileOps, plan::Plan, tracer::Tracer},
    output::{Align, Column, Table, bytes, nanos, select},
    resolve::names::ProcessInfo,
    view::copyup::{By, Copied, Row, Sort, Sums},
};
use anyhow::Result;

/// Files that overlayfs copies up, because somebody changes them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace copyup                       until Ctrl-C
  iotrace copyup --container web       of one container
  iotrace copyup --min-latency 100ms   only those that held somebody up for long
  iotrace copyup --summary 1           who copies most, a table each second
  iotrace copyup --summary --by file   which files")]
pub struct Args {
    /// Directories too that are copied up without a file
    #[arg(short, long)]
    all: bool,
    /// Print a table of sums instead of each copy-up; of 5 seconds unless -d or PROGRAM says how long
    #[arg(long)]
    summary: bool,
    /// With --summary: what a row is of
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// With --summary: sort by, largest first
    #[arg(short, long, value_enum, default_value_t)]
    sort: Sort,
    /// With --summary: rows to print; 0 for all [default: 20, all with --json]
    #[arg(short, long, value_name = "N")]
    rows: Option<usize>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

/// The columns.
pub const COLUMNS: &[Column] = &[
    Column::new("time", "TIME", Align::Left, 12, "When it began, local time"),
    Column::new("pid", "PID", Align::Right, 7, "Process id"),
    Column::new("comm", "COMM", Align::Left, 15, "Name of the thread"),
    Column::new("container", "CONTAINER", Align::Left, 9, "What it runs in"),
    Column::new("call", "CALL", Align::Left, 9, "The system call that waited for it"),
    Column::new("err", "ERR", Align::Left, 7, "Name of the error that the call returned"),
    Column::new("dirs", "DIRS", Align::Right, 4, "Directories that were copied up"),
    Column::new("bytes", "BYTES", Align::Right, 7, "Bytes that were copied"),
    Column::new("latency", "LATENCY", Align::Right, 7, "From its begin until the call returned"),
    Column::new("sync", "SYNC", Align::Right, 6, "Of it in the copy-up's own syncs"),
    Column::new("path", "PATH", Align::Left, 0, "The file"),
];

/// Columns of `--summary`.
pub const SUMMARY_COLUMNS: &[Column] = &[
    Column::new("pid", "PID", Align::Right, 0, "Process id"),
    Column::new("files", "FILES", Align::Right, 0, "Files that were copied up"),
    Column::new("dirs", "DIRS", Align::Right, 0, "Directories that were copied up"),
    Column::new("bytes", "BYTES", Align::Right, 0, "Bytes that were copied"),
    Column::new("time", "TIME", Align::Right, 0, "Time that calls waited for that"),
    Column::new("sync", "SYNC", Align::Right, 0, "Of it in syncs"),
    Column::new("max", "MAX", Align::Right, 0, "The longest"),
    Column::new("container", "CONTAINER", Align::Left, 0, "What it runs in"),
    Column::new("comm", "COMM", Align::Left, 0, "Name of the thread that came first"),
    Column::new("path", "PATH", Align::Left, 0, "The file"),
];

/// Columns that a row of a kind has.
fn summary_columns(by: By) -> &'static str {
    match by {
        By::Process => "pid,files,dirs,bytes,time,sync,max,container,comm",
        By::Container => "files,dirs,bytes,time,sync,max,container",
        By::File => "files,bytes,time,sync,max,path",
    }
}

/// Columns that a terminal must have to show a column; 80 have room for the others.
fn least(key: &str) -> usize {
    match key {
        "time" => 100,
        "container" | "err" | "dirs" => 120,
        _ => 0,
    }
}

fn is_shown(column: &Column, width: Option<usize>) -> bool {
    width.is_none_or(|width| width >= least(column.key))
}

fn table(width: Option<usize>) -> Table {
    Table::new(COLUMNS.iter().copied().filter(|column| is_shown(column, width)), width)
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        let sums = self.summary.then(|| Sums::new(self.by));
        let mut copy_ups = CopyUps { args: &self, table: table(None), width: None, sums };
        let setup = Setup {
            command: "copyup",
            stream: !self.summary,
            everyone: false,
            // They say where a copy is seen that is known by its place in the upper directory alone.
            host_paths: true,
            plan: plan(),
            timing: &self.timing,
            common: &self.common,
        };
        run(setup, &mut copy_ups)
    }
}

/// What copy-ups need from the kernel side.
pub fn plan() -> Plan {
    Plan {
        files: FileOps { copy_up: true, ..FileOps::default() },
        copy_ups: true,
        stream_copy_ups: true,
        ..Plan::default()
    }
}

struct CopyUps<'a> {
    args: &'a Args,
    table: Table,
    width: Option<usize>,
    /// With `--summary`.
    sums: Option<Sums>,
}

impl CopyUps<'_> {
    fn row(&self, copied: &Copied, world: &mut World, out: &mut Vec<u8>) {
        let event = &copied.event;
        let time = |ns: Option<u64>| ns.map_or_else(|| UNKNOWN.to_owned(), nanos);
        let cells = [
            world.clock.hms(event.begin_ns),
            event.task.pid.to_string(),
            name_cell(Some(event.task.comm.bytes())),
            container_cell(copied.process.as_deref().and_then(ProcessInfo::container)),
            event.call.unwrap_or(UNKNOWN).to_owned(),
            errno(event.result).map_or_else(|| "-".to_owned(), |name| name.into_owned()),
            event.directories.to_string(),
            copied.bytes.map_or_else(|| UNKNOWN.to_owned(), bytes),
            time(event.latency_ns),
            if event.syncs == 0 { "-".to_owned() } else { nanos(event.sync_ns) },
            path_cell(copied.path.as_deref(), true, "-"),
        ];
        let shown = COLUMNS.iter().zip(cells).filter(|(column, _)| is_shown(column, self.width)).map(|(_, cell)| cell);
        out.extend_from_slice(self.table.stream_row(&shown.collect::<Vec<_>>()).as_bytes());
    }
}

fn summary_cell(key: &str, row: &Row) -> String {
    let totals = &row.totals;
    match key {
        "pid" => row.pid.map_or_else(|| UNKNOWN.to_owned(), |pid| pid.to_string()),
        "comm" => name_cell(row.comm.as_ref().map(|comm| comm.bytes())),
        "container" => container_cell(row.container()),
        "files" => totals.files.to_string(),
        "dirs" => totals.directories.to_string(),
        "bytes" => bytes(totals.bytes) + if totals.unknown > 0 { "+?" } else { "" },
        "time" => nanos(totals.time_ns),
        "sync" => nanos(totals.sync_ns),
        "max" => nanos(totals.max_ns),
        _ => path_cell(row.path.as_deref(), true, "-"),
    }
}

impl Command for CopyUps<'_> {
    fn begin(&mut self, world: &mut World, out: &mut Vec<u8>) {
        if !world.form.json && self.sums.is_none() {
            self.width = world.form.width;
            self.table = table(self.width);
            out.extend_from_slice(world.form.header(&self.table.stream_header()).as_bytes());
        }
    }

    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Event::CopyUp(event) = event else { return Ok(()) };
        if event.directory && !self.args.all && self.sums.is_none() {
            return Ok(());
        }
        if world.form.json && self.sums.is_none() {
            return copy_up_line(event, world, out);
        }
        let Some(copied) = copied(event, world) else { return Ok(()) };
        match &mut self.sums {
            Some(sums) => sums.add(&copied),
            None => self.row(&copied, world, out),
        }
        Ok(())
    }

    fn report(&mut self, interval: Interval, _: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(sums) = &mut self.sums else { return Ok(()) };
        let mut rows = sums.take(self.args.sort);
        let (total, printed) = (rows.len(), shown(self.args.rows, world.form.json, rows.len()));
        rows.truncate(printed);
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            return rows.iter().try_for_each(|row| copy_up_sum_line(row, &ts, out));
        }
        let chosen = select(SUMMARY_COLUMNS, summary_columns(self.args.by)).map_err(Misused)?;
        let columns: Vec<Column> = chosen.into_iter().filter_map(|index| SUMMARY_COLUMNS.get(index).copied()).collect();
        let cells = |row: &Row| columns.iter().map(|column| summary_cell(column.key, row)).collect();
        tables::table(&columns, &rows.iter().map(cells).collect::<Vec<_>>(), total, interval, world, out);
        Ok(())
    }
}

#[cfg(test)]
#[path = "copyup_tests.rs"]
mod tests;
