#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use bytemuck::Zeroable;
use iotrace_common::latency::bucket_of;
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEY: HistogramKey = HistogramKey { disk: 254 << 20, cmd_flags: 1 };
/// Values that the kernel side's buckets tell apart end here.
const LIMIT: u64 = 1 << 37;

/// What the kernel side keeps of one disk and operation.
#[derive(Clone)]
struct Kernel {
    histogram: Box<Histogram>,
    extremes: Extremes,
}

impl Kernel {
    fn new() -> Self {
        Self { histogram: Box::new(Histogram::zeroed()), extremes: Extremes::default() }
    }

    fn of(requests: &[(u64, u64)]) -> Self {
        let mut kernel = Self::new();
        requests.iter().for_each(|(queue, device)| kernel.add(*queue, *device));
        kernel
    }

    /// A request of 512 bytes.
    fn add(&mut self, queue_ns: u64, device_ns: u64) {
        self.histogram.count += 1;
        self.histogram.bytes += 512;
        record(&mut self.histogram.total, queue_ns + device_ns);
        record(&mut self.histogram.queue, queue_ns);
        record(&mut self.histogram.device, device_ns);
        let first = self.extremes.count == 0;
        self.extremes.count += 1;
        widen(&mut self.extremes.total, queue_ns + device_ns, first);
        widen(&mut self.extremes.queue, queue_ns, first);
        widen(&mut self.extremes.device, device_ns, first);
    }

    fn now(&self) -> Vec<(HistogramKey, Box<Histogram>, Extremes)> {
        vec![(KEY, self.histogram.clone(), self.extremes)]
    }
}

fn record(wire: &mut Wire, ns: u64) {
    wire.sum_ns += ns;
    wire.buckets[bucket_of(ns)] += 1;
}

fn widen(range: &mut Range, ns: u64, first: bool) {
    range.min_ns = if first { ns } else { range.min_ns.min(ns) };
    range.max_ns = range.max_ns.max(ns);
}

fn part(values: &[u64]) -> Part {
    let requests: Vec<(u64, u64)> = values.iter().map(|ns| (0, *ns)).collect();
    Differences::default().since(Kernel::of(&requests).now()).remove(0).total
}

fn counted(buckets: &[Bucket]) -> u64 {
    buckets.iter().map(|bucket| bucket.count).sum()
}

/// The true percentiles, by sorting.
fn truth(values: &[u64]) -> [u64; 4] {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    [500, 900, 990, 999].map(|per_mille| sorted[(sorted.len() * per_mille).div_ceil(1000) - 1])
}

/// Nanoseconds to minutes, every magnitude alike.
fn any_ns() -> impl Strategy<Value = u64> {
    (any::<u64>(), 28..64_u32).prop_map(|(bits, shift)| bits >> shift)
}

#[test]
fn sums_and_parts_are_taken_apart() {
    let row = Differences::default().since(Kernel::of(&[(1, 10), (3, 20), (5, 300)]).now()).remove(0);
    assert_eq!((row.key, row.count, row.bytes, row.errors), (KEY, 3, 1536, 0));
    let of = |part: &Part| (part.distribution.sum_ns, part.distribution.min_ns, part.distribution.max_ns);
    assert_eq!(of(&row.total), (339, 11, 305));
    assert_eq!(of(&row.queue), (9, 1, 5));
    assert_eq!(of(&row.device), (330, 10, 300));
}

#[test]
fn an_interval_without_requests_has_no_row() {
    let (mut differences, kernel) = (Differences::default(), Kernel::of(&[(1, 10)]));
    assert_eq!(differences.since(kernel.now()).len(), 1);
    assert_eq!(differences.since(kernel.now()).len(), 0);
    assert_eq!(differences.since(Vec::new()).len(), 0);
    let empty = Kernel::new();
    assert_eq!(Differences::default().since(empty.now()).len(), 0);
}

#[test]
fn errors_are_counted_by_difference() {
    let (mut differences, mut kernel) = (Differences::default(), Kernel::of(&[(1, 10)]));
    kernel.histogram.errors = 1;
    assert_eq!(differences.since(kernel.now())[0].errors, 1);
    kernel.add(1, 10);
    assert_eq!(differences.since(kernel.now())[0].errors, 0);
}

#[test]
fn disks_operations_and_flags_have_rows_of_their_own_in_a_fixed_order() {
    let key = |disk, cmd_flags| HistogramKey { disk, cmd_flags };
    let keys = [key(1, 0), key(1, 0x800), key(1, 1), key(2, 0)];
    let kernel = Kernel::of(&[(1, 10)]);
    let all = |keys: &mut dyn Iterator<Item = &HistogramKey>| {
        let now = keys.map(|key| (*key, kernel.histogram.clone(), kernel.extremes)).collect();
        Differences::default().since(now).iter().map(|row| row.key).collect::<Vec<_>>()
    };
    assert_eq!(all(&mut keys.iter()), keys);
    assert_eq!(all(&mut keys.iter().rev()), keys);
}

#[test]
fn a_bar_holds_the_values_up_to_a_power_of_two() {
    let buckets: Vec<_> =
        part(&[0, 1, 2, 3, 4, 64, 127, 128, 1024]).buckets.iter().map(|bucket| (bucket.le_ns, bucket.count)).collect();
    assert_eq!(
        buckets,
        [(1, 2), (3, 2), (7, 1), (15, 0), (31, 0), (63, 0), (127, 2), (255, 1), (511, 0), (1023, 0), (2047, 1)]
    );
}

#[test]
fn an_extreme_that_moved_is_exact_and_one_that_did_not_is_a_buckets_border() {
    let (mut differences, mut kernel) = (Differences::default(), Kernel::of(&[(0, 1_000), (0, 1_000_000)]));
    differences.since(kernel.now());
    kernel.add(0, 10_007);
    kernel.add(0, 20_011);
    let inside = differences.since(kernel.now()).remove(0).total.distribution;
    assert_eq!(inside.min_ns, bucket_low(bucket_of(10_007)));
    assert_eq!(inside.max_ns, bucket_low(bucket_of(20_011) + 1) - 1);
    kernel.add(0, 999);
    kernel.add(0, 1_000_001);
    let outside = differences.since(kernel.now()).remove(0).total.distribution;
    assert_eq!((outside.min_ns, outside.max_ns), (999, 1_000_001));
}

/// The last of the kernel side's buckets holds all that is longer: a device that hangs is retried for minutes.
#[test]
fn the_last_bar_reaches_to_the_longest_request() {
    for longest in [LIMIT - 1, LIMIT, 200_000_000_000, 3_600_000_000_000] {
        let part = part(&[1_000, longest]);
        assert_eq!((part.distribution.max_ns, counted(&part.buckets)), (longest, 2));
        let le_ns = part.buckets.last().unwrap().le_ns;
        assert!(le_ns >= longest, "the bar ends at {le_ns}, the longest took {longest}");
    }
}

/// The histogram is copied while other CPUs add to it, `count` first: the copy may have a request's bucket and not its count.
#[test]
fn a_look_while_a_request_is_added_loses_nothing() {
    let (mut differences, mut kernel) = (Differences::default(), Kernel::of(&[(1, 10)]));
    let mut rows = differences.since(kernel.now());
    kernel.add(2, 20);
    let mut half = kernel.clone();
    half.histogram.count -= 1;
    half.histogram.bytes -= 512;
    rows.extend(differences.since(half.now()));
    rows.extend(differences.since(kernel.now()));
    assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 2);
    assert_eq!(rows.iter().map(|row| row.bytes).sum::<u64>(), 1024);
    assert_eq!(rows.iter().map(|row| counted(&row.total.buckets)).sum::<u64>(), 2);
    assert_eq!(rows.iter().map(|row| row.total.distribution.sum_ns).sum::<u64>(), 33);
}

proptest! {
    #[test]
    fn folding_to_powers_of_two_keeps_every_value(values in prop::collection::vec(any_ns(), 1..200)) {
        let buckets = part(&values).buckets;
        prop_assert_eq!(counted(&buckets), values.len() as u64);
        prop_assert!(buckets[0].count > 0 && buckets[buckets.len() - 1].count > 0);
        let mut above = None;
        for bucket in buckets {
            prop_assert!((bucket.le_ns + 1).is_power_of_two());
            let within = values.iter().filter(|ns| **ns <= bucket.le_ns && above.is_none_or(|above| **ns > above));
            prop_assert_eq!(bucket.count, within.count() as u64);
            above = Some(bucket.le_ns);
        }
    }

    #[test]
    fn percentiles_are_in_order_between_the_extremes(
        values in prop::collection::vec(any::<u64>().prop_map(|bits| bits >> 8), 1..200),
        later in prop::collection::vec(any_ns(), 1..50),
    ) {
        let mut kernel = Kernel::of(&values.iter().map(|ns| (0, *ns)).collect::<Vec<_>>());
        let mut differences = Differences::default();
        let first = differences.since(kernel.now()).remove(0);
        later.iter().for_each(|ns| kernel.add(*ns, ns / 3));
        let second = differences.since(kernel.now()).remove(0);
        for part in [first.total, first.device, second.total, second.queue, second.device] {
            let d = part.distribution;
            let order = [d.min_ns, d.p50_ns, d.p90_ns, d.p99_ns, d.p999_ns, d.max_ns];
            prop_assert!(order.is_sorted(), "{:?}", order);
        }
    }

    #[test]
    fn percentiles_and_extremes_are_within_1_6_per_cent(
        before in prop::collection::vec(any_ns(), 0..20),
        values in prop::collection::vec(any_ns(), 1..400),
    ) {
        let mut kernel = Kernel::of(&before.iter().map(|ns| (0, *ns)).collect::<Vec<_>>());
        let mut differences = Differences::default();
        differences.since(kernel.now());
        values.iter().for_each(|ns| kernel.add(0, *ns));
        let d = differences.since(kernel.now()).remove(0).total.distribution;
        let near = |found: u64, value: u64| found.abs_diff(value) as f64 <= value as f64 * 0.016;
        for (found, value) in [d.p50_ns, d.p90_ns, d.p99_ns, d.p999_ns].into_iter().zip(truth(&values)) {
            prop_assert!(near(found, value), "found {found}, true {value}");
        }
        let (min, max) = (*values.iter().min().unwrap(), *values.iter().max().unwrap());
        prop_assert!(near(d.min_ns, min) && d.min_ns <= min, "found {}, true {min}", d.min_ns);
        prop_assert!(near(d.max_ns, max) && d.max_ns >= max, "found {}, true {max}", d.max_ns);
    }

    #[test]
    fn intervals_add_up_to_the_whole(
        intervals in prop::collection::vec(prop::collection::vec((any_ns(), any_ns()), 0..30), 1..6),
    ) {
        let (mut differences, mut kernel) = (Differences::default(), Kernel::new());
        let mut rows = Vec::new();
        for interval in &intervals {
            interval.iter().for_each(|(queue, device)| kernel.add(*queue, *device));
            rows.extend(differences.since(kernel.now()));
        }
        prop_assert_eq!(rows.len(), intervals.iter().filter(|interval| !interval.is_empty()).count());
        let whole = Differences::default().since(kernel.now());
        let add = |rows: &[Row], part: fn(&Row) -> &Part| {
            let mut bars: BTreeMap<u64, u64> = BTreeMap::new();
            for bucket in rows.iter().flat_map(|row| &part(row).buckets).filter(|bucket| bucket.count > 0) {
                *bars.entry(bucket.le_ns).or_default() += bucket.count;
            }
            (rows.iter().map(|row| part(row).distribution.sum_ns).sum::<u64>(), bars)
        };
        let parts: [fn(&Row) -> &Part; 3] = [|row| &row.total, |row| &row.queue, |row| &row.device];
        for part in parts {
            prop_assert_eq!(add(&rows, part), add(&whole, part));
        }
        let counts = |rows: &[Row]| (rows.iter().map(|row| row.count).sum::<u64>(), rows.iter().map(|row| row.bytes).sum::<u64>());
        prop_assert_eq!(counts(&rows), counts(&whole));
    }
}
