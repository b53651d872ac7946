//! biolatency and biosnoop of libbpf-tools: tracepoints of block requests, on a disk that nobody else uses.

use super::{WORKLOAD, beside, tally};
use iotrace_tests::{harness::*, need};
use serde_json::Value;
use std::process::Command;

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"))
}

#[test]
fn histograms_hold_the_requests_of_the_disks_statistics() {
    need!(peers, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let iotrace = Iotrace::new("latency").json().args(["--disk", disk.name()]);
    let before = BlockStat::of(disk.name());
    let device = disk.path();
    let scenario = ("block", &["--device", device.to_str().unwrap()][..]);
    let (run, output, _) = beside(("biolatency", &["-d", disk.name(), "3600"]), iotrace, &scene, scenario);
    let grown = BlockStat::of(disk.name()) - before;
    // The statistics count a request that only flushes as a write. What the device gets for it is a flush.
    let requests = grown.reads + grown.writes + grown.discards;
    let iotrace: u64 = run.rows.iter().map(|row| number(row, "count")).sum();
    assert!(grown.reads == 11 && grown.flushes == 4, "{grown:?}");
    assert_eq!((histogram_sum(&output), iotrace), (requests, requests));
}

/// The first letter of what biosnoop shows, and what iotrace calls it.
const OPERATIONS: [(char, &str); 5] =
    [('R', "read"), ('W', "write"), ('D', "discard"), ('F', "flush"), ('N', "write_zeroes")];

#[test]
fn requests_agree_in_operation_sector_bytes_and_process() {
    need!(peers, loop_devices);
    share_one_processor();
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let peer = Peer::start("biosnoop", &["-d", disk.name()]);
    // Of the whole host: flushes are requests of the kernel's own threads.
    let mut iotrace = Iotrace::new("events").args(["--op", "block", "--disk", disk.name()]).start();
    iotrace.wait_tracing();
    let before = BlockStat::of(disk.name());
    let words = scene.command("block", &["--device", disk.path().to_str().unwrap()]);
    assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success());
    let grown = BlockStat::of(disk.name()) - before;
    let run = iotrace.interrupt().complete();
    let requests = Requested::all(&peer.interrupt().0);

    // A flush has no sector and no process: biosnoop prints 18446744073709551615 and 0.
    let key = |operation: &str, sector: Option<u64>, bytes: u64, pid: Option<u64>| match operation {
        "flush" => (format!("flush {bytes} bytes"), 1),
        _ => (format!("{operation} at {sector:?} {bytes} bytes by {pid:?}"), 1),
    };
    let operation = |kind: &str| OPERATIONS.iter().find(|(letter, _)| kind.starts_with(*letter)).expect("known").1;
    let seen = requests.iter().map(|row| key(operation(&row.kind), Some(row.sector), row.bytes, Some(row.pid.into())));
    let ours = run.rows.iter().map(|row| {
        key(row["op"].as_str().unwrap(), row["sector"].as_u64(), number(row, "bytes"), row["issuer"]["pid"].as_u64())
    });
    assert_same(&tally(seen), &tally(ours));
    for flush in requests.iter().filter(|row| row.kind.starts_with('F')) {
        assert_eq!((flush.sector, flush.pid), (u64::MAX, 0));
    }
    for flush in run.rows.iter().filter(|row| row["op"] == "flush") {
        assert!(flush["sector"].is_null() && number(&flush["issuer"], "pid") > 0, "{flush}");
    }

    // The truth: what the disk's statistics grew by, and the workload's process.
    let sums = |operations: &[&str]| {
        let rows = run.rows.iter().filter(|row| operations.contains(&row["op"].as_str().unwrap()));
        rows.fold((0, 0), |sum, row| (sum.0 + 1, sum.1 + number(row, "bytes") / 512))
    };
    assert_eq!(sums(&["read"]), (grown.reads, grown.read_sectors));
    assert_eq!(sums(&["discard"]), (grown.discards, grown.discard_sectors));
    assert_eq!(sums(&["write", "write_zeroes", "flush"]), (grown.writes, grown.write_sectors));
    assert_eq!(sums(&["flush"]), (grown.flushes, 0));
    let pid = scene.log().end.end;
    assert!(requests.iter().all(|row| row.pid == pid || row.kind.starts_with('F')));
}
