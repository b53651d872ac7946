//! `iotrace block`: every request of a disk, and whose bytes it carries.

use crate::{
    cli::{
        Exit,
        block_lines::{block_line, charged},
        command::{Command, Setup, World},
        lines::{UNKNOWN, name_cell},
        options::{Common, Timing, block_op},
        run::run,
    },
    event::{Event, block::Block},
    kernel::{
        block::{BlockFacts, BlockOp},
        plan::{KernelFilters, Plan},
    },
    output::{Align, Column, Table, bytes, escape, nanos},
    resolve::{dev_text, names::ProcessInfo},
    view::block::Charge,
};
use anyhow::Result;
use std::time::Duration;

/// Requests of disks, with the file and the process that caused them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace block                        until Ctrl-C
  iotrace block --disk vda --op write  one disk, only writes
  iotrace block --path '/var/lib/**'   only of these files
  iotrace block --min-latency 10ms     only slow requests
  iotrace block -p 4711                what a process caused, also when the kernel wrote it later")]
pub struct Args {
    /// Only these operations: read, write, flush, discard, ...
    #[arg(long, value_name = "OP,...", value_delimiter = ',', value_parser = block_op)]
    op: Vec<BlockOp>,
    /// Trace for so long [default: until Ctrl-C, or PROGRAM ends]
    #[arg(short, long, value_name = "TIME", value_parser = crate::parse::duration)]
    duration: Option<Duration>,
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
    Column::new("op", "OP", Align::Left, 8, "Operation; flags by a letter each: see below"),
    Column::new("sector", "SECTOR", Align::Right, 9, "First sector of 512 bytes; `-` for a flush"),
    Column::new("bytes", "BYTES", Align::Right, 6, "Bytes completed"),
    Column::new("queue", "QUEUE", Align::Right, 6, "Until it was given to the device"),
    Column::new("device", "DEVICE", Align::Right, 6, "In the device"),
    Column::new("path", "PATH", Align::Left, 0, "The file, or what else it is"),
];

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        let block_ops = (!self.op.is_empty()).then(|| self.op.clone());
        let filters = KernelFilters { block_ops, ..KernelFilters::default() };
        let setup = Setup {
            command: "block",
            stream: true,
            everyone: false,
            host_paths: false,
            plan: Plan { stream_block: true, filters, ..Plan::default() },
            timing: &Timing::stream(self.duration),
            common: &self.common,
        };
        run(setup, &mut Blocks { table: table(None), width: None })
    }
}

/// Columns that a terminal must have room for.
const WIDE: usize = 120;
/// Columns that a terminal with less room does not show.
const ONLY_WIDE: [&str; 2] = ["container", "sector"];

fn is_shown(column: &Column, width: Option<usize>) -> bool {
    width.is_none_or(|width| width >= WIDE) || !ONLY_WIDE.contains(&column.key)
}

fn table(width: Option<usize>) -> Table {
    Table::new(COLUMNS.iter().copied().filter(|column| is_shown(column, width)), width)
}

struct Blocks {
    table: Table,
    width: Option<usize>,
}

impl Blocks {
    fn row(&self, block: &Block, world: &mut World, out: &mut Vec<u8>) {
        let Some((charges, first)) = charged(block, world) else { return };
        let op = world.block.operation(block.cmd_flags);
        let disk = world.names.disks.of(block.disk);
        let charge = &charges[first];
        let task = charge.payer.as_ref().map(|payer| &payer.agent.task);
        let cells = [
            world.clock.hms(block.begin_ns),
            task.map_or_else(|| UNKNOWN.to_owned(), |task| task.pid.to_string()),
            task.map_or_else(
                || format!("({})", name_cell(Some(block.issuer.task.comm.bytes()))),
                |task| name_cell(Some(task.comm.bytes())),
            ),
            container_cell(charge),
            disk.map_or_else(|| dev_text(block.disk), |disk| disk.disk.clone()),
            op_cell(block, &world.block),
            if op == BlockOp::Flush { "-".to_owned() } else { block.sector.to_string() },
            bytes(block.bytes),
            nanos(block.queue_ns),
            nanos(block.device_ns),
            path_cell(charge, charges.len() - 1),
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

fn container_cell(charge: &Charge) -> String {
    match charge.process().and_then(ProcessInfo::container) {
        Some(container) => escape(container.label().as_bytes()).into_owned(),
        None => "-".to_owned(),
    }
}

/// The path, and how many others there are.
fn path_cell(charge: &Charge, others: usize) -> String {
    let path = match &charge.path {
        Some(path) => escape(path).into_owned(),
        None if charge.bytes == 0 => return "-".to_owned(),
        None => UNKNOWN.to_owned(),
    };
    if others > 0 { format!("(+{others}) {path}") } else { path }
}

impl Command for Blocks {
    fn begin(&mut self, world: &mut World, out: &mut Vec<u8>) {
        if !world.form.json {
            self.width = world.form.width;
            self.table = table(self.width);
            out.extend_from_slice(world.form.header(&self.table.stream_header()).as_bytes());
        }
    }

    fn event(&mut self, event: Event, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Event::Block(block) = event else { return Ok(()) };
        if world.form.json {
            return block_line(&block, world, out);
        }
        self.row(&block, world, out);
        Ok(())
    }
}
