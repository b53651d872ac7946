//! `iotrace block`: every request of a disk, and whose bytes it carries.

use crate::{
    cli::{
        Exit, Misused,
        block_lines::{block_line, block_sum_line, charged, charges, passes},
        command::{Command, Interval, Setup, World},
        host::locate_sums,
        lines::{UNKNOWN, name_cell, path_cell, timestamp},
        options::{Common, Timing, block_op},
        run::run,
        tables::{self, shown},
    },
    event::{Event, block::Block},
    kernel::{
        block::{BlockFacts, BlockOp},
        plan::{KernelFilters, Plan},
        tracer::Tracer,
    },
    output::{Align, Column, Table, bytes, escape, kib, nanos, select},
    resolve::{Container, dev_text, names::ProcessInfo},
    view::block::{By, Charge, Row, Sort, Sums},
};
use anyhow::Result;

/// Requests of disks, with the file and the process that caused them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace block                        until Ctrl-C
  iotrace block --disk vda --op write  one disk, only writes
  iotrace block --path '/var/lib/**'   only of these files
  iotrace block --min-latency 10ms     only slow requests
  iotrace block -p 4711                what a process caused, also when the kernel wrote it later
  iotrace block --summary 1            who keeps the disks busy, a table each second
  iotrace block --summary --by file    which files")]
pub struct Args {
    /// Only these operations: read, write, flush, discard, ...
    #[arg(long, value_name = "OP,...", value_delimiter = ',', value_parser = block_op)]
    op: Vec<BlockOp>,
    /// Print a table of sums instead of each request; of 5 seconds unless -d or PROGRAM says how long
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
    Column::new("time", "TIME", Align::Left, 12, "When it entered the block layer, local time"),
    Column::new("pid", "PID", Align::Right, 7, "Process whose bytes they are"),
    Column::new("comm", "COMM", Align::Left, 15, "Its thread's name"),
    Column::new("container", "CONTAINER", Align::Left, 9, "What it runs in"),
    Column::new("disk", "DISK", Align::Left, 5, "The whole disk"),
    Column::new("op", "OP", Align::Left, 8, "Operation, and flags by letters"),
    Column::new("sector", "SECTOR", Align::Right, 9, "First sector of 512 bytes; `-` for a flush"),
    Column::new("bytes", "BYTES", Align::Right, 6, "Bytes completed"),
    Column::new("queue", "QUEUE", Align::Right, 6, "Until it was given to the device"),
    Column::new("device", "DEVICE", Align::Right, 6, "In the device"),
    Column::new("path", "PATH", Align::Left, 0, "The file, or what else it is"),
];

/// Columns of `--summary`.
pub const SUMMARY_COLUMNS: &[Column] = &[
    Column::new("pid", "PID", Align::Right, 0, "Process; `?` where nobody is known"),
    Column::new("comm", "COMM", Align::Left, 0, "Name of its thread that was charged first"),
    Column::new("container", "CONTAINER", Align::Left, 0, "What it runs in"),
    Column::new("disk", "DISK", Align::Left, 0, "The whole disk"),
    Column::new("reqs", "REQS", Align::Right, 0, "Requests of all kinds"),
    Column::new("r_kb", "R_KB", Align::Right, 0, "Bytes read, in units of 1024, rounded up"),
    Column::new("w_kb", "W_KB", Align::Right, 0, "Bytes written, likewise"),
    Column::new("queue", "QUEUE", Align::Right, 0, "Time until given to the device, of all requests together"),
    Column::new("device", "DEVICE", Align::Right, 0, "Time in the device, of all requests together"),
    Column::new("max", "MAX", Align::Right, 0, "Longest request"),
    Column::new("path", "PATH", Align::Left, 0, "The file, or what else it is"),
];

/// Columns that a row of a kind has.
fn summary_columns(by: By) -> &'static str {
    match by {
        By::ProcessFile => "pid,comm,disk,reqs,r_kb,w_kb,queue,device,path",
        By::Process => "pid,container,reqs,r_kb,w_kb,queue,device,max,comm",
        By::File => "reqs,r_kb,w_kb,queue,device,max,path",
        By::Container => "reqs,r_kb,w_kb,queue,device,max,container",
        By::Disk => "reqs,r_kb,w_kb,queue,device,max,disk",
    }
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        let block_ops = (!self.op.is_empty()).then(|| self.op.clone());
        let filters = KernelFilters { block_ops, ..KernelFilters::default() };
        let sums = self.summary.then(|| Sums::new(self.by));
        let mut blocks = Blocks { args: &self, table: table(None), width: None, sums };
        let setup = Setup {
            command: "block",
            stream: !self.summary,
            everyone: false,
            host_paths: false,
            plan: Plan { stream_block: true, filters, ..Plan::default() },
            timing: &self.timing,
            common: &self.common,
        };
        run(setup, &mut blocks)
    }
}

/// Columns that a terminal must have room for.
const WIDE: usize = 120;
/// Columns that a terminal must have to show when each request came: without, 80 have room for paths.
const TIMED: usize = 100;
/// Columns that a terminal with less room does not show.
const ONLY_WIDE: [&str; 2] = ["container", "sector"];

fn is_shown(column: &Column, width: Option<usize>) -> bool {
    let least = match column.key {
        key if ONLY_WIDE.contains(&key) => WIDE,
        "time" => TIMED,
        _ => 0,
    };
    width.is_none_or(|width| width >= least)
}

fn table(width: Option<usize>) -> Table {
    Table::new(COLUMNS.iter().copied().filter(|column| is_shown(column, width)), width)
}

struct Blocks<'a> {
    args: &'a Args,
    table: Table,
    width: Option<usize>,
    /// With `--summary`.
    sums: Option<Sums>,
}

impl Blocks<'_> {
    fn summary_cell(key: &str, row: &Row, world: &mut World) -> String {
        let totals = &row.totals;
        match key {
            "pid" => row.pid.map_or_else(|| UNKNOWN.to_owned(), |pid| pid.to_string()),
            "comm" => row.comm.as_ref().map_or_else(|| UNKNOWN.to_owned(), |comm| name_cell(Some(comm.bytes()))),
            "container" => container_cell(row.container()),
            "disk" => row.disk.map_or_else(|| UNKNOWN.to_owned(), |disk| disk_cell(disk, world)),
            "reqs" => totals.requests().to_string(),
            "r_kb" => kib(totals.read_bytes),
            "w_kb" => kib(totals.write_bytes),
            "queue" => nanos(totals.queue_ns),
            "device" => nanos(totals.device_ns),
            "max" => nanos(totals.max_ns),
            _ => path_cell(row.path.as_deref(), totals.bytes() > 0, "-"),
        }
    }

    fn row(&self, block: &Block, world: &mut World, out: &mut Vec<u8>) {
        let Some((charges, first)) = charged(block, world) else { return };
        let op = world.block.operation(block.cmd_flags);
        let charge = &charges[first];
        let task = charge.payer.as_ref().map(|payer| &payer.agent.task);
        let cells = [
            world.clock.hms(block.begin_ns),
            task.map_or_else(|| UNKNOWN.to_owned(), |task| task.pid.to_string()),
            task.map_or_else(
                || format!("({})", name_cell(Some(block.issuer.task.comm.bytes()))),
                |task| name_cell(Some(task.comm.bytes())),
            ),
            container_cell(charge.process().and_then(ProcessInfo::container)),
            disk_cell(block.disk, world),
            op_cell(block, &world.block),
            if op == BlockOp::Flush { "-".to_owned() } else { block.sector.to_string() },
            bytes(block.bytes),
            nanos(block.queue_ns),
            nanos(block.device_ns),
            paths_cell(charge, charges.len() - 1),
        ];
        let shown = COLUMNS.iter().zip(cells).filter(|(column, _)| is_shown(column, self.width)).map(|(_, cell)| cell);
        let row = self.table.stream_row(&shown.collect::<Vec<_>>());
        out.extend_from_slice(row.as_bytes());
    }
}

/// Flags that a table has, by their letters; JSON has all.
const LETTERS: [(&str, char); 6] =
    [("sync", 'S'), ("meta", 'M'), ("readahead", 'A'), ("fua", 'F'), ("preflush", 'P'), ("background", 'B')];

/// The operation, and letters of its flags.
fn op_cell(block: &Block, facts: &BlockFacts) -> String {
    let flags: Vec<&str> = facts.flag_names(block.cmd_flags).collect();
    let letters: String = LETTERS.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, letter)| letter).collect();
    let op = facts.operation(block.cmd_flags).name();
    if letters.is_empty() { op.to_owned() } else { format!("{op} {letters}") }
}

/// A container in a table.
pub fn container_cell(container: Option<&Container>) -> String {
    container.map_or_else(|| "-".to_owned(), |container| escape(container.label().as_bytes()).into_owned())
}

/// A disk in a table.
pub fn disk_cell(disk: u32, world: &mut World) -> String {
    world.names.disks.of(disk).map_or_else(|| dev_text(disk), |disk| disk.disk.clone())
}

/// The path, and how many others there are.
fn paths_cell(charge: &Charge, others: usize) -> String {
    let path = path_cell(charge.path.as_deref(), charge.bytes > 0, "-");
    if others > 0 { format!("(+{others}) {path}") } else { path }
}

impl Command for Blocks<'_> {
    fn begin(&mut self, world: &mut World, out: &mut Vec<u8>) {
        if !world.form.json && self.sums.is_none() {
            self.width = world.form.width;
            self.table = table(self.width);
            out.extend_from_slice(world.form.header(&self.table.stream_header()).as_bytes());
        }
    }

    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Event::Block(block) = event else { return Ok(()) };
        if let Some(sums) = &mut self.sums {
            let charges = charges(&block, world);
            let (op, failed) = (world.block.operation(block.cmd_flags), block.error != 0);
            sums.add(&block, op, failed, &charges, |charge| passes(charge, world));
            return Ok(());
        }
        if world.form.json {
            return block_line(&block, world, out);
        }
        self.row(&block, world, out);
        Ok(())
    }

    fn report(&mut self, interval: Interval, _: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(sums) = &mut self.sums else { return Ok(()) };
        let mut rows = sums.take(self.args.sort);
        let (total, printed) = (rows.len(), shown(self.args.rows, world.form.json, rows.len()));
        rows.truncate(printed);
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            locate_sums(&mut rows, &mut world.names);
            for row in &rows {
                block_sum_line(row, &ts, world, out)?;
            }
            return Ok(());
        }
        let chosen = select(SUMMARY_COLUMNS, summary_columns(self.args.by)).map_err(Misused)?;
        let columns: Vec<Column> = chosen.into_iter().filter_map(|index| SUMMARY_COLUMNS.get(index).copied()).collect();
        let mut cells = Vec::new();
        for row in &rows {
            cells.push(columns.iter().map(|column| Self::summary_cell(column.key, row, world)).collect());
        }
        tables::table(&columns, &cells, total, interval, world, out);
        Ok(())
    }
}
