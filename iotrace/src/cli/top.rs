//! `iotrace top`: files by I/O.

use crate::{
    cli::{
        Exit, Misused,
        command::{Command, Interval, Setup, World},
        host::locate,
        lines::{name_cell, path_cell, selected, timestamp, top_line, truncate_place},
        options::{Common, Timing},
        run::run,
        tables::{keep_names, look, owner_cell, shown, table},
    },
    event::Event,
    kernel::{
        calls::FileOps,
        plan::Plan,
        tracer::{ALL_KINDS, REGULAR, Tracer},
    },
    output::{Align, Column, kib, nanos, select},
    parse::FileOp,
    view::{
        top::{By, Differences, Row, Sort, rows},
        truncates::Truncates,
    },
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
  iotrace top --no-latency             the same for less, without times
  iotrace top --by container           which container, pod or service does it
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
    /// Only these operations: read, write, fsync, fallocate, truncate, mmap
    #[arg(long, value_name = "OP,...", value_delimiter = ',')]
    op: Vec<FileOp>,
    /// Leave out times, which costs less: calls are seen when they end only, where that can be
    #[arg(long, conflicts_with = "min_latency")]
    no_latency: bool,
    /// Columns to print, in this order
    #[arg(long, value_name = "COLUMN,...")]
    columns: Option<String>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

/// Columns of the terminal that names and paths keep.
const NAME_MIN: usize = 12;
const PATH_MIN: usize = 16;

/// The columns; the last ones only on demand.
pub const COLUMNS: &[Column] = &[
    Column::new("pid", "PID", Align::Right, 0, "Process id; `-` when the row is of several processes"),
    Column::new("comm", "COMM", Align::Left, 0, "Name of the process; of the thread with `--by thread`"),
    Column::new("reads", "READS", Align::Right, 0, "Read calls, failed ones included"),
    Column::new("writes", "WRITES", Align::Right, 0, "Write calls, failed ones included"),
    Column::new("r_kb", "R_KB", Align::Right, 0, "Bytes that reads returned, in units of 1024, rounded up"),
    Column::new("w_kb", "W_KB", Align::Right, 0, "Bytes that writes returned, in units of 1024, rounded up"),
    Column::new("syncs", "SYNCS", Align::Right, 0, "Sync calls, and writes that sync by themselves"),
    Column::new("time", "TIME", Align::Right, 0, "Time in these calls, of all threads together"),
    Column::new("path", "PATH", Align::Left, 0, "The file, as the process's mount namespace has it").cut_to(PATH_MIN),
    Column::new("tid", "TID", Align::Right, 0, "Thread id, with `--by thread`"),
    Column::new("errors", "ERRORS", Align::Right, 0, "Calls that failed"),
    Column::new("max", "MAX", Align::Right, 0, "Longest single call"),
    Column::new("allocs", "ALLOCS", Align::Right, 0, "fallocate calls, failed ones included"),
    Column::new("truncs", "TRUNCS", Align::Right, 0, "truncate and ftruncate calls, failed ones included"),
    Column::new("mr_kb", "MR_KB", Align::Right, 0, "Bytes that page faults brought in, in units of 1024, rounded up"),
    Column::new("mw_kb", "MW_KB", Align::Right, 0, "Bytes that became dirty through mappings, likewise"),
    Column::new("disk", "DISK", Align::Left, 0, "Disk that the file is on"),
    Column::new("fs", "FS", Align::Left, 0, "File system type"),
    Column::new(
        "container",
        "CONTAINER",
        Align::Left,
        0,
        "What the process runs in: POD/NAME, name, or the id's first 12 characters",
    )
    .cut_to(NAME_MIN),
    Column::new("host_path", "HOST_PATH", Align::Left, 0, "Where the file lies on the host").cut_to(PATH_MIN),
    Column::new("volume", "VOLUME", Align::Left, 0, "Volume of a container runtime that the file is in")
        .cut_to(NAME_MIN),
    Column::new("mount", "MOUNT", Align::Left, 0, "Mount point of its file system on the host").cut_to(PATH_MIN),
    Column::new("free", "FREE%", Align::Right, 0, "Bytes of the file system that users may still take, in per cent"),
    Column::new("ifree", "IFREE%", Align::Right, 0, "Inodes that are free, in per cent"),
];

/// `latency`: whether times were measured.
fn cell(key: &str, row: &Row, latency: bool) -> String {
    let counters = &row.counters;
    match key {
        "reads" => counters.reads.to_string(),
        "writes" => counters.writes.to_string(),
        "r_kb" => kib(counters.read_bytes),
        "w_kb" => kib(counters.write_bytes),
        "syncs" => counters.all_syncs().to_string(),
        "time" => latency_cell(latency, counters.total_ns()),
        "max" => latency_cell(latency, counters.max_ns),
        "errors" => counters.errors.to_string(),
        "allocs" => counters.allocates.to_string(),
        "truncs" => counters.truncates.to_string(),
        "mr_kb" => kib(row.mapped.read_bytes),
        "mw_kb" => kib(row.mapped.write_bytes),
        "host_path" => path_cell(row.host.as_ref().map(|host| host.path.as_slice()), row.ino.is_some(), "-"),
        "volume" => name_cell(row.host.as_ref().and_then(|host| host.volume.as_deref()).map(str::as_bytes)),
        "mount" => name_cell(row.free.as_ref().map(|free| free.mount.as_slice())),
        "free" => free_cell(row.free.as_ref().and_then(|free| free.bytes)),
        "ifree" => free_cell(row.free.as_ref().and_then(|free| free.inodes)),
        key => owner_cell(key, row),
    }
}

fn latency_cell(latency: bool, ns: u64) -> String {
    if latency { nanos(ns) } else { "-".to_owned() }
}

fn free_cell(per_cent: Option<f64>) -> String {
    per_cent.map_or_else(|| "-".to_owned(), |per_cent| format!("{per_cent:.1}"))
}

/// Columns that need host paths.
const OF_HOST: [&str; 5] = ["host_path", "volume", "mount", "free", "ifree"];

/// Columns that a row has by what it is of.
fn default_columns(by: By) -> &'static str {
    match by {
        By::ProcessFile => "pid,comm,reads,writes,r_kb,w_kb,syncs,time,path",
        By::Thread => "pid,tid,comm,reads,writes,r_kb,w_kb,syncs,time,path",
        By::Process => "pid,reads,writes,r_kb,w_kb,syncs,time,comm",
        By::File | By::Dir => "reads,writes,r_kb,w_kb,syncs,time,path",
        By::Disk => "reads,writes,r_kb,w_kb,syncs,time,disk",
        By::Container => "reads,writes,r_kb,w_kb,syncs,time,container",
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
            FileOp::Fallocate => (&mut ops.allocate, shown.allocate),
            FileOp::Truncate => (&mut ops.truncate, shown.truncate),
            FileOp::Mmap => (&mut ops.mmap, shown.mmap),
            FileOp::Unlink => (&mut ops.unlink, shown.unlink),
            FileOp::Rename => (&mut ops.rename, shown.rename),
            FileOp::Link => (&mut ops.link, shown.link),
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
        let files = file_ops(&self.op, FileOps::FILES)?;
        if self.no_latency && matches!(self.sort, Sort::Time) {
            return Err(Misused("--sort time needs times, which --no-latency leaves out".into()).into());
        }
        let chosen = self.columns.as_deref().unwrap_or(default_columns(self.by));
        let columns: Vec<Column> = select(COLUMNS, chosen)
            .map_err(Misused)?
            .into_iter()
            .filter_map(|index| COLUMNS.get(index).copied())
            .collect();
        let host_paths = columns.iter().any(|column| OF_HOST.contains(&column.key));
        let mut top =
            Top { args: &self, columns, differences: Differences::default(), truncates: Truncates::default() };
        let setup = Setup {
            command: "top",
            stream: false,
            everyone: false,
            host_paths,
            plan: Plan {
                files,
                sum: true,
                kinds: if self.all { ALL_KINDS } else { REGULAR },
                no_latency: self.no_latency,
                ..Plan::default()
            },
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
    truncates: Truncates,
}

impl Command for Top<'_> {
    fn keep_names(&mut self, tracer: &mut Tracer, world: &mut World) {
        keep_names(&mut self.differences, tracer, world);
    }

    fn event(&mut self, event: Event, world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        // All else is in the sums.
        let Event::Truncate(truncate) = event else { return Ok(()) };
        let (path, base) = truncate_place(&truncate, world);
        if let Some(process) = selected(world, &truncate.task, path.as_deref()) {
            self.truncates.add(&truncate, path, base.as_deref(), process);
        }
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(sums) = &mut tracer.sums else { return Ok(()) };
        let (mut look, mut other) = look(&mut self.differences, sums, world, interval.repeated)?;
        if let Some(more) = self.truncates.take(&mut look).filter(|_| world.selection.is_empty()) {
            world.folded += more.operations();
            other.get_or_insert_default().add(&more);
        }
        let mut rows = rows(&look, other, self.args.by, self.args.sort);
        let (total, printed) = (rows.len(), shown(self.args.rows, world.form.json, rows.len()));
        rows.truncate(printed);
        if world.names.wants_host_paths {
            rows.iter_mut().for_each(|row| locate(row, &mut world.names));
        }
        let shown = rows.iter();
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            for row in shown {
                top_line(row, &ts, !self.args.no_latency, out)?;
            }
            return Ok(());
        }
        let cells: Vec<Vec<String>> = shown
            .map(|row| self.columns.iter().map(|column| cell(column.key, row, !self.args.no_latency)).collect())
            .collect();
        table(&self.columns, &cells, total, interval, world, out);
        Ok(())
    }
}

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
