#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::view::latency::{Differences, Histograms, by_disk};
use bytemuck::Zeroable;
use iotrace_common::latency::{Extremes, Histogram, HistogramKey};
use proptest::prelude::*;

fn completed(requests: u64, ms: u32) -> Completed {
    Completed { requests, merged: 1, sectors: requests * 8, ms }
}

fn stat(requests: u64, ms: u32) -> DiskStat {
    DiskStat { reads: completed(requests, ms), busy_ms: ms, queued_ms: ms, ..DiskStat::default() }
}

fn snapshot(lines: &[(u32, DiskStat)]) -> Snapshot {
    let lines = lines.iter().map(|(dev, stat)| (*dev, format!("d{dev}"), *stat)).collect();
    Snapshot { at_ns: 0, lines }
}

fn reads(requests: u64, ms: u64) -> Sum {
    Sum { requests, merged: 0, bytes: requests * 4096, ns: ms * MS }
}

#[test]
fn an_interval_has_what_was_counted_in_it() {
    let of = counted(&snapshot(&[(1, stat(100, 50))]), &snapshot(&[(1, stat(107, 64))]));
    let expected = Counted { reads: reads(7, 14), busy_ns: Some(14 * MS), queued_ns: 14 * MS, ..Counted::default() };
    assert_eq!(of, [(1, Some(expected))]);
    assert_eq!(expected.reads.mean_ns(), Some(2 * MS));
    assert_eq!(Sum::default().mean_ns(), None);
}

#[test]
fn milliseconds_begin_anew_after_49_days() {
    let of = counted(&snapshot(&[(1, stat(100, u32::MAX - 3))]), &snapshot(&[(1, stat(101, 6))]));
    assert_eq!(of[0].1.unwrap().reads, reads(1, 10));
    assert_eq!(of[0].1.unwrap().busy_ns, Some(10 * MS));
}

#[test]
fn a_device_that_appears_has_all_that_it_did_and_so_has_one_under_the_number_of_another() {
    let new = Sum { merged: 1, ..reads(3, 6) };
    let of = counted(&snapshot(&[]), &snapshot(&[(1, stat(3, 6))]));
    assert_eq!(of[0].1.unwrap().reads, new);
    let of = counted(&snapshot(&[(1, stat(100, 50))]), &snapshot(&[(1, stat(3, 6))]));
    assert_eq!(of[0].1.unwrap().reads, new);
    // It did no less than the one before.
    let mut now = snapshot(&[(1, stat(3, 6))]);
    now.lines[0].1 = "another".into();
    assert_eq!(counted(&snapshot(&[(1, stat(2, 6))]), &now)[0].1.unwrap().reads, new);
}

#[test]
fn a_device_that_is_gone_comes_last_and_what_it_did_is_not_known() {
    let of = counted(&snapshot(&[(1, stat(9, 9)), (2, stat(1, 1))]), &snapshot(&[(2, stat(1, 1))]));
    assert_eq!(of, [(2, Some(Counted { busy_ns: Some(0), ..Counted::default() })), (1, None)]);
}

fn device(on: Option<&[u32]>) -> Arc<Device> {
    let name = "d".to_owned();
    Arc::new(Device { disk: name.clone(), name, kind: "disk".into(), on: on.map(<[u32]>::to_vec), backing: None })
}

/// A device that did so many reads, with its number.
fn row(dev: u32, requests: u64, on: Option<&[u32]>) -> Row {
    let counted = Counted { reads: reads(requests, requests), busy_ns: Some(0), ..Counted::default() };
    Row { device: Some(device(on)), ..Row::new(dev, Some(counted)) }
}

/// The tree as text: a letter for each device, its levels before it.
fn drawn(rows: &[Row], all: bool) -> Vec<String> {
    let places = tree(rows, all);
    let line = |place: &Place| {
        let levels: String = place.last.iter().map(|last| if *last { '`' } else { '|' }).collect();
        format!("{levels}{}{}", rows[place.row].dev, if place.again { "*" } else { "" })
    };
    places.iter().map(line).collect()
}

/// nvme0n1 (1) with partitions 2 and 3; LUKS (4) on 3; two volumes of LVM (5, 6) on 4; another disk (7).
fn laptop() -> Vec<Row> {
    vec![
        row(1, 9, Some(&[])),
        row(2, 0, Some(&[1])),
        row(3, 9, Some(&[1])),
        row(7, 0, Some(&[])),
        row(4, 9, Some(&[3])),
        row(5, 4, Some(&[4])),
        row(6, 5, Some(&[4])),
    ]
}

#[test]
fn a_device_stands_under_what_it_stands_on() {
    assert_eq!(drawn(&laptop(), false), ["1", "`3", "``4", "``|5", "```6"]);
    assert_eq!(drawn(&laptop(), true), ["1", "|2", "`3", "``4", "``|5", "```6", "7"]);
}

#[test]
fn a_mirror_stands_under_both_disks_and_is_told_once() {
    let rows = [row(1, 5, Some(&[])), row(2, 5, Some(&[])), row(9, 5, Some(&[1, 2])), row(10, 5, Some(&[9]))];
    assert_eq!(drawn(&rows, false), ["1", "`9", "``10", "2", "`9*"]);
}

#[test]
fn an_idle_disk_is_shown_where_a_busy_one_stands_on_it() {
    let rows = [row(1, 0, Some(&[])), row(2, 0, Some(&[1])), row(8, 3, Some(&[2])), row(3, 0, Some(&[]))];
    assert_eq!(drawn(&rows, false), ["1", "`2", "``8"]);
}

#[test]
fn what_stands_on_a_device_that_is_not_shown_stands_alone() {
    assert_eq!(drawn(&[row(8, 3, Some(&[1]))], false), ["8"]);
    assert_eq!(drawn(&[row(8, 3, None)], false), ["8"]);
}

#[test]
fn each_request_is_in_the_total_once() {
    let mut rows = laptop();
    assert_eq!(total(&rows).expect("two disks").counted.unwrap().reads.requests, 9);
    rows.push(row(20, 13, None)); // a loop device whose file may be on any of them
    rows.push(row(21, 2, Some(&[])));
    let sum = total(&rows).expect("three disks").counted.unwrap();
    assert_eq!((sum.reads, sum.busy_ns), (reads(11, 11), None));
    assert!(total(&laptop()[..3]).is_none(), "one disk needs no sum");
}

/// Requests of one disk and operation.
fn histogram(disk: u32, op: u32, times: &[u64]) -> (HistogramKey, Box<Histogram>, Extremes) {
    let mut histogram = Box::new(Histogram::zeroed());
    let mut extremes = Extremes::default();
    for ns in times {
        let mut one = Box::new(Histogram::zeroed());
        (one.count, one.bytes) = (1, 512);
        for part in [&mut one.total, &mut one.queue, &mut one.device] {
            part.sum_ns = *ns;
            part.buckets[iotrace_common::latency::bucket_of(*ns)] = 1;
        }
        histogram.merge(&one);
        let range = iotrace_common::latency::Range { min_ns: *ns, max_ns: *ns };
        extremes.merge(&Extremes { count: 1, total: range, queue: range, device: range });
    }
    (HistogramKey { disk, cmd_flags: op }, histogram, extremes)
}

#[test]
fn all_operations_of_a_disk_make_one_histogram() {
    let all: Histograms = vec![histogram(1, 0, &[10, 20]), histogram(2, 0, &[7]), histogram(1, 1, &[3_000, 40])];
    let rows = Differences::default().since(by_disk(&all));
    let told = |row: &Requests| {
        let total = &row.total.distribution;
        (row.key.disk, row.count, row.bytes, total.sum_ns, total.min_ns, total.max_ns)
    };
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(1, 4, 2048, 3_070, 10, 3_000), (2, 1, 512, 7, 7, 7)]);
}

proptest! {
    /// Whatever sysfs says stands on what, circles too, each device that is shown has its figures exactly once.
    #[test]
    fn every_row_is_told_once(ons in prop::collection::vec(prop::collection::vec(0u32..8, 0..3), 0..8)) {
        let rows: Vec<Row> = ons.iter().enumerate().map(|(dev, on)| row(dev as u32, 1, Some(on))).collect();
        let places = tree(&rows, false);
        for index in 0..rows.len() {
            prop_assert_eq!(places.iter().filter(|place| place.row == index && !place.again).count(), 1);
        }
    }
}
