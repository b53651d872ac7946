//! Block latency, as added up in the kernel.

use crate::kernel::object::Object;
use anyhow::{Context, Result};
use aya::maps::{HashMap, MapData, PerCpuHashMap};
use iotrace_common::latency::{Extremes, Histogram, HistogramKey};

/// Reader of the histograms.
pub struct Histograms {
    histograms: HashMap<MapData, HistogramKey, Histogram>,
    extremes: PerCpuHashMap<MapData, HistogramKey, Extremes>,
}

impl Histograms {
    /// Takes the maps out of the object.
    ///
    /// # Errors
    ///
    /// When the object lacks one.
    pub fn new(object: &mut Object) -> Result<Self> {
        let mut take = |name| object.take_map(name);
        Ok(Self {
            histograms: HashMap::try_from(take("HISTOGRAMS")?)?,
            extremes: PerCpuHashMap::try_from(take("EXTREMES")?)?,
        })
    }

    /// All histograms, cumulative since tracing began.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the maps be read.
    pub fn read(&self) -> Result<Vec<(HistogramKey, Box<Histogram>, Extremes)>> {
        let mut all = Vec::new();
        for key in self.histograms.keys() {
            let key = key.context("reading the histograms")?;
            let histogram = Box::new(self.histograms.get(&key, 0).context("reading a histogram")?);
            let mut extremes = Extremes::default();
            if let Ok(cpus) = self.extremes.get(&key, 0) {
                cpus.iter().for_each(|cpu| extremes.merge(cpu));
            }
            all.push((key, histogram, extremes));
        }
        Ok(all)
    }
}
