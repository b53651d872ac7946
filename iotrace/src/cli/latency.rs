//! `iotrace latency`: block I/O latency histograms, queue and device time apart.

use crate::{
    cli::{
        Exit, Misused,
        command::{Command, Interval, Setup, World},
        lines::timestamp,
        options::{Common, Timing, block_op},
        run::run,
    },
    event::Event,
    kernel::{
        block::BlockOp,
        plan::{KernelFilters, Plan},
        tracer::Tracer,
    },
    output::{
        bytes, histogram,
        json::{Bucket, LatencyLine, append},
        nanos,
    },
    resolve::dev_text,
    view::latency::{Differences, Part, Row},
};
use anyhow::Result;

/// The operation in the low byte, without flags.
const OPERATION: u32 = 0xff;
/// Columns of output when it does not go to a terminal.
const WIDTH: usize = 80;

/// Block I/O latency histograms, queue and device time apart
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  iotrace latency                      all disks, for 5 seconds
  iotrace latency --disk vda 1 10      one disk, ten histograms of a second each
  iotrace latency -F                   sync, metadata and FUA requests apart
  iotrace latency --op flush           what makes fsync slow
  iotrace latency -- fio job.fio       while a program runs: requests of all, since writeback is not its own")]
pub struct Args {
    /// One histogram per disk and operation (the default)
    #[arg(short = 'D', long, conflicts_with = "by_flags")]
    by_disk: bool,
    /// One histogram per disk, operation and set of flags
    #[arg(short = 'F', long)]
    by_flags: bool,
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
        if self.common.filters.by_name() {
            let text = "--path, --container and --cgroup do not go with latency: requests are added up without names";
            return Err(Misused(text.to_owned()).into());
        }
        let filters =
            KernelFilters { block_ops: (!self.op.is_empty()).then(|| self.op.clone()), ..KernelFilters::default() };
        let histogram = Some(if self.by_flags { u32::MAX } else { OPERATION });
        let mut latency = Latency { args: &self, differences: Differences::default() };
        let setup = Setup {
            command: "latency",
            stream: false,
            everyone: true,
            host_paths: false,
            plan: Plan { histogram, filters, ..Plan::default() },
            timing: &self.timing,
            common: &self.common,
        };
        run(setup, &mut latency)
    }
}

struct Latency<'a> {
    args: &'a Args,
    differences: Differences,
}

impl Latency<'_> {
    fn json(&self, row: &Row, ts: &str, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let disk = world.names.disk(row.key.disk);
        let flags = self.args.by_flags.then(|| world.block.flag_names(row.key.cmd_flags).collect());
        let line = LatencyLine {
            kind: "latency",
            ts,
            disk: disk.as_ref().map(|disk| disk.disk.as_str()),
            dev: dev_text(row.key.disk),
            op: world.block.operation(row.key.cmd_flags).name(),
            flags,
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

    fn text(&self, row: &Row, world: &mut World) -> String {
        let disk = world.names.disk(row.key.disk);
        let disk = disk.as_ref().map_or_else(|| dev_text(row.key.disk), |disk| disk.disk.clone());
        let op = world.block.operation(row.key.cmd_flags).name();
        let flags: Vec<&str> =
            if self.args.by_flags { world.block.flag_names(row.key.cmd_flags).collect() } else { Vec::new() };
        let mut title = format!("{disk} {op}");
        if !flags.is_empty() {
            title.push_str(&format!(" ({})", flags.join(",")));
        }
        title.push_str(&format!(": {} requests, {}", row.count, bytes(row.bytes)));
        if row.errors > 0 {
            title.push_str(&format!(", {} failed", row.errors));
        }
        let mut text = world.form.header(&format!("{title}\n"));
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
    fn event(&mut self, _event: Event, _world: &mut World, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn report(&mut self, interval: Interval, tracer: &mut Tracer, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
        let Some(histograms) = &tracer.histograms else { return Ok(()) };
        let rows = self.differences.since(histograms.read()?);
        if world.form.json {
            let ts = timestamp(&mut world.clock, interval.end_ns);
            for row in &rows {
                self.json(row, &ts, world, out)?;
            }
            return Ok(());
        }
        if interval.repeated {
            out.extend_from_slice(format!("{}\n", world.clock.hms(interval.end_ns)).as_bytes());
        }
        if rows.is_empty() {
            out.extend_from_slice(b"no block requests\n");
        }
        for row in &rows {
            out.extend_from_slice(self.text(row, world).as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
