//! Block latency: histograms by disk and operation.

mod by;

pub use by::{By, Subject, Sums};

use crate::output::json::{Bucket, Distribution};
use hdrhistogram::Histogram as Hdr;
use iotrace_common::latency::{BUCKETS, Distribution as Wire, Extremes, Histogram, HistogramKey, Range, bucket_low};
use std::collections::{BTreeMap, HashMap, btree_map::Entry};

/// One disk and operation in one interval.
#[derive(Clone, Debug)]
pub struct Row {
    /// Disk, operation and flags.
    pub key: HistogramKey,
    /// Completed requests.
    pub count: u64,
    /// Completed bytes.
    pub bytes: u64,
    /// Failed requests.
    pub errors: u64,
    /// From entering the block layer to completion.
    pub total: Part,
    /// Until given to the device.
    pub queue: Part,
    /// In the device.
    pub device: Part,
}

/// One part of the latency.
#[derive(Clone, Debug)]
pub struct Part {
    /// Sum, extremes, percentiles.
    pub distribution: Distribution,
    /// By powers of two, lowest first, without the empty ones at both ends.
    pub buckets: Vec<Bucket>,
}

/// Cumulative histograms, as the kernel side keeps them.
pub type Histograms = Vec<(HistogramKey, Box<Histogram>, Extremes)>;

/// `cmd_flags` of a histogram of all requests of a disk: no operation has this number.
pub const EVERY_OPERATION: u32 = u32::MAX;

/// A histogram of all requests for each disk.
pub fn by_disk(all: &Histograms) -> Histograms {
    let mut disks: BTreeMap<u32, (Box<Histogram>, Extremes)> = BTreeMap::new();
    for (key, histogram, extremes) in all {
        match disks.entry(key.disk) {
            Entry::Vacant(entry) => {
                entry.insert((histogram.clone(), *extremes));
            }
            Entry::Occupied(mut entry) => {
                let (sum, widest) = entry.get_mut();
                sum.merge(histogram);
                widest.merge(extremes);
            }
        }
    }
    let key = |disk| HistogramKey { disk, cmd_flags: EVERY_OPERATION };
    disks.into_iter().map(|(disk, (histogram, extremes))| (key(disk), histogram, extremes)).collect()
}

/// Turns cumulative histograms into what came since the last look.
#[derive(Debug, Default)]
pub struct Differences {
    before: HashMap<HistogramKey, (Box<Histogram>, Extremes)>,
}

impl Differences {
    /// What came since the last call, in the order of disks and operations.
    pub fn since(&mut self, now: Histograms) -> Vec<Row> {
        let mut rows = Vec::new();
        for (key, histogram, extremes) in now {
            let before = self.before.get(&key);
            let old = before.map(|(histogram, _)| histogram.as_ref());
            let old_extremes = before.map(|(_, extremes)| extremes);
            let count = histogram.count - old.map_or(0, |old| old.count);
            if count > 0 {
                let part = |wire: fn(&Histogram) -> &Wire, range: fn(&Extremes) -> Range| {
                    Part::new(wire(&histogram), old.map(wire), range(&extremes), old_extremes.map(range))
                };
                rows.push(Row {
                    key,
                    count,
                    bytes: histogram.bytes - old.map_or(0, |old| old.bytes),
                    errors: histogram.errors - old.map_or(0, |old| old.errors),
                    total: part(|histogram| &histogram.total, |extremes| extremes.total),
                    queue: part(|histogram| &histogram.queue, |extremes| extremes.queue),
                    device: part(|histogram| &histogram.device, |extremes| extremes.device),
                });
                self.before.insert(key, (histogram, extremes));
            }
        }
        rows.sort_by_key(|row| (row.key.disk, row.key.cmd_flags & 0xff, row.key.cmd_flags));
        rows
    }
}

impl Part {
    fn new(now: &Wire, before: Option<&Wire>, range: Range, range_before: Option<Range>) -> Self {
        let mut octaves: Vec<Bucket> = Vec::new();
        // Three digits: finer than the kernel's buckets, so nothing is lost here.
        let mut hdr = Hdr::<u64>::new(3).ok();
        let (mut lowest, mut highest) = (None, 0);
        for bucket in 0..BUCKETS {
            let count = now.buckets[bucket] - before.map_or(0, |before| before.buckets[bucket]);
            let low = bucket_low(bucket);
            let high = if bucket + 1 < BUCKETS { bucket_low(bucket + 1) - 1 } else { range.max_ns.max(low) };
            // The last one holds all that is longer, too.
            add_to_octave(&mut octaves, if bucket + 1 < BUCKETS { low } else { high }, count);
            if count == 0 {
                continue;
            }
            lowest = lowest.or(Some(low));
            highest = high;
            if let Some(hdr) = &mut hdr {
                let _ = hdr.record_n(low + (high - low) / 2, count);
            }
        }
        // An extreme of all time is this interval's when it moved; else the bucket's border is the best that is known.
        let min_ns = match range_before {
            Some(before) if before.min_ns == range.min_ns => lowest.unwrap_or_default().max(range.min_ns),
            _ => range.min_ns,
        };
        let max_ns = match range_before {
            Some(before) if before.max_ns == range.max_ns => highest.min(range.max_ns),
            _ => range.max_ns,
        };
        let at = |quantile: f64| {
            hdr.as_ref().map_or(0, |hdr| hdr.value_at_quantile(quantile)).clamp(min_ns.min(max_ns), max_ns)
        };
        Self {
            distribution: Distribution {
                sum_ns: now.sum_ns - before.map_or(0, |before| before.sum_ns),
                min_ns,
                max_ns,
                p50_ns: at(0.5),
                p90_ns: at(0.9),
                p99_ns: at(0.99),
                p999_ns: at(0.999),
            },
            buckets: trimmed(octaves),
        }
    }
}

/// Adds a fine bucket to the power of two it lies in.
fn add_to_octave(octaves: &mut Vec<Bucket>, low: u64, count: u64) {
    let le_ns = (low + 1).next_power_of_two().max(2) - 1;
    match octaves.last_mut() {
        Some(last) if last.le_ns == le_ns => last.count += count,
        _ => octaves.push(Bucket { le_ns, count }),
    }
}

fn trimmed(octaves: Vec<Bucket>) -> Vec<Bucket> {
    let first = octaves.iter().position(|bucket| bucket.count > 0).unwrap_or(octaves.len());
    let last = octaves.iter().rposition(|bucket| bucket.count > 0).map_or(first, |last| last + 1);
    octaves.get(first..last).unwrap_or_default().to_vec()
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
