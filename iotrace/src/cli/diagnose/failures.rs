//! Failed operations, by what they said.

use crate::{
    cli::{
        command::World,
        host::locate,
        lines::{open_path, selected},
    },
    event::{io::Operation, open::Open},
    findings::Failure,
    kernel::tracer::Tracer,
    view::top::{Delta, Row},
};
use anyhow::Result;
use iotrace_common::io::{OP_ALLOCATE, OP_READ, OP_TRUNCATE, OP_WRITE};
use std::collections::HashMap;

/// Most pairs of a process and a name of which failed opens are remembered.
const OPENS_MAX: usize = 4096;

/// Failed opens up to now; all else is counted in the kernel.
#[derive(Default)]
pub(super) struct Failures {
    opens: HashMap<(u32, Option<Vec<u8>>, i32), Failure>,
}

impl Failures {
    /// Takes an open.
    pub(super) fn open(&mut self, open: &Open, world: &mut World) {
        let Err(errno) = open.result else { return };
        let errno = errno.abs();
        let path = open_path(open, None, world);
        let Some(process) = selected(world, &open.task, path.as_deref()) else { return };
        let key = (open.task.pid, path.clone(), errno);
        if self.opens.len() >= OPENS_MAX && !self.opens.contains_key(&key) {
            return;
        }
        let base = world.names.file(open.base).cloned();
        let failure = self.opens.entry(key).or_insert_with(|| Failure {
            row: Row {
                pid: Some(open.task.pid),
                comm: Some(process.as_ref().map_or(open.task.comm, |process| process.process.comm)),
                resident: process.as_ref().and_then(|process| process.resident.clone()),
                role: process.as_ref().and_then(|process| process.role),
                process,
                path,
                // It would be in the file system of the directory from which its name counts, unless another is mounted between.
                disk: base.as_ref().and_then(|base| base.disk.clone()),
                fs: base.as_ref().map(|base| base.file.fs.clone()),
                dev: base.as_ref().map(|base| base.file.key.dev),
                ..Row::default()
            },
            op: "open",
            errno,
            count: 0,
        });
        failure.count += 1;
    }

    /// All failures up to now: of the sums of `deltas`, whose rows are `rows`, and of opens.
    pub(super) fn report(
        &mut self,
        deltas: &[Delta],
        rows: &[Row],
        tracer: &Tracer,
        world: &mut World,
    ) -> Result<Vec<Failure>> {
        let slots: HashMap<u32, &Delta> = deltas.iter().map(|delta| (delta.slot, delta)).collect();
        let mut found: Vec<Failure> = Vec::new();
        for (key, count) in tracer.errnos.as_ref().map(|errnos| errnos.read()).transpose()?.unwrap_or_default() {
            let Some(delta) = slots.get(&key.slot) else { continue };
            let path = delta.file.as_ref().and_then(|file| file.file.path.as_ref());
            let of = |row: &&Row| row.pid == Some(delta.pid) && row.path.as_ref() == path && row.dev == delta.dev();
            let Some(row) = rows.iter().find(of) else { continue };
            let (op, errno) = (operation(key.op).name(), i32::from(key.errno));
            let same = |other: &&mut Failure| {
                other.row.pid == row.pid && other.row.path == row.path && other.row.dev == row.dev
            };
            match found.iter_mut().filter(|other| other.op == op && other.errno == errno).find(same) {
                Some(known) => known.count += count,
                None => found.push(Failure { row: row.clone(), op, errno, count }),
            }
        }
        found.extend(self.opens.drain().map(|(_, failure)| failure));
        for failure in found.iter_mut().filter(|failure| failure.op == "open") {
            locate(&mut failure.row, &mut world.names);
        }
        Ok(found)
    }
}

/// The operation with a number of the kernel side.
fn operation(op: u16) -> Operation {
    match u8::try_from(op) {
        Ok(OP_READ) => Operation::Read,
        Ok(OP_WRITE) => Operation::Write,
        Ok(OP_ALLOCATE) => Operation::Allocate,
        Ok(OP_TRUNCATE) => Operation::Truncate,
        _ => Operation::Fsync,
    }
}
