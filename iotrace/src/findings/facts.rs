//! What rules look at: what other commands show, of one stretch of time.

use crate::view::top::Row;
use std::{collections::HashMap, time::Duration};

/// A file's size, as it was seen first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Bytes at first.
    pub first: u64,
    /// Bytes at last.
    pub last: u64,
    /// The time between.
    pub between: Duration,
    /// How often it was larger than the time before. It is looked at once a second.
    pub steps: u32,
}

impl Growth {
    /// Bytes per second; 0 where it shrank, or was seen once.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.between.as_secs_f64();
        if seconds > 0.0 { self.last.saturating_sub(self.first) as f64 / seconds } else { 0.0 }
    }
}

/// All that is known of the time traced.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How long it was.
    pub length: Duration,
    /// Processes and files as `top` has them, each with its place on the host and what is free there.
    pub rows: Vec<Row>,
    /// Sizes of files that were written, by device and inode.
    pub growth: HashMap<(u32, u64), Growth>,
}

impl Facts {
    /// How often a second, of a count.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        let seconds = self.length.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }

    /// Which part of the time, of a sum of nanoseconds. More than 1 when several threads took it side by side.
    #[must_use]
    pub fn share(&self, ns: u64) -> f64 {
        let seconds = self.length.as_secs_f64();
        if seconds > 0.0 { ns as f64 / 1e9 / seconds } else { 0.0 }
    }

    /// How the file of a row grew.
    #[must_use]
    pub fn growth(&self, row: &Row) -> Option<&Growth> {
        self.growth.get(&(row.dev?, row.ino?))
    }
}
