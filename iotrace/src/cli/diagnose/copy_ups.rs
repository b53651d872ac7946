//! What overlayfs copied up, as `copyup --summary` has it, with the copy that each process waited for longest.

use crate::{
    cli::{command::World, copyup_lines::copied, host::locate},
    event::copyup::CopyUp,
    findings::{CopiedUp, Facts},
    resolve::HostPath,
    view::{
        copyup::{By, Copied, Sort, Sums},
        top::Row,
    },
};
use std::collections::HashMap;

/// Copy-ups up to now.
pub(super) struct CopyUps {
    sums: Sums,
    /// By process and its start: how long, and where.
    longest: HashMap<(u32, u64), (u64, Row)>,
}

impl Default for CopyUps {
    fn default() -> Self {
        Self { sums: Sums::new(By::Process), longest: HashMap::new() }
    }
}

/// Most processes of which the longest is remembered.
const PROCESSES_MAX: usize = 4096;

impl CopyUps {
    /// Takes one.
    pub(super) fn add(&mut self, event: CopyUp, world: &mut World) {
        let upper = event.upper;
        let Some(copied) = copied(event, world) else { return };
        self.sums.add(&copied);
        let start_ns = copied.process.as_ref().map_or(0, |process| process.process.start_ns);
        let key = (copied.event.task.pid, start_ns);
        let latency_ns = copied.event.latency_ns.unwrap_or_default();
        let longer = self.longest.get(&key).is_none_or(|(longest, _)| latency_ns > *longest);
        if longer && (self.longest.len() < PROCESSES_MAX || self.longest.contains_key(&key)) {
            let row = row(&copied, upper, world);
            self.longest.insert(key, (latency_ns, row));
        }
    }

    /// Puts what came since the last call into the facts.
    pub(super) fn report(&mut self, facts: &mut Facts, world: &mut World) {
        let mut longest = std::mem::take(&mut self.longest);
        for sums in self.sums.take(Sort::Time) {
            let start_ns = sums.process.as_ref().map_or(0, |process| process.process.start_ns);
            let Some((_, mut row)) = sums.pid.and_then(|pid| longest.remove(&(pid, start_ns))) else { continue };
            let upper = row.host.take();
            locate(&mut row, &mut world.names);
            row.host = row.host.take().or(upper);
            facts.copy_ups.push(CopiedUp { longest: row, sums });
        }
    }
}

/// Whose it is and which file. The disk is that of the copy, as an overlay has none, and where the copy lies is its place on the host.
fn row(copied: &Copied, upper: u64, world: &World) -> Row {
    let upper = world.names.file(upper);
    let (ino, dev) = copied.event.inode.unzip();
    let process = copied.process.clone();
    let above = upper.filter(|upper| !upper.file.cut).and_then(|upper| upper.file.path.as_deref());
    Row {
        host: above.map(|path| HostPath::at(path).into()),
        pid: Some(copied.event.task.pid),
        comm: Some(process.as_ref().map_or(copied.event.task.comm, |process| process.process.comm)),
        resident: process.as_ref().and_then(|process| process.resident.clone()),
        role: process.as_ref().and_then(|process| process.role),
        file: copied.file.clone().zip(process.clone()),
        process,
        path: copied.path.clone(),
        ino,
        dev,
        fs: copied.file.as_ref().map(|file| file.file.fs.clone()),
        disk: upper.and_then(|upper| upper.disk.clone()),
        ..Row::default()
    }
}
