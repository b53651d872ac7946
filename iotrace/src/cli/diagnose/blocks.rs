//! Disks and their requests, as `disk` and `block --summary` have them.

use crate::{
    cli::{
        block_lines::{charges, passes},
        command::World,
        disk::{Collector, Look},
        host::{locate, locate_sums},
        options::Filters,
    },
    event::block::Block,
    findings::{DiskReads, DiskUse, Facts, are_of},
    kernel::{block::BlockOp, tracer::Tracer},
    view::{
        block::{By, Charge, Row as Requests, Sort, Sums},
        disk,
        top::Row,
    },
};
use anyhow::Result;
use std::collections::HashMap;

/// Bytes in a sector.
const SECTOR: u64 = 512;
/// Most files of which it is remembered where the last read ended.
const READS_MAX: usize = 1 << 14;

/// Requests up to now.
pub(super) struct Blocks {
    disks: Collector,
    sums: Sums,
    reads: HashMap<(u32, Vec<u8>), (DiskReads, u64)>,
}

impl Blocks {
    /// For the devices that the filters name.
    ///
    /// # Errors
    ///
    /// See [`Collector::new`].
    pub(super) fn new(filters: &Filters) -> Result<Self> {
        Ok(Self { disks: Collector::new(filters)?, sums: Sums::new(By::ProcessFile), reads: HashMap::new() })
    }

    /// Now everything is attached.
    pub(super) fn begin(&mut self) {
        self.disks.begin();
    }

    /// Takes a request.
    pub(super) fn add(&mut self, block: &Block, world: &mut World) {
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
    pub(super) fn report(&mut self, facts: &mut Facts, tracer: &Tracer, world: &mut World) -> Result<()> {
        let Some(histograms) = &tracer.histograms else { return Ok(()) };
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
            facts.disks.push(DiskUse { row, interval_ns, reads, writes, flushes, causes });
        }
        Ok(())
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
