//! Writes of sums by their size, as counted in the kernel.

use crate::kernel::object::Object;
use anyhow::{Context, Result};
use aya::maps::{Array, MapData};
use iotrace_common::write_sizes::WriteSizes;

/// Reader of the counts.
pub struct SizesOfWrites {
    map: Array<MapData, WriteSizes>,
}

impl SizesOfWrites {
    /// Takes the map out of the object.
    ///
    /// # Errors
    ///
    /// When the object has no such map.
    pub fn new(object: &mut Object) -> Result<Self> {
        Ok(Self { map: Array::try_from(object.take_map("WRITE_SIZES")?)? })
    }

    /// The counts of a sum since tracing began, as long as its slot is not given to another.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the map be read.
    pub fn of(&self, slot: u32) -> Result<WriteSizes> {
        self.map.get(&slot, 0).context("reading the sizes of writes")
    }
}
