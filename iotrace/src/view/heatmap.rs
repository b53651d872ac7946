//! Block latency over time: the histograms of each disk and operation, interval by interval.

use crate::{output::json::Bucket, view::latency::Row};
use iotrace_common::latency::HistogramKey;
use std::collections::BTreeMap;

/// One disk and operation over time.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Completed requests.
    pub count: u64,
    /// Completed bytes.
    pub bytes: u64,
    /// Failed requests.
    pub errors: u64,
    /// The buckets of each interval, the first one first.
    pub columns: Vec<Vec<Bucket>>,
}

/// Intervals that are not drawn yet.
#[derive(Debug, Default)]
pub struct Heatmap {
    /// By disk, operation and flags.
    series: BTreeMap<(u32, u32, u32), Series>,
    /// How many intervals there are.
    intervals: usize,
    /// Begin of the first and end of the last one, nanoseconds of CLOCK_MONOTONIC.
    time: Option<(u64, u64)>,
}

impl Heatmap {
    /// Adds an interval: its rows, its begin and its end, nanoseconds of CLOCK_MONOTONIC.
    pub fn add(&mut self, rows: Vec<Row>, begin_ns: u64, end_ns: u64) {
        self.time = Some((self.time.map_or(begin_ns, |(begin_ns, _)| begin_ns), end_ns));
        for row in rows {
            let key = (row.key.disk, row.key.cmd_flags & 0xff, row.key.cmd_flags);
            let series = self.series.entry(key).or_default();
            series.count += row.count;
            series.bytes += row.bytes;
            series.errors += row.errors;
            series.columns.resize(self.intervals, Vec::new());
            series.columns.push(row.total.buckets);
        }
        self.intervals += 1;
    }

    /// How many intervals there are.
    pub fn intervals(&self) -> usize {
        self.intervals
    }

    /// Begin of the first and end of the last interval; `None` without any.
    pub fn time(&self) -> Option<(u64, u64)> {
        self.time
    }

    /// What was added, in the order of disks and operations, each with a column for every interval; then there is nothing any more.
    pub fn take(&mut self) -> Vec<(HistogramKey, Series)> {
        let all = std::mem::take(self);
        let whole = |((disk, _, cmd_flags), mut series): ((u32, u32, u32), Series)| {
            series.columns.resize(all.intervals, Vec::new());
            (HistogramKey { disk, cmd_flags }, series)
        };
        all.series.into_iter().map(whole).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{output::json::Distribution, view::latency::Part};

    fn row(disk: u32, op: u32, counts: &[(u64, u64)]) -> Row {
        let buckets = counts.iter().map(|(le_ns, count)| Bucket { le_ns: *le_ns, count: *count }).collect();
        let part = Part { distribution: Distribution::default(), buckets };
        let count = counts.iter().map(|(_, count)| count).sum();
        let key = HistogramKey { disk, cmd_flags: op };
        Row { key, count, bytes: 512 * count, errors: 1, total: part.clone(), queue: part.clone(), device: part }
    }

    #[test]
    fn each_series_has_a_column_for_every_interval() {
        let mut map = Heatmap::default();
        map.add(vec![row(1, 0, &[(7, 3)])], 100, 200);
        map.add(Vec::new(), 200, 300);
        map.add(vec![row(1, 1, &[(15, 2)]), row(1, 0, &[(7, 5), (15, 1)])], 300, 400);
        map.add(Vec::new(), 400, 450);
        assert_eq!((map.intervals(), map.time()), (4, Some((100, 450))));
        let taken = map.take();
        let told = |(key, series): &(HistogramKey, Series)| {
            let columns: Vec<u64> =
                series.columns.iter().map(|column| column.iter().map(|bucket| bucket.count).sum()).collect();
            (key.cmd_flags, series.count, series.bytes, series.errors, columns)
        };
        let expected = [(0, 9, 9 * 512, 2, vec![3, 0, 6, 0]), (1, 2, 1024, 1, vec![0, 0, 2, 0])];
        assert_eq!(taken.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!((map.intervals(), map.time(), map.take().len()), (0, None, 0));
    }
}
