//! What threads were blocked on, as `wait` has it.

use crate::{
    cli::{
        command::World,
        host::locate,
        wait_lines::{limit, peers},
    },
    findings::Facts,
    kernel::tracer::Tracer,
    resolve::pipe_ends::PipeEnds,
    view::{
        top::By,
        wait::{Waits, rows},
    },
};
use anyhow::Result;
use std::collections::HashSet;

/// Waits that are shorter in all are not looked at closely, in parts of the time.
const SHARE: f64 = 0.01;

/// Waits up to now.
pub(super) struct Waiting {
    waits: Waits,
    ends: PipeEnds,
}

impl Waiting {
    /// None yet. `min_ns`: shorter waits do not count.
    pub(super) fn new(min_ns: u64) -> Self {
        Self { waits: Waits::new(false, min_ns), ends: PipeEnds::default() }
    }

    /// Looks who has the pipes open that are waited for: they may be gone later.
    pub(super) fn sample(&mut self, tracer: &mut Tracer, world: &mut World) -> Result<()> {
        let Some(waits) = &mut tracer.waits else { return Ok(()) };
        let files = waits.waiting()?.into_iter().filter_map(|file| world.names.file(file));
        let pipes = files.filter(|file| file.file.key.mode() == libc::S_IFIFO);
        self.ends.look(&pipes.filter_map(|file| file.file.path.clone()).collect());
        Ok(())
    }

    /// Puts what came since the last call into the facts.
    pub(super) fn report(
        &mut self,
        facts: &mut Facts,
        end_ns: u64,
        tracer: &mut Tracer,
        world: &mut World,
    ) -> Result<()> {
        let Some(waits) = &mut tracer.waits else { return Ok(()) };
        if waits.hides_stacks() {
            facts
                .unseen
                .push("what is waited for: the kernel hides where its functions are (kernel.kptr_restrict)".into());
        }
        let deltas = self.waits.since(waits.read()?, end_ns, &mut world.names, &world.selection);
        let mut rows = rows(&deltas, By::ProcessFile);
        rows.retain(|row| facts.share(row.ns) >= SHARE);
        let pipes: HashSet<_> =
            rows.iter().filter(|row| row.pipe.is_some()).filter_map(|row| row.row.path.clone()).collect();
        self.ends.look(&pipes);
        for row in &mut rows {
            peers(row, &deltas, &self.ends);
            row.limit = limit(&row.row);
            locate(&mut row.row, &mut world.names);
        }
        facts.waits = rows;
        Ok(())
    }
}
