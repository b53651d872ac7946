//! Sizes of files, looked at each second.

use crate::{
    cli::{command::World, tables::look},
    findings::Growth,
    kernel::tracer::Tracer,
    view::top::Differences,
};
use anyhow::Result;
use std::{
    collections::{HashMap, hash_map::Entry},
    time::Instant,
};

/// Files that move fewer bytes in a second are not measured again each second.
const BUSY_BYTES: u64 = 64 << 10;
/// Most files that are measured.
const MEASURED_MAX: usize = 4096;

/// A file's size, and when it was seen.
#[derive(Clone, Copy)]
struct Sizes {
    first: (u64, Instant),
    last: (u64, Instant),
    steps: u32,
}

impl Sizes {
    fn add(&mut self, size: (u64, Instant)) {
        self.steps += u32::from(size.0 > self.last.0);
        self.last = size;
    }

    fn growth(&self) -> Growth {
        let between = self.last.1.saturating_duration_since(self.first.1);
        Growth { first: self.first.0, last: self.last.0, between, steps: self.steps }
    }
}

/// Files that were busy.
#[derive(Default)]
pub(super) struct Sizing {
    recent: Differences,
    files: HashMap<(u32, u64), Sizes>,
}

impl Sizing {
    /// Measures the files that were busy since the last look.
    pub(super) fn measure(&mut self, tracer: &mut Tracer, world: &mut World) -> Result<()> {
        let Some(sums) = &mut tracer.sums else { return Ok(()) };
        let (look, _) = look(&mut self.recent, sums, world, false)?;
        for delta in look.calls.iter().filter(|delta| delta.counters.bytes() >= BUSY_BYTES) {
            let (Some(inode), Some(file), Some(process)) = (delta.inode, &delta.file, &delta.process) else { continue };
            let host = world.names.host_path(file, Some(process), delta.counters.writes != 0);
            let Some(size) = host.and_then(|host| host.size) else { continue };
            let full = self.files.len() >= MEASURED_MAX;
            match self.files.entry(inode) {
                Entry::Occupied(mut known) => known.get_mut().add(size),
                Entry::Vacant(new) if !full => {
                    new.insert(Sizes { first: size, last: size, steps: 0 });
                }
                Entry::Vacant(_) => {}
            }
        }
        Ok(())
    }

    /// How they grew.
    pub(super) fn growth(&self) -> HashMap<(u32, u64), Growth> {
        self.files.iter().map(|(inode, sizes)| (*inode, sizes.growth())).collect()
    }
}
