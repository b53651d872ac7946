//! Disks and their requests, as `disk` and `block --summary` have them.

use crate::{
    cli::{
        block_lines::{charges, passes},
        command::World,
        disk::{Collector, Look},
        host::{locate, locate_sums},
        options::Filters,
    },
    event::{Comm, block::Block},
    findings::{DiskReads, DiskUse, Facts, Hanging, are_of},
    kernel::{block::BlockOp, requests::InFlight, tracer::Tracer},
    view::{
        block::{By, Charge, Row as Requests, Sort, Sums},
        disk,
        top::Row,
    },
};
use anyhow::Result;
use std::{collections::HashMap, time::Duration};

/// Bytes in a sector.
const SECTOR: u64 = 512;
/// Most files of which it is remembered where the last read ended.
const READS_MAX: usize = 1 << 14;

/// Requests up to now.
pub(super) struct Blocks {
    disks: Collector,
    sums: Sums,
    reads: HashMap<(u32, Vec<u8>), (DiskReads, u64)>,
    /// When the last request to a disk ended, nanoseconds.
    ended: HashMap<u32, u64>,
}

impl Blocks {
    /// For the devices that the filters name.
    ///
    /// # Errors
    ///
    /// See [`Collector::new`].
    pub(super) fn new(filters: &Filters) -> Result<Self> {
        Ok(Self {
            disks: Collector::new(filters)?,
            sums: Sums::new(By::ProcessFile),
            reads: HashMap::new(),
            ended: HashMap::new(),
        })
    }

    /// Now everything is attached.
    pub(super) fn begin(&mut self) {
        self.disks.begin();
    }

    /// Takes a request.
    pub(super) fn add(&mut self, block: &Block, world: &mut World) {
        let ended = self.ended.entry(block.disk).or_default();
        *ended = (*ended).max(block.begin_ns + block.queue_ns + block.device_ns);
        let charges = charges(block, world);
        let op = world.block.operation(block.cmd_flags);
        self.sums.add(block, op, block.error != 0, &charges, |charge| passes(charge, world));
        if op == BlockOp::Read
            && let Some(charge) = charges.first().filter(|charge| passes(charge, world))
        {
            self.follow(block, charge);
        }
    }

    /// Looks whether a read goes on where the one before ended.
    fn follow(&mut self, block: &Block, charge: &Charge) {
        let (Some(payer), Some(path)) = (&charge.payer, &charge.path) else { return };
        let key = (payer.agent.task.pid, path.clone());
        if self.reads.len() >= READS_MAX && !self.reads.contains_key(&key) {
            return;
        }
        let (reads, end) = self.reads.entry(key).or_default();
        reads.requests += 1;
        reads.bytes += block.bytes;
        reads.contiguous += u64::from(*end == block.sector);
        *end = block.sector + block.bytes / SECTOR;
    }

    /// Puts what came since the last call into the facts.
    pub(super) fn report(&mut self, facts: &mut Facts, end_ns: u64, tracer: &Tracer, world: &mut World) -> Result<()> {
        let (Some(histograms), Some(requests)) = (&tracer.histograms, &tracer.requests) else { return Ok(()) };
        let in_flight = requests.in_flight(end_ns)?;
        let by_device = self.sums.take(Sort::Device);
        facts.blocks.clone_from(&by_device);
        facts.blocks.sort_by_key(|row| std::cmp::Reverse(row.totals.bytes()));
        facts.reads = self.reads.drain().map(|(key, (reads, _))| (key, reads)).collect();
        let Look { rows, interval_ns, .. } = self.disks.look(histograms.read()?, disk::causes(by_device, |_| true))?;
        for mut row in rows.into_iter().filter(|row| !row.is_idle()) {
            locate_sums(row.causes.iter_mut().map(|cause| &mut cause.row), &mut world.names);
            let of = |op| {
                let is = |requests: &&_| {
                    let requests: &&crate::view::latency::Row = requests;
                    world.block.operation(requests.key.cmd_flags) == op
                };
                row.by_op.iter().find(is).cloned()
            };
            let (reads, writes, flushes) = (of(BlockOp::Read), of(BlockOp::Write), of(BlockOp::Flush));
            let causes = row.causes.iter().map(|cause| subject(&cause.row, &facts.rows, world)).collect();
            let hanging = self.hanging(&row, in_flight.get(&row.dev), end_ns);
            facts.disks.push(DiskUse { row, interval_ns, reads, writes, flushes, causes, hanging });
        }
        Ok(())
    }
}

impl Blocks {
    /// Requests that have not ended, unless the kernel knows of none: then it has hidden how they ended (docs/kernels.md, Preemption).
    fn hanging(&self, row: &disk::Row, found: Option<&InFlight>, end_ns: u64) -> Option<Hanging> {
        let known = row.counted.as_ref()?.in_flight;
        let found = found.filter(|_| known > 0)?;
        let silence = self.ended.get(&row.dev).map(|ended| Duration::from_nanos(end_ns.saturating_sub(*ended)));
        Some(Hanging {
            requests: found.requests.min(known),
            oldest: Duration::from_nanos(found.oldest_ns),
            by: (found.oldest.pid, Comm(found.oldest.comm)),
            silence,
        })
    }
}

/// The process and file of requests: the row of `top` that has both, or one without counters.
fn subject(requests: &Requests, rows: &[Row], world: &mut World) -> Row {
    if let Some(known) = rows.iter().find(|row| are_of(requests, row)) {
        return known.clone();
    }
    let process = requests.process.as_ref();
    let mut row = Row {
        pid: requests.pid,
        comm: requests.comm,
        process: process.cloned(),
        resident: process.and_then(|process| process.resident.clone()),
        role: process.and_then(|process| process.role),
        file: requests.file.clone().zip(process.cloned()),
        path: requests.path.clone(),
        dev: requests.file.as_ref().map(|file| file.file.key.dev),
        disk: requests.disk.and_then(|disk| world.names.disks.of(disk)),
        fs: requests.file.as_ref().map(|file| file.file.fs.clone()),
        ino: requests.file.as_ref().map(|file| file.file.key.ino),
        ..Row::default()
    };
    locate(&mut row, &mut world.names);
    row
}
