//! The truth itself: the workload's log against the kernel's own accounting, without iotrace.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, log::Kind, need};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

#[track_caller]
fn run(scene: &Scene, scenario: &str, options: &[&str]) {
    let status = scene.alone(scenario, options).status().unwrap();
    assert!(status.success(), "{status}");
    let log = scene.log();
    assert_eq!(log.account(), log.end.io, "{scenario}: the log and /proc/self/io disagree");
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
fn what_other_roads_leave_in_that_accounting_is_as_logged() {
    need!(io_uring, aio, loop_devices);
    let disk = LoopDisk::new(64);
    // Not "overlay": there the kernel accounts a copy_file_range twice, once above and once below.
    for scenario in ["uring", "uring-polled", "uring-broken-links", "aio", "changes", "copies"] {
        let place = tempfile::tempdir_in(disk.dir()).unwrap();
        run(&Scene::on(WORKLOAD, place.path()), scenario, &[]);
    }
}

#[test]
fn faults_of_mapped_files_are_what_the_kernel_charges() {
    need!(loop_devices);
    let disk = LoopDisk::new(256);
    for scenario in ["mmap", "mmap-inside-calls"] {
        let place = tempfile::tempdir_in(disk.dir()).unwrap();
        let scene = Scene::on(WORKLOAD, place.path());
        assert!(scene.alone(scenario, &[]).status().unwrap().success()); // it compares that itself
        let log = scene.log();
        for kind in [Kind::MmapRead, Kind::MmapWrite] {
            assert!(log.count(|op| op.kind == kind) > 0, "{scenario}: {kind:?}");
        }
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
