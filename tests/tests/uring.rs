//! io_uring: each request is one read, write or sync of the thread that submitted it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, log::Op, need};
use serde_json::Value;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn top(scene: &Scene, scenario: &str, args: &[&str]) -> Output {
    let top = Iotrace::new("top").json().args(["-a", "-r", "0"]).args(args);
    top.program(scene.command(scenario, &[])).run().complete()
}

fn events(scene: &Scene, scenario: &str) -> Output {
    let run = Iotrace::new("events").args(["--buffer", "64MiB"]);
    run.program(scene.command(scenario, &[])).run().complete()
}

/// Of the other operations of the workload the log has no offsets.
fn by_ring(op: &Op) -> bool {
    op.call == "io_uring"
}

fn only_rings(run: &Output) -> Vec<Value> {
    run.rows.iter().filter(|event| event["call"] == "io_uring").cloned().collect()
}

#[track_caller]
fn assert_rows_by_thread(scene: &Scene, rows: &[Value]) {
    let truth = truth_by(&scene.log(), |op| Some(format!("{} {} {}", op.tid, op.comm, process_and_path(op))));
    let key = |row: &Value| {
        Some(format!("{} {} {}", row["tid"], row["comm"].as_str().unwrap(), process_and_path_of_row(row)))
    };
    assert_same(&rows_by(rows, scene, &truth, key), &truth);
}

#[test]
fn every_row_is_equal_to_the_programs_own_log() {
    need!(bpf, io_uring);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "uring", &[]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn every_row_is_equal_to_the_log_on_a_disk() {
    need!(bpf, io_uring, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = top(&scene, "uring", &[]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn requests_of_threads_that_share_a_ring_are_told_apart() {
    need!(bpf, io_uring);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "uring", &["--by", "thread"]);
    assert_rows_by_thread(&scene, &run.rows);
}

#[test]
fn each_request_is_one_event() {
    need!(bpf, io_uring, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = events(&scene, "uring");
    assert_events(&scene, &scene.log(), &run.rows, |_| true);
    let rings = only_rings(&run);
    if io_uring_begins_at_the_position() {
        assert_events_at(&scene, &scene.log(), &rings, by_ring);
    }
    for event in rings {
        assert!(event["latency_ns"].as_u64().unwrap() > 0, "{event}");
    }
}

#[test]
fn a_ring_that_the_kernel_polls_is_charged_to_the_thread_that_made_it() {
    need!(bpf, io_uring);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "uring-polled", &["--by", "thread"]);
    assert_rows_by_thread(&scene, &run.rows);
    let scene = Scene::new(WORKLOAD);
    let run = events(&scene, "uring-polled");
    assert_events_at(&scene, &scene.log(), &only_rings(&run), by_ring);
}

#[test]
fn what_a_broken_chain_cancels_has_failed() {
    need!(bpf, io_uring);
    let scene = Scene::new(WORKLOAD);
    let run = events(&scene, "uring-broken-links");
    // The kernel has not looked for the file of a request that it cancels: whether that has a path is left open.
    let mut log = scene.log();
    for op in log.ops.iter_mut().filter(|op| op.ret == -i64::from(libc::ECANCELED)) {
        (op.path, op.path_bytes) = (None, None);
    }
    let mut rings = only_rings(&run);
    for event in rings.iter_mut().filter(|event| event["errno"] == "ECANCELED") {
        event["path"] = Value::Null;
    }
    assert_events_at(&scene, &log, &rings, by_ring);
}
