//! `iotrace disk`: how busy each disk is, how long its requests wait and take, as the tree that the devices are.

use crate::{
    cli::{
        Exit, Misused,
        block_lines::charges,
        command::{Command, Interval, Setup, World},
        lines::timestamp,
        options::{Common, Timing},
        run::run,
        tables::table,
    },
    event::Event,
    kernel::{
        block::BlockFacts,
        plan::{Grouping, Plan},
        tracer::{Tracer, monotonic_ns},
    },
    output::{Column, json::append, select},
    resolve::{Device, Devices, read_diskstats},
    view::{
        block::{By, Sums},
        disk::{self, Row, Snapshot, counted, total, tree},
        latency::{self, Differences, by_disk},
    },
};
use anyhow::{Context, Result};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::Instant,
};

mod causes;
mod cells;
mod line;

pub use cells::COLUMNS;

/// Columns that a table has unless it is told others: 80 characters.
const DEFAULT: &str = "r,w,f,d,r_kb,w_kb,qlen,queue,device,p99,util,disk";
/// Where the kernel counts.
const DISKSTATS: &str = "/proc/diskstats";

/// Disks: requests and bytes per second, queue and device time, utilisation, as a tree
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace disk                         the busy disks of the next 5 seconds
  iotrace disk 1                       a table each second, until Ctrl-C
  iotrace disk -a --disk vda           one disk with its partitions, idle ones too
  iotrace disk --columns r,r_await,r_p99,w,w_await,w_p99,f_await,disk
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
        if self.common.filters.by_operation() {
            let text = "of the filters, disk takes --disk alone: what the kernel counts of a disk is of all processes";
            return Err(Misused(text.to_owned()).into());
        }
        let columns: Vec<Column> = select(COLUMNS, &self.columns)
            .map_err(Misused)?
            .into_iter()
            .filter_map(|index| COLUMNS.get(index).copied())
            .collect();
        let filters = &self.common.filters;
        let (named, wanted) = (filters.device()?, filters.devices()?);
        let mut disks = Disks {
            all: self.all,
            columns,
            named,
            wanted: wanted.map(HashSet::from_iter),
            before: snapshot()?,
            devices: Devices::default(),
            known: HashMap::new(),
            of_disks: Differences::default(),
            of_ops: Differences::default(),
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

/// What the kernel counts, now.
fn snapshot() -> Result<Snapshot> {
    let before_ns = monotonic_ns();
    let lines = read_diskstats(Path::new(DISKSTATS)).with_context(|| format!("reading {DISKSTATS}"))?;
    Ok(Snapshot { at_ns: before_ns + (monotonic_ns() - before_ns) / 2, lines })
}

struct Disks {
    all: bool,
    columns: Vec<Column>,
    /// The device that `--disk` names.
    named: Option<u32>,
    /// The devices that are shown; `None`: all.
    wanted: Option<HashSet<u32>>,
    before: Snapshot,
    devices: Devices,
    /// As they were when they were last read.
    known: HashMap<u32, Arc<Device>>,
    of_disks: Differences,
    of_ops: Differences,
    sums: Sums,
}

impl Disks {
    /// The rows of an interval, idle ones included, in the kernel's order.
    fn rows(&mut self, now: &Snapshot, of_disks: Vec<latency::Row>, of_ops: Vec<latency::Row>) -> Vec<Row> {
        let wanted = |dev: u32| self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&dev));
        let counted = counted(&self.before, now).into_iter().filter(|(dev, _)| wanted(*dev));
        let mut rows: Vec<Row> = counted.map(|(dev, counted)| Row::new(dev, counted)).collect();
        // Of a partition that --disk names, the requests come under the number of its disk.
        let place = |dev: u32| if wanted(dev) { dev } else { self.named.unwrap_or(dev) };
        for requests in of_disks {
            let dev = place(requests.key.disk);
            row_of(&mut rows, dev).all = Some(requests);
        }
        for requests in of_ops {
            let dev = place(requests.key.disk);
            row_of(&mut rows, dev).by_op.push(requests);
        }
        for (disk, causes) in disk::causes(&mut self.sums) {
            let dev = place(disk);
            // Without requests there was nothing to cause: these completed after the last look.
            if let Some(row) = rows.iter_mut().find(|row| row.dev == dev) {
                row.causes = causes;
            }
        }
        let names: HashMap<u32, &str> =
            self.before.lines.iter().chain(&now.lines).map(|(dev, name, _)| (*dev, name.as_str())).collect();
        let at = Instant::now();
        for row in &mut rows {
            if let Some(name) = names.get(&row.dev).filter(|_| !row.is_idle() || !self.known.contains_key(&row.dev))
                && let Some(device) = self.devices.read(row.dev, name, at)
            {
                self.known.insert(row.dev, Arc::new(device));
            }
            row.device = self.known.get(&row.dev).cloned();
        }
        // A device that is gone and did nothing that was seen has nothing to show.
        rows.retain(|row| row.counted.is_some() || row.all.is_some());
        let present: HashSet<u32> = now.lines.iter().map(|(dev, _, _)| *dev).collect();
        self.known.retain(|dev, _| present.contains(dev));
        rows
    }
}

/// The row of a device; a new one when the kernel counts nothing of it.
fn row_of(rows: &mut Vec<Row>, dev: u32) -> &mut Row {
    let position = rows.iter().position(|row| row.dev == dev).unwrap_or(rows.len());
    if position == rows.len() {
        rows.push(Row::new(dev, None));
    }
    &mut rows[position]
}

impl Command for Disks {
    fn begin(&mut self, _world: &mut World, _out: &mut Vec<u8>) {
        // Once more, now that all is attached; the first look made sure that it can be read.
        if let Ok(now) = snapshot() {
            self.before = now;
        }
        let at = Instant::now();
        for (dev, name, _) in &self.before.lines {
            if let Some(device) = self.devices.read(*dev, name, at) {
                self.known.insert(*dev, Arc::new(device));
            }
        }
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
        let histograms = histograms.read()?;
        let now = snapshot()?;
        let of_disks = self.of_disks.since(by_disk(&histograms));
        let of_ops = self.of_ops.since(histograms);
        let rows = self.rows(&now, of_disks, of_ops);
        let interval_ns = now.at_ns.saturating_sub(self.before.at_ns);
        let interval = Interval { end_ns: now.at_ns, ..interval };
        self.before = now;
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
