//! Failures of sums by their errno, as counted in the kernel.

use crate::kernel::object::Object;
use anyhow::{Context, Result};
use aya::maps::{HashMap, MapData};
use iotrace_common::errno::ErrnoKey;

/// Reader of the counts.
pub struct Errnos {
    map: HashMap<MapData, ErrnoKey, u64>,
}

impl Errnos {
    /// Takes the map out of the object.
    ///
    /// # Errors
    ///
    /// When the object has no such map.
    pub fn new(object: &mut Object) -> Result<Self> {
        Ok(Self { map: HashMap::try_from(object.take_map("ERRNOS")?)? })
    }

    /// All counts since tracing began.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the map be read.
    pub fn read(&self) -> Result<Vec<(ErrnoKey, u64)>> {
        self.map.iter().map(|entry| entry.context("reading failures by errno")).collect()
    }
}
