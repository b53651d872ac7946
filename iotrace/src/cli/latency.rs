//! `iotrace latency`: block I/O latency histograms, queue and device time apart.

use crate::{
    cli::{
        Exit, Misused,
        block_lines::charged,
        command::{Command, Interval, Setup, World},
        lines::timestamp,
        options::{Common, Timing, block_op},
        run::run,
    },
    event::Event,
    kernel::{
        block::BlockOp,
        plan::{Grouping, KernelFilters, Plan},
        tracer::Tracer,
    },
    output::{
        Ink, bytes, heatmap, histogram,
        json::{Bucket, LatencyLine, append},
        nanos,
    },
    resolve::dev_text,
    view::{
        heatmap::{Heatmap, Series},
        latency::{By, Differences, Part, Row, Subject, Sums},
    },
};
use anyhow::Result;
use iotrace_common::latency::HistogramKey;

mod subjects;

/// Columns of output when it does not go to a terminal.
const WIDTH: usize = 80;
/// Files, processes or containers that text has; JSON has all.
const SUBJECTS: usize = 10;
/// Columns that a heat map's values take at most, with the space behind: `65.5us `.
const LABEL: usize = 7;

/// Block I/O latency histograms, queue and device time apart
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace latency                      all disks, for 5 seconds
  iotrace latency --disk vda 1 10      one disk, ten histograms of a second each
  iotrace latency -F                   sync, metadata and FUA requests apart
  iotrace latency --op flush           what makes fsync slow
  iotrace latency --by process         whose requests are slow
  iotrace latency --heatmap -d 1m      how it changes: a column each second
  iotrace latency -- fio job.fio       while a program runs: requests of all, since writeback is not its own")]
pub struct Args {
    /// One histogram per disk and operation (the default)
    #[arg(short = 'D', long, conflicts_with = "by_flags")]
    by_disk: bool,
    /// One histogram per disk, operation and set of flags
    #[arg(short = 'F', long)]
    by_flags: bool,
    /// Requests apart that make the device flush its cache, or go past it: preflush, fua
    #[arg(long, conflicts_with_all = ["by_disk", "by_flags"])]
    flush: bool,
    /// A map of the latency over time: a column per interval [default interval: 1s]
    #[arg(long, conflicts_with = "no_split")]
    heatmap: bool,
    /// Histograms of each file, process or container that caused the requests, the slowest first
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Only the whole latency, not queue and device time apart
    #[arg(long)]
    no_split: bool,
    /// Only these operations: read, write, flush, discard, ...
    #[arg(long, value_name = "OP,...", value_delimiter = ',', value_parser = block_op)]
    op: Vec<BlockOp>,
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
        // Who caused a request is in its record alone.
        let named = self.by.is_some() || self.common.filters.by_name();
        if named && self.heatmap {
            let text = "--by, --path, --container and --cgroup do not go with --heatmap";
            return Err(Misused(text.to_owned()).into());
        }
        let filters =
            KernelFilters { block_ops: (!self.op.is_empty()).then(|| self.op.clone()), ..KernelFilters::default() };
        let timing = if self.heatmap { self.timing.clone().every_second() } else { self.timing.clone() };
        let grouping = if self.by_flags {
            Grouping::Flags
        } else if self.flush {
            Grouping::Flush
        } else {
            Grouping::Operation
        };
        let mut latency = Latency::new(&self, grouping, named);
        let setup = Setup {
            command: "latency",
            stream: false,
            everyone: !named,
            host_paths: false,
            plan: Plan { histogram: (!named).then_some(grouping), stream_block: named, filters, ..Plan::default() },
            timing: &timing,
            common: &self.common,
        };
        run(setup, &mut latency)
    }
}

struct Latency<'a> {
    args: &'a Args,
    grouping: Grouping,
    differences: Differences,
    /// Whether requests are told apart by who or what caused them.
    named: bool,
    /// If so: by what.
    sums: Option<Sums>,
    /// With `--heatmap`: what is not drawn yet.
    map: Heatmap,
}

impl<'a> Latency<'a> {
    fn new(args: &'a Args, grouping: Grouping, named: bool) -> Self {
        let (differences, map) = (Differences::default(), Heatmap::default());
        Self { args, grouping, differences, named, sums: None, map }
    }
}

impl Latency<'_> {
    fn json(&self, row: &Row, of: &Subject, ts: &str, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let disk = world.names.disk(row.key.disk);
        let flags = self.has_flags().then(|| world.block.flag_names(row.key.cmd_flags).collect());
        let line = LatencyLine {
            kind: "latency",
            ts,
            disk: disk.as_ref().map(|disk| disk.disk.as_str()),
            dev: dev_text(row.key.disk),
            op: world.block.operation(row.key.cmd_flags).name(),
            flags,
            of: self.args.by.map(|_| subjects::json(of)),
            count: row.count,
            bytes: row.bytes,
            errors: row.errors,
            total: row.total.distribution,
            queue: (!self.args.no_split).then_some(row.queue.distribution),
            device: (!self.args.no_split).then_some(row.device.distribution),
            buckets: row.total.buckets.clone(),
        };
        Ok(append(out, &line)?)
    }

    /// Whether rows have flags.
    fn has_flags(&self) -> bool {
        self.args.by_flags || self.args.flush
    }

    /// Disk, operation and flags, then what is known of all their requests together.
    fn title(&self, key: HistogramKey, count: u64, transferred: u64, errors: u64, world: &mut World) -> String {
        let disk = world.names.disk(key.disk);
        let disk = disk.as_ref().map_or_else(|| dev_text(key.disk), |disk| disk.disk.clone());
        let op = world.block.operation(key.cmd_flags).name();
        let flags: Vec<&str> =
            if self.has_flags() { world.block.flag_names(key.cmd_flags).collect() } else { Vec::new() };
        let mut title = format!("{disk} {op}");
        if !flags.is_empty() {
            title.push_str(&format!(" ({})", flags.join(",")));
        }
        title.push_str(&format!(": {count} requests, {}", bytes(transferred)));
        if errors > 0 {
            title.push_str(&format!(", {errors} failed"));
        }
        world.form.header(&format!("{title}\n"))
    }

    /// Draws the intervals that are not drawn yet.
    fn draw(&mut self, world: &mut World, out: &mut Vec<u8>) {
        let Some((begin_ns, end_ns)) = self.map.time() else { return };
        let time = format!("{} to {}\n", world.clock.hms(begin_ns), world.clock.hms(end_ns));
        out.extend_from_slice(time.as_bytes());
        let all = self.map.take();
        if all.is_empty() {
            out.extend_from_slice(b"no block requests\n");
        }
        let ink = Ink { bars: world.form.bars(), colour: world.form.colour };
        for (key, Series { count, bytes, errors, columns }) in all {
            let title = self.title(key, count, bytes, errors, world);
            let columns: Vec<Vec<(u64, u64)>> = columns
                .iter()
                .map(|column| column.iter().map(|bucket| (bucket.le_ns, bucket.count)).collect())
                .collect();
            out.extend_from_slice((title + &heatmap(&columns, ink, nanos) + "\n").as_bytes());
        }
    }

    fn text(&self, row: &Row, world: &mut World) -> String {
        let mut text = self.title(row.key, row.count, row.bytes, row.errors, world);
        let parts: &[(&str, &Part)] = if self.args.no_split {
            &[("total", &row.total)]
        } else {
            &[("total", &row.total), ("queue", &row.queue), ("device", &row.device)]
        };
        for (name, part) in parts {
            let d = &part.distribution;
            text.push_str(&format!(
                "{name:<6} avg {}  p50 {}  p99 {}  p99.9 {}  max {}\n",
                nanos(d.sum_ns / row.count.max(1)),
                nanos(d.p50_ns),
                nanos(d.p99_ns),
                nanos(d.p999_ns),
                nanos(d.max_ns)
            ));
            // A histogram of zeroes tells nothing.
            if d.max_ns > 0 {
                text.push_str(&histogram(
                    &ranges(&part.buckets),
                    world.form.width.unwrap_or(WIDTH),
                    world.form.bars(),
                    nanos,
                ));
            }
        }
        text.push('\n');
        text
    }
}

/// Buckets as half-open ranges.
fn ranges(buckets: &[Bucket]) -> Vec<(u64, u64, u64)> {
    buckets
        .iter()
        .map(|bucket| (if bucket.le_ns <= 1 { 0 } else { bucket.le_ns / 2 + 1 }, bucket.le_ns + 1, bucket.count))
        .collect()
}

impl Command for Latency<'_> {
    fn event(&mut self, event: Event, world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        let Event::Block(block) = event else { return Ok(()) };
        if let Some((charges, first)) = charged(&block, world).filter(|_| self.named) {
            let mask = world.block.grouping(self.grouping);
            let sums = self.sums.get_or_insert_with(|| Sums::new(self.args.by, mask));
            if let Some(charge) = charges.get(first) {
                sums.add(&block, block.error != 0, charge);
            }
        }
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let all = match (&tracer.histograms, &mut self.sums) {
            (Some(histograms), _) => vec![(Subject::default(), self.differences.since(histograms.read()?))],
            (None, Some(sums)) => sums.take(),
            (None, None) => Vec::new(),
        };
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            for (subject, row) in all.iter().flat_map(|(subject, rows)| rows.iter().map(move |row| (subject, row))) {
                self.json(row, subject, &ts, world, out)?;
            }
            return Ok(());
        }
        if self.args.heatmap {
            let begin_ns =
                interval.end_ns.saturating_sub(u64::try_from(interval.length.as_nanos()).unwrap_or(u64::MAX));
            let rows = all.into_iter().flat_map(|(_, rows)| rows).collect();
            self.map.add(rows, begin_ns, interval.end_ns);
            if self.map.intervals() >= world.form.width.unwrap_or(WIDTH).saturating_sub(LABEL).max(1) {
                self.draw(world, out);
            }
            return Ok(());
        }
        if interval.repeated {
            out.extend_from_slice(format!("{}\n", world.clock.hms(interval.end_ns)).as_bytes());
        }
        if all.iter().all(|(_, rows)| rows.is_empty()) {
            out.extend_from_slice(b"no block requests\n");
        }
        for (subject, rows) in all.iter().take(SUBJECTS) {
            if let Some(by) = self.args.by {
                out.extend_from_slice(world.form.header(&subjects::title(subject, by)).as_bytes());
            }
            for row in rows {
                out.extend_from_slice(self.text(row, world).as_bytes());
            }
        }
        if all.len() > SUBJECTS {
            out.extend_from_slice(format!("{SUBJECTS} of {}; --json has all\n", all.len()).as_bytes());
        }
        Ok(())
    }

    fn end(&mut self, world: &mut World, out: &mut Vec<u8>) {
        self.draw(world, out);
    }
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
