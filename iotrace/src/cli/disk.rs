//! `iotrace disk`: how busy each disk is, how long its requests wait and take, as the tree that the devices are.

use crate::{
    cli::{
        Exit, Misused,
        block_lines::charges,
        command::{Command, Interval, Setup, World},
        host::locate_sums,
        lines::timestamp,
        options::{Common, Timing},
        run::run,
        tables::table,
    },
    event::Event,
    kernel::{
        block::BlockFacts,
        plan::{Grouping, Plan},
        tracer::Tracer,
    },
    output::{Column, json::append, select},
    view::{
        block::{self, By, Sort, Sums},
        disk::{self, Row, total, tree},
    },
};
use anyhow::Result;
use std::collections::HashSet;

mod causes;
mod cells;
mod collector;
pub(super) mod line;

pub use cells::COLUMNS;
pub(super) use collector::{Collector, Look};

/// Columns that a table has unless it is told others: 80 characters.
const DEFAULT: &str = "r,w,f,d,r_kb,w_kb,qlen,queue,device,p99,util,disk";

/// Disks: requests and bytes per second, queue and device time, utilisation, as a tree
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace disk                         the busy disks of the next 5 seconds
  iotrace disk 1                       a table each second, until Ctrl-C
  iotrace disk -a --disk vda           one disk with its partitions, idle ones too
  iotrace disk --columns r,r_await,r_p99,w,w_await,w_p99,f_await,disk
  iotrace disk --container web          all disks, and of the causes those in a container
  iotrace disk -- fio job.fio          while a program runs: requests of all, not only of the program")]
pub struct Args {
    /// Idle disks too
    #[arg(short, long)]
    all: bool,
    /// Columns to print, in this order
    #[arg(long, value_name = "COLUMN,...", default_value = DEFAULT)]
    columns: String,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    common: Common,
}

impl Args {
    /// Traces and prints.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub fn run(self) -> Result<Exit> {
        if self.common.filters.by_thread_or_result() {
            let text = "of the filters, disk takes --disk, and --container, --cgroup and --path for the causes: \
                what the kernel counts of a disk is of all processes";
            return Err(Misused(text.to_owned()).into());
        }
        let columns: Vec<Column> = select(COLUMNS, &self.columns)
            .map_err(Misused)?
            .into_iter()
            .filter_map(|index| COLUMNS.get(index).copied())
            .collect();
        let mut disks = Disks {
            all: self.all,
            columns,
            collector: Collector::new(&self.common.filters)?,
            sums: Sums::new(By::ProcessFile),
        };
        let setup = Setup {
            command: "disk",
            stream: false,
            everyone: true,
            host_paths: false,
            plan: Plan { histogram: Some(Grouping::Operation), stream_block: true, ..Plan::default() },
            timing: &self.timing,
            common: &self.common,
        };
        run(setup, &mut disks)
    }
}

struct Disks {
    all: bool,
    columns: Vec<Column>,
    collector: Collector,
    sums: Sums,
}

impl Command for Disks {
    fn begin(&mut self, _world: &mut World, _out: &mut Vec<u8>) {
        self.collector.begin();
    }

    fn event(&mut self, event: Event, world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        let Event::Block(block) = event else { return Ok(()) };
        let charges = charges(&block, world);
        let op = world.block.operation(block.cmd_flags);
        self.sums.add(&block, op, block.error != 0, &charges, |_| true);
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(histograms) = &tracer.histograms else { return Ok(()) };
        let selection = &world.selection;
        let wanted =
            |row: &block::Row| selection.path(row.path.as_deref()) && selection.process(row.process.as_deref());
        let mut causes = disk::causes(self.sums.take(Sort::Device), wanted);
        if world.form.json {
            locate_sums(causes.values_mut().flatten().map(|cause| &mut cause.row), &mut world.names);
        }
        let Look { rows, interval_ns, end_ns } = self.collector.look(histograms.read()?, causes)?;
        let interval = Interval { end_ns, ..interval };
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            let shown: HashSet<usize> = tree(&rows, self.all).iter().map(|place| place.row).collect();
            for row in rows.iter().enumerate().filter(|(index, _)| shown.contains(index)).map(|(_, row)| row) {
                append(out, &line::line(row, &ts, interval_ns, world))?;
            }
            return Ok(());
        }
        self.table(&rows, interval_ns, interval, world, out);
        Ok(())
    }
}

impl Disks {
    fn table(&self, rows: &[Row], interval_ns: u64, interval: Interval, world: &mut World, out: &mut Vec<u8>) {
        let places = tree(rows, self.all);
        let mut cells: Vec<Vec<String>> = Vec::new();
        // The lines below each line of the table.
        let mut below: Vec<String> = Vec::new();
        for place in &places {
            let Some(row) = rows.get(place.row) else { continue };
            let name = cells::branch(place, row, world.form.utf8);
            cells.push(self.cells(row, &name, place.again, interval_ns, &world.block));
            let causes = if place.again { &[] } else { row.causes.as_slice() };
            below.push(causes.iter().map(|cause| causes::line(cause, world.form.width)).collect());
        }
        let shown: HashSet<usize> = places.iter().map(|place| place.row).collect();
        let shown: Vec<Row> =
            rows.iter().enumerate().filter(|(index, _)| shown.contains(index)).map(|(_, row)| row.clone()).collect();
        if let Some(total) = total(&shown) {
            cells.push(self.cells(&total, "(all disks)", false, interval_ns, &world.block));
        }
        if cells.is_empty() {
            let time = if interval.repeated { format!("{} ", world.clock.hms(interval.end_ns)) } else { String::new() };
            return out.extend_from_slice(format!("{time}all disks are idle\n").as_bytes());
        }
        let mut text = Vec::new();
        table(&self.columns, &cells, cells.len(), interval, world, &mut text);
        // A time may stand above the header.
        let above = 1 + usize::from(interval.repeated);
        for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            out.extend_from_slice(line);
            if let Some(lines) = number.checked_sub(above).and_then(|row| below.get(row)) {
                out.extend_from_slice(lines.as_bytes());
            }
        }
    }

    fn cells(&self, row: &Row, name: &str, again: bool, interval_ns: u64, block: &BlockFacts) -> Vec<String> {
        let cell = |column: &Column| match column.key {
            "disk" => name.to_owned(),
            _ if again => String::new(),
            key => cells::cell(key, row, interval_ns, block),
        };
        self.columns.iter().map(cell).collect()
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
