//! The truth itself: the workload's log against the kernel's own accounting, without iotrace.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, log::Kind, need};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

#[track_caller]
fn run(scene: &Scene, scenario: &str, options: &[&str]) {
    let status = scene.alone(scenario, options).status().unwrap();
    assert!(status.success(), "{status}");
    let log = scene.log();
    assert_eq!(log.account(), log.end.io, "the log and /proc/self/io disagree");
}

#[test]
fn every_call_is_in_the_kernels_accounting_as_logged() {
    need!(loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::new(8));
    run(&scene, "calls", &["--full", disk.dir().to_str().unwrap()]);
    let log = scene.log();
    let (pids, tids): (Vec<_>, Vec<_>) = log.ops.iter().map(|op| (op.pid, op.tid)).unzip();
    let distinct = |mut all: Vec<u32>| {
        all.sort_unstable();
        all.dedup();
        all.len()
    };
    assert!(distinct(pids) >= 30 && distinct(tids) >= 30, "children and threads");
    assert!(log.count(|op| op.ret == -i64::from(libc::ENOSPC)) >= 13, "the file system was full");
}

#[test]
fn paths_are_what_proc_shows() {
    need!(root);
    run(&Scene::new(WORKLOAD), "paths", &["--check"]);
}

#[test]
fn other_scenarios_agree_with_the_kernel() {
    need!(root);
    for scenario in ["threads", "flood", "opens", "fsyncs", "interrupts"] {
        run(&Scene::new(WORKLOAD), scenario, &["--count", "997", "--threads", "3"]);
    }
}

#[test]
fn direct_requests_are_in_the_disks_statistics() {
    need!(loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let before = BlockStat::of(disk.name());
    let status = scene.alone("block", &["--device", disk.path().to_str().unwrap()]).status().unwrap();
    assert!(status.success());
    let (log, grown) = (scene.log(), BlockStat::of(disk.name()) - before);
    let bytes = |kind| log.ops.iter().filter(|op| op.kind == kind).map(|op| op.bytes() * op.count).sum::<u64>();
    assert_eq!(grown.reads, log.count(|op| op.kind == Kind::Read));
    assert_eq!(grown.read_sectors * 512, bytes(Kind::Read));
    assert!(grown.write_sectors * 512 >= bytes(Kind::Write), "{grown:?}");
    println!("{grown:?}");
}
