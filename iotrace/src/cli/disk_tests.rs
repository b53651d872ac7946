#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        form::Form,
        lines::tests::{parsed, world},
    },
    resolve::{Completed, Device, Devices, DiskStat},
    view::{
        disk::Snapshot,
        latency::{Differences, Histograms, by_disk},
    },
};
use bytemuck::Zeroable;
use iotrace_common::latency::{Extremes, Histogram, HistogramKey, Range, bucket_of};
use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};
use unicode_width::UnicodeWidthStr;

const SECOND: u64 = 1_000_000_000;

const NVME: u32 = 259 << 20;
const PART: u32 = NVME | 3;
const CRYPT: u32 = 253 << 20;
const ROOT: u32 = CRYPT | 1;
const SDA: u32 = 8 << 20;
const LOOP: u32 = 7 << 20;

fn device(name: &str, disk: &str, kind: &str, on: Option<&[u32]>) -> Arc<Device> {
    let backing = (kind == "loop").then(|| b"/var/lib/machines/\x1bweb.img".to_vec());
    Arc::new(Device { name: name.into(), disk: disk.into(), kind: kind.into(), on: on.map(<[u32]>::to_vec), backing })
}

fn completed(requests: u64, kib: u64, ms: u32) -> Completed {
    Completed { requests, merged: 2, sectors: kib * 2, ms }
}

fn stat(scale: u64) -> DiskStat {
    DiskStat {
        reads: completed(1_234 * scale, 19_744 * scale, 617),
        writes: completed(98 * scale, 104_301 * scale, 28_714),
        flushes: Completed { requests: 31, ms: 68, ..Completed::default() },
        discards: completed(1, 8, 3),
        in_flight: 5,
        busy_ms: 931,
        queued_ms: 29_402,
    }
}

/// Requests of 4 KiB: time in the queue, time in the device.
fn histogram(disk: u32, op: u32, requests: &[(u64, u64)]) -> (HistogramKey, Box<Histogram>, Extremes) {
    let (mut histogram, mut extremes) = (Box::new(Histogram::zeroed()), Extremes::default());
    for &(queue, device) in requests {
        histogram.count += 1;
        histogram.bytes += 4096;
        let range = |ns| Range { min_ns: ns, max_ns: ns };
        for (part, ns) in
            [(&mut histogram.total, queue + device), (&mut histogram.queue, queue), (&mut histogram.device, device)]
        {
            part.sum_ns += ns;
            part.buckets[bucket_of(ns)] += 1;
        }
        extremes.merge(&Extremes {
            count: 1,
            total: range(queue + device),
            queue: range(queue),
            device: range(device),
        });
    }
    (HistogramKey { disk, cmd_flags: op }, histogram, extremes)
}

fn histograms() -> Histograms {
    vec![
        histogram(NVME, 0, &[(1_200, 81_000), (900, 99_000)]),
        histogram(NVME, 1, &[(281_000_000, 12_900_000)]),
        histogram(NVME, 2, &[(0, 2_190_000)]),
    ]
}

/// A busy laptop with an old idle disk.
fn disks(wanted: Option<&[u32]>, named: Option<u32>) -> Disks {
    let known = [
        (NVME, device("nvme0n1", "nvme0n1", "disk", Some(&[]))),
        (PART, device("nvme0n1p3", "nvme0n1", "part", Some(&[NVME]))),
        (CRYPT, device("mapper/nvme0n1p3_crypt", "mapper/nvme0n1p3_crypt", "crypt", Some(&[PART]))),
        (ROOT, device("mapper/vg-root", "mapper/vg-root", "lvm", Some(&[CRYPT]))),
        (SDA, device("sda", "sda", "disk", Some(&[]))),
        (LOOP, device("loop0", "loop0", "loop", Some(&[ROOT]))),
    ];
    Disks {
        all: false,
        columns: select(COLUMNS, DEFAULT).unwrap().into_iter().map(|index| COLUMNS[index]).collect(),
        collector: Collector {
            named,
            wanted: wanted.map(|wanted| wanted.iter().copied().collect()),
            before: snapshot_of(&[NVME, SDA, PART, CRYPT, ROOT, LOOP], |_| DiskStat::default()),
            // Of these devices nothing is read: the directory has none.
            devices: Devices::at(Path::new("/nowhere"), crate::resolve::Mounts::new()),
            known: HashMap::from(known),
            of_disks: Differences::default(),
            of_ops: Differences::default(),
        },
        sums: Sums::default(),
    }
}

fn snapshot_of(devs: &[u32], stat: impl Fn(u32) -> DiskStat) -> Snapshot {
    Snapshot { at_ns: SECOND, lines: devs.iter().map(|dev| (*dev, format!("d{dev}"), stat(*dev))).collect() }
}

fn busy(dev: u32) -> DiskStat {
    match dev {
        SDA => DiskStat::default(),
        LOOP => DiskStat { flushes: Completed::default(), ..stat(1) },
        _ => stat(31),
    }
}

fn rows(disks: &mut Disks, now: &Snapshot) -> Vec<Row> {
    let of_disks = disks.collector.of_disks.since(by_disk(&histograms()));
    let of_ops = disks.collector.of_ops.since(histograms());
    disks.collector.rows(now, of_disks, of_ops, HashMap::new())
}

fn printed(disks: &mut Disks, form: Form) -> String {
    let now = snapshot_of(&[NVME, SDA, PART, CRYPT, ROOT, LOOP], busy);
    let rows = rows(disks, &now);
    let (mut world, mut out) = (world(form), Vec::new());
    let interval = Interval { end_ns: SECOND, length: Duration::from_secs(1), repeated: false };
    disks.table(&rows, SECOND, interval, &mut world, &mut out);
    String::from_utf8(out).unwrap()
}

const WIDE: Form = Form { json: false, width: Some(80), colour: false, utf8: true };

#[test]
fn a_busy_tree_at_80_columns() {
    let text = printed(&mut disks(None, None), WIDE);
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn idle_disks_and_all_columns_in_ascii() {
    let mut disks = disks(None, None);
    disks.all = true;
    disks.columns = COLUMNS.to_vec();
    let text = printed(&mut disks, Form { width: None, utf8: false, ..WIDE });
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_to_show_is_said() {
    let mut disks = disks(Some(&[SDA]), Some(SDA));
    let rows = disks.collector.rows(&snapshot_of(&[SDA], busy), Vec::new(), Vec::new(), HashMap::new());
    let (mut world, mut out) = (world(WIDE), Vec::new());
    let interval = Interval { end_ns: SECOND, length: Duration::from_secs(1), repeated: false };
    disks.table(&rows, SECOND, interval, &mut world, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "all disks are idle\n");
}

fn json(row: &Row) -> String {
    let (world, mut out) = (world(Form { json: true, ..WIDE }), Vec::new());
    append(&mut out, &line::line(row, "2026-11-20T12:00:01.000000000Z", SECOND, &world)).unwrap();
    parsed(&out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_of_a_disk() {
    let rows = rows(&mut disks(None, None), &snapshot_of(&[NVME], busy));
    insta::assert_snapshot!(json(&rows[0]));
}

#[test]
fn json_of_a_loop_device() {
    let rows = rows(&mut disks(None, None), &snapshot_of(&[LOOP], busy));
    insta::assert_snapshot!(json(&rows[0]));
}

#[test]
fn requests_of_a_partition_come_under_it_when_it_is_asked_for() {
    let mut disks = disks(Some(&[PART, CRYPT, ROOT]), Some(PART));
    let rows = rows(&mut disks, &snapshot_of(&[NVME, SDA, PART, CRYPT, ROOT], busy));
    let with_requests: Vec<u32> = rows.iter().filter(|row| row.all.is_some()).map(|row| row.dev).collect();
    assert_eq!((rows.len(), with_requests), (3, vec![PART]));
}

#[test]
fn a_device_that_was_gone_before_it_was_looked_at_has_the_name_by_which_it_was_counted() {
    const SHORT: u32 = 259 << 20 | 77;
    let mut disks = disks(None, None);
    let rows = disks.collector.rows(&snapshot_of(&[SHORT], busy), Vec::new(), Vec::new(), HashMap::new());
    let row = rows.iter().find(|row| row.dev == SHORT).unwrap();
    let line = parsed(json(row).as_bytes());
    assert_eq!((&line["name"], &line["disk"]), (&format!("d{SHORT}").into(), &serde_json::Value::Null));
    assert_eq!(line["counted"]["reads"]["count"], busy(SHORT).reads.requests);
}

#[test]
fn a_disk_that_is_gone_keeps_its_name_and_what_was_traced_of_it() {
    let mut disks = disks(None, None);
    let rows = rows(&mut disks, &snapshot_of(&[SDA], busy));
    let gone = rows.iter().find(|row| row.dev == NVME).unwrap();
    assert_eq!((gone.device.as_ref().unwrap().name.as_str(), gone.all.as_ref().unwrap().count), ("nvme0n1", 4));
    assert_eq!((rows.len(), parsed(json(gone).as_bytes())["counted"].is_null()), (2, true));
    let cells = disks.cells(gone, "nvme0n1", false, SECOND, &world(WIDE).block);
    assert_eq!((cells[0].as_str(), cells[7].as_str()), ("?", "70.3ms"));
    assert_eq!(disks.collector.rows(&snapshot_of(&[SDA], busy), Vec::new(), Vec::new(), HashMap::new()).len(), 1);
}
