//! A disk that has too much to do.

use super::*;
use crate::{
    output::json::Distribution,
    resolve::Device,
    view::{
        block::{self, Totals},
        disk::{self, Cause, Counted, Sum},
        latency::{self, Part},
    },
};
use iotrace_common::latency::HistogramKey;

/// Requests of an operation.
#[derive(Clone, Copy)]
struct Of {
    count: u64,
    size: u64,
    queue_ns: u64,
    device_ns: u64,
}

const NONE: Of = Of { count: 0, size: 0, queue_ns: 0, device_ns: 0 };

fn requests(of: Of) -> latency::Row {
    let part = |ns: u64| Part {
        distribution: Distribution { sum_ns: ns * of.count, ..Distribution::default() },
        buckets: Vec::new(),
    };
    latency::Row {
        key: HistogramKey { disk: 1, cmd_flags: 0 },
        count: of.count,
        bytes: of.size * of.count,
        errors: 0,
        total: part(of.queue_ns + of.device_ns),
        queue: part(of.queue_ns),
        device: part(of.device_ns),
    }
}

/// A disk in ten seconds, busy for so many tenths of it.
fn disk(tenths: u64, in_flight: u64, reads: Of, writes: Of, flushes: Of) -> DiskUse {
    let sum = |of: Of| Sum { requests: of.count, bytes: of.count * of.size, ..Sum::default() };
    let counted = Counted {
        reads: sum(reads),
        writes: sum(writes),
        flushes: sum(flushes),
        busy_ns: Some(tenths * SECOND),
        queued_ns: in_flight * 10 * SECOND,
        ..Counted::default()
    };
    let all = [reads, writes, flushes].into_iter().map(requests).reduce(|mut a, b| {
        a.count += b.count;
        a.bytes += b.bytes;
        for (a, b) in [(&mut a.total, &b.total), (&mut a.queue, &b.queue), (&mut a.device, &b.device)] {
            a.distribution.sum_ns += b.distribution.sum_ns;
        }
        a
    });
    let device = Device { name: "vda".into(), disk: "vda".into(), kind: "disk".into(), on: None, backing: None };
    let totals = Totals {
        reads: reads.count,
        writes: writes.count,
        flushes: flushes.count,
        read_bytes: reads.count * reads.size,
        write_bytes: writes.count * writes.size,
        device_ns: SECOND,
        ..Totals::default()
    };
    let cause =
        block::Row { disk: Some(1), pid: Some(4711), path: Some(b"/data".to_vec()), totals, ..block::Row::default() };
    let mut row = disk::Row::new(1, Some(counted));
    row.device = Some(device.into());
    row.all = all;
    row.causes = vec![Cause { row: cause, share: 0.74 }];
    let subject = super::row("/data", Counters::default());
    let some = |of: Of| (of.count > 0).then(|| requests(of));
    DiskUse {
        row,
        interval_ns: 10 * SECOND,
        reads: some(reads),
        writes: some(writes),
        flushes: some(flushes),
        causes: vec![subject],
        hanging: None,
    }
}

fn found(disk: DiskUse) -> Vec<Finding> {
    let mut found = all(&Facts { disks: vec![disk], ..facts(Vec::new()) });
    found.retain(|found| !found.is_nothing());
    found
}

const MS: u64 = 1_000_000;

#[test]
fn too_much_is_sent() {
    let writes = Of { count: 4001, size: 1 << 20, queue_ns: 293 * MS, device_ns: 2 * MS };
    let found = found(disk(10, 31, NONE, writes, NONE));
    assert_eq!((found[0].rule, found[0].severity), ("disk-saturated", Severity::Critical));
    assert_eq!(found[0].headline, "vda is saturated: app (4711) writes too much, /data");
    assert_eq!(
        found[0].evidence,
        [
            "vda: busy 100 % of the time, 31.0 requests in flight; 0 reads, 400 writes and 0 flushes a second, 400MiB/s",
            "a request waits 293ms and takes the disk 2ms: more is sent than it can take",
            "74 % of the disk's time for app (4711), 1MiB a request",
        ]
    );
}

#[test]
fn a_slow_disk_and_one_that_flushes() {
    let reads = Of { count: 401, size: 4096, queue_ns: MS, device_ns: 24 * MS };
    let slow = found(disk(10, 1, reads, NONE, NONE));
    assert_eq!(slow[0].severity, Severity::Warning);
    assert!(slow[0].evidence[1].ends_with("the disk is slow"), "{:?}", slow[0].evidence);
    assert!(slow[0].headline.contains("reads in too many small requests"), "{}", slow[0].headline);
    let writes = Of { count: 907, size: 4096, queue_ns: 0, device_ns: MS };
    let flushes = Of { count: 907, size: 0, queue_ns: 0, device_ns: 9 * MS };
    let flushed = found(disk(10, 1, NONE, writes, flushes));
    assert!(flushed[0].headline.contains("flushes its cache"), "{}", flushed[0].headline);
}

#[test]
fn a_disk_that_could_do_more_is_not_saturated() {
    let writes = Of { count: 4001, size: 4096, queue_ns: MS / 100, device_ns: MS };
    assert_eq!(found(disk(10, 1, NONE, writes, NONE)).len(), 0, "one after the other");
    assert_eq!(found(disk(7, 31, NONE, writes, NONE)).len(), 0, "idle for a third of the time");
    assert_eq!(found(disk(10, 2, NONE, writes, NONE)).len(), 1);
}

#[test]
fn what_saturates_it_is_named_once_by_the_better_rule() {
    let agent = Counters { writes: 101, write_bytes: 101, syncs: 101, sync_ns: SECOND, ..Counters::default() };
    let writes = Of { count: 4001, size: 4096, queue_ns: 293 * MS, device_ns: 2 * MS };
    let disks = vec![disk(10, 31, NONE, writes, NONE)];
    let found = all(&Facts { disks, ..facts(vec![super::row("/data", agent)]) });
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].rule, found[0].severity), ("sync-per-write", Severity::Critical));
    assert!(found[0].evidence.iter().any(|line| line.starts_with("vda: busy 100 %")), "{:?}", found[0].evidence);
    assert_eq!(found[0].proof.len(), 3, "of top, disk and block");
}

#[test]
fn a_disk_below_a_loop_device_is_not_named_beside_it() {
    let writes = Of { count: 4001, size: 1 << 20, queue_ns: 293 * MS, device_ns: 2 * MS };
    let mut above = disk(10, 31, NONE, writes, NONE);
    let device = Device {
        name: "loop0".into(),
        disk: "loop0".into(),
        kind: "loop".into(),
        on: None,
        backing: Some(b"/disk".to_vec()),
    };
    above.row.device = Some(device.into());
    let mut below = disk(10, 31, NONE, writes, NONE);
    below.row.causes[0].row.path = Some(b"/disk".to_vec());
    let found = all(&Facts { disks: vec![below.clone(), above], ..facts(Vec::new()) });
    assert_eq!(found.len(), 1);
    assert!(found[0].headline.starts_with("loop0 is saturated"), "{}", found[0].headline);
    assert_eq!(all(&Facts { disks: vec![below], ..facts(Vec::new()) })[0].rule, "disk-saturated");
}

#[test]
fn a_disk_that_hangs_is_not_saturated() {
    let writes = Of { count: 907, size: 4096, queue_ns: MS, device_ns: 9 * MS };
    let hanging = |oldest, silence| Hanging { requests: 3, oldest, by: (55, Comm(*b"kworker/0:1\0\0\0\0\0")), silence };
    let of = |oldest, silence: Option<u64>| {
        let disk = disk(10, 3, NONE, writes, NONE);
        let silence = silence.map(Duration::from_secs);
        found(DiskUse { hanging: Some(hanging(Duration::from_millis(oldest), silence)), ..disk })
    };
    let silent = of(7300, Some(8));
    assert_eq!((silent.len(), silent[0].rule, silent[0].severity), (1, "disk-hangs", Severity::Critical));
    assert_eq!(silent[0].headline, "vda hangs: 3 requests have not ended, the oldest for 7.3s");
    assert_eq!(silent[0].evidence, ["no request to it has ended for 8s", "the oldest request is of kworker/0:1 (55)"]);
    let others_end = of(7300, Some(2));
    assert_eq!((others_end[0].rule, others_end[0].severity), ("disk-hangs", Severity::Warning));
    assert_eq!(others_end[0].evidence[0], "others end meanwhile, the last one 2s ago");
    assert_eq!(of(9000, None)[0].evidence[0], "no request to it has ended in 10s");
    assert_eq!(of(1900, Some(1))[0].rule, "disk-saturated", "a long queue");
}
