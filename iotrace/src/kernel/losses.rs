//! What the kernel side could not tell.

use crate::kernel::object::Object;
use anyhow::{Context, Result};
use aya::maps::{MapData, PerCpuArray};
use iotrace_common::loss;

/// Counters since tracing began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Operations that were counted or sent, the lost ones included.
    pub seen: u64,
    /// Records of operations that did not fit into the ring buffer.
    pub events: u64,
    /// Records of paths that did not fit.
    pub paths: u64,
    /// Records of processes that did not fit.
    pub processes: u64,
    /// Ends without a begin.
    pub unmatched: u64,
    /// Paths cut at their front.
    pub cut: u64,
    /// What found no room in a map: threads, requests, followed processes, histograms, failures by errno.
    pub maps_full: u64,
    /// Operations that found no free sum: counted under `(other files)`.
    pub other_files: u64,
    /// Runs of a program that the kernel skipped, because another run of it was not finished on that CPU.
    pub skipped: u64,
}

impl Losses {
    /// Whether anything is missing from the output.
    pub fn any(&self) -> bool {
        self.events + self.paths + self.processes + self.unmatched + self.maps_full + self.other_files + self.skipped
            > 0
    }
}

/// Reads the counters.
pub struct LossReader {
    map: PerCpuArray<MapData, u64>,
}

impl LossReader {
    /// Takes the map out of the object.
    ///
    /// # Errors
    ///
    /// When the object has no such map.
    pub fn new(object: &mut Object) -> Result<Self> {
        let map = object.take_map("LOSS")?;
        Ok(Self { map: PerCpuArray::try_from(map)? })
    }

    /// All counters, summed over the CPUs.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the map be read.
    pub fn read(&self) -> Result<Losses> {
        let counter = |index| -> Result<u64> {
            Ok(self.map.get(&index, 0).context("reading the counters of loss")?.iter().sum())
        };
        Ok(Losses {
            seen: counter(loss::SEEN)?,
            events: counter(loss::EVENTS)?,
            paths: counter(loss::PATHS)?,
            processes: counter(loss::PROCESSES)?,
            unmatched: counter(loss::UNMATCHED)?,
            cut: counter(loss::CUT)?,
            maps_full: counter(loss::THREADS_FULL)?
                + counter(loss::REQUESTS_FULL)?
                + counter(loss::FOLLOWED_FULL)?
                + counter(loss::HISTOGRAMS_FULL)?
                + counter(loss::PENDING_FULL)?
                + counter(loss::WAITS_FULL)?
                + counter(loss::ERRNOS_FULL)?,
            other_files: counter(loss::SUMS_FULL)?,
            skipped: 0,
        })
    }
}
