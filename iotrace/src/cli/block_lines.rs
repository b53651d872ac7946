//! Block requests to JSON lines.

use crate::{
    cli::{command::World, lines::timestamp},
    event::block::Block,
    kernel::block::BlockOp,
    output::{
        errno_name,
        json::{BlockFile, BlockLine, Cause, Issuer, Owner, Text, append, exact},
    },
    resolve::{dev_text, names::ProcessInfo},
    view::block::{Charge, ChargedBy, Charger, What},
};
use anyhow::Result;

/// The charges of a request, and the position of the first that passes the filters; `None` when none does.
pub fn charged(block: &Block, world: &mut World) -> Option<(Vec<Charge>, usize)> {
    let mut charger = Charger { facts: &world.block, endings: &world.endings, names: &mut world.names };
    let charges = charger.charges(block);
    let passes = |charge: &Charge| {
        charge.wanted && world.selection.path(charge.path.as_deref()) && world.selection.process(charge.process())
    };
    let first = charges.iter().position(passes)?;
    Some((charges, first))
}

fn cause(charge: &Charge) -> Cause<'_> {
    let task = charge.payer.as_ref().map(|payer| &payer.agent.task);
    let comm = task.map(|task| task.comm.bytes());
    let path = charge.path.as_deref();
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
        path: path.map(Text),
        path_bytes: exact(path),
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
    let Some((charges, first)) = charged(block, world) else { return Ok(()) };
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
            .filter(|charge| charge.bytes > 0)
            .map(|charge| BlockFile { bytes: charge.bytes, cause: cause(charge) })
            .collect(),
    };
    Ok(append(out, &line)?)
}
