//! Block requests to JSON lines.

use crate::{
    cli::{
        command::World,
        host::locate_charges,
        lines::{stored, timestamp},
    },
    event::block::Block,
    kernel::block::BlockOp,
    output::{
        errno_name,
        json::{BlockFile, BlockLine, BlockSumLine, Cause, Issuer, Owner, Text, append, exact},
    },
    resolve::{dev_text, names::ProcessInfo},
    view::block::{Charge, ChargedBy, Charger, Row, What},
};
use anyhow::Result;

/// The charges of a request.
pub fn charges(block: &Block, world: &mut World) -> Vec<Charge> {
    Charger { facts: &world.block, endings: &world.endings, names: &mut world.names }.charges(block)
}

/// Whether a charge passes the filters.
pub fn passes(charge: &Charge, world: &World) -> bool {
    charge.wanted && world.selection.path(charge.path.as_deref()) && world.selection.process(charge.process())
}

/// The charges of a request, and the position of the first that passes the filters; `None` when none does.
pub fn charged(block: &Block, world: &mut World) -> Option<(Vec<Charge>, usize)> {
    let charges = charges(block, world);
    let first = charges.iter().position(|charge| passes(charge, world))?;
    Some((charges, first))
}

fn cause(charge: &Charge) -> Cause<'_> {
    let task = charge.payer.as_ref().map(|payer| &payer.agent.task);
    let comm = task.map(|task| task.comm.bytes());
    Cause {
        owner: Owner {
            pid: task.map(|task| task.pid),
            tid: task.map(|task| task.tid),
            comm: comm.map(Text),
            comm_bytes: exact(comm),
            container: charge.process().and_then(ProcessInfo::container),
            role: charge.process().and_then(|process| process.role),
        },
        charged_by: charge.payer.as_ref().map(|payer| payer.by).map(ChargedBy::name),
        what: charge.what.map(What::name),
        stored: stored(charge.path.as_deref(), charge.host.as_deref()),
        fs: charge.file.as_ref().map(|file| file.file.fs.as_str()),
        ino: charge.inode.filter(|_| charge.what == Some(What::File)).map(|inode| inode.ino),
    }
}

/// Appends a block request; nothing when it does not pass the selection.
///
/// # Errors
///
/// See [`append`].
pub fn block_line(block: &Block, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    let Some((mut charges, first)) = charged(block, world) else { return Ok(()) };
    locate_charges(&mut charges, &mut world.names);
    let disk = world.names.disks.of(block.disk);
    let op = world.block.operation(block.cmd_flags);
    let error = world.block.errno(block.error);
    let issuer = &block.issuer.task;
    let line = BlockLine {
        kind: "block",
        ts: timestamp(&mut world.clock, block.begin_ns).into(),
        mono_ns: block.begin_ns,
        op: op.name(),
        flags: world.block.flag_names(block.cmd_flags).collect(),
        dev: dev_text(block.part),
        disk: disk.as_ref().map(|disk| disk.disk.as_str()),
        sector: (op != BlockOp::Flush).then_some(block.sector),
        bytes: block.bytes,
        queue_ns: block.queue_ns,
        device_ns: block.device_ns,
        latency_ns: block.queue_ns + block.device_ns,
        errno: (error != 0).then(|| errno_name(error.unsigned_abs())),
        cause: cause(&charges[first]),
        issuer: Issuer {
            pid: issuer.pid,
            tid: issuer.tid,
            comm: Text(issuer.comm.bytes()),
            comm_bytes: exact(Some(issuer.comm.bytes())),
        },
        files: charges
            .iter()
            .filter(|charge| {
                charge.bytes > 0 || op == BlockOp::Flush && (charge.payer.is_some() || charge.what.is_some())
            })
            .map(|charge| BlockFile { bytes: charge.bytes, cause: cause(charge) })
            .collect(),
    };
    Ok(append(out, &line)?)
}

/// Appends a row of `block --summary`.
///
/// # Errors
///
/// See [`append`].
pub fn block_sum_line(row: &Row, ts: &str, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    Ok(append(out, &block_sum(row, ts, world))?)
}

/// A row of `block --summary`.
pub fn block_sum<'a>(row: &'a Row, ts: &'a str, world: &mut World) -> BlockSumLine<'a> {
    let disk = row.disk.and_then(|disk| world.names.disks.of(disk));
    let totals = &row.totals;
    let comm = row.comm.as_ref().map(|comm| comm.bytes());
    BlockSumLine {
        kind: "block_summary",
        ts,
        owner: Owner {
            pid: row.pid,
            tid: None,
            comm: comm.map(Text),
            comm_bytes: exact(comm),
            container: row.container(),
            role: row.process.as_ref().and_then(|process| process.role),
        },
        dev: row.disk.map(dev_text),
        disk: disk.map(|disk| disk.disk.clone()),
        what: row.what.map(What::name),
        stored: stored(row.path.as_deref(), row.host.as_deref()),
        fs: row.file.as_ref().map(|file| file.file.fs.as_str()),
        requests: totals.requests(),
        reads: totals.reads,
        writes: totals.writes,
        flushes: totals.flushes,
        read_bytes: totals.read_bytes,
        write_bytes: totals.write_bytes,
        bytes: totals.bytes(),
        queue_ns: totals.queue_ns,
        device_ns: totals.device_ns,
        max_ns: totals.max_ns,
        errors: totals.errors,
    }
}

#[cfg(test)]
#[path = "block_lines_tests.rs"]
mod tests;
