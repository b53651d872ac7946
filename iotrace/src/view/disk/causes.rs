//! Who keeps a disk busy.

use crate::view::block;
use std::collections::HashMap;

/// So many are shown under each disk.
const CAUSES: usize = 3;

/// A process and a file that had requests on a disk.
#[derive(Clone, Debug)]
pub struct Cause {
    /// What they did, together with whom and what.
    pub row: block::Row,
    /// Part of the time of all requests in the device, of 1.
    pub share: f64,
}

/// The largest causes of each disk, of those that are wanted. `rows`: by the time that their requests took in the device.
pub fn causes(rows: Vec<block::Row>, wanted: impl Fn(&block::Row) -> bool) -> HashMap<u32, Vec<Cause>> {
    let mut all: HashMap<u32, u64> = HashMap::new();
    for row in &rows {
        *all.entry(row.disk.unwrap_or_default()).or_default() += row.totals.device_ns;
    }
    let mut causes: HashMap<u32, Vec<Cause>> = HashMap::new();
    for row in rows.into_iter().filter(wanted) {
        let disk = row.disk.unwrap_or_default();
        let device_ns = all.get(&disk).copied().unwrap_or_default();
        let largest = causes.entry(disk).or_default();
        if largest.len() < CAUSES {
            let share = if device_ns == 0 { 0.0 } else { row.totals.device_ns as f64 / device_ns as f64 };
            largest.push(Cause { row, share });
        }
    }
    causes
}
