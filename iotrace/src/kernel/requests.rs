//! Requests to disks that are under way.

use crate::kernel::object::Object;
use anyhow::{Context, Result};
use aya::maps::{HashMap, MapData};
use iotrace_common::{
    block::{RequestState, WANTED},
    record::Task,
};
use std::collections::BTreeMap;

/// Requests that were given to a disk and whose end was not seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct InFlight {
    /// How many.
    pub requests: u64,
    /// How long the oldest of them had been in the block layer, nanoseconds.
    pub oldest_ns: u64,
    /// Who put that there.
    pub oldest: Task,
}

/// Reader of what is known of requests.
pub struct Requests {
    map: HashMap<MapData, u64, RequestState>,
    disks: Option<Vec<u32>>,
}

impl Requests {
    /// Takes the map out of the object. `disks`: those that count, in the kernel's encoding.
    ///
    /// # Errors
    ///
    /// When the object lacks it.
    pub fn new(object: &mut Object, disks: Option<Vec<u32>>) -> Result<Self> {
        Ok(Self { map: HashMap::try_from(object.take_map("REQUESTS")?)?, disks })
    }

    /// Requests that are under way, by the whole disk, of threads and disks that pass the filters; `now_ns`: nanoseconds of
    /// CLOCK_MONOTONIC.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the map be read.
    pub fn in_flight(&self, now_ns: u64) -> Result<BTreeMap<u32, InFlight>> {
        let mut found = BTreeMap::<u32, InFlight>::new();
        for entry in self.map.iter() {
            let (_, state) = entry.context("reading the requests that are under way")?;
            // One that was never issued may have been merged into another.
            let is_issued = state.begin_ns != 0 && state.issue_ns != 0;
            let is_on = |disks: &Vec<u32>| disks.contains(&state.disk) || disks.contains(&state.part);
            if is_issued && state.flags & WANTED != 0 && self.disks.as_ref().is_none_or(is_on) {
                let of_disk = found.entry(state.disk).or_default();
                of_disk.requests += 1;
                let age_ns = now_ns.saturating_sub(state.begin_ns);
                if age_ns >= of_disk.oldest_ns {
                    (of_disk.oldest_ns, of_disk.oldest) = (age_ns, state.task);
                }
            }
        }
        Ok(found)
    }
}
