//! Linux AIO: each request that `io_submit` takes is one read, write or sync of the thread that submitted it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn top(scene: &Scene, args: &[&str]) -> Output {
    let top = Iotrace::new("top").json().args(["-a", "-r", "0"]).args(args);
    top.program(scene.command("aio", &[])).run().complete()
}

#[test]
fn every_row_is_equal_to_the_programs_own_log() {
    need!(bpf, aio);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, &[]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn every_row_is_equal_to_the_log_on_a_disk() {
    need!(bpf, aio, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = top(&scene, &["--by", "thread"]);
    let truth = truth_by(&scene.log(), |op| Some(format!("{} {} {}", op.tid, op.comm, process_and_path(op))));
    let key = |row: &Value| {
        Some(format!("{} {} {}", row["tid"], row["comm"].as_str().unwrap(), process_and_path_of_row(row)))
    };
    assert_same(&rows_by(&run.rows, &scene, &truth, key), &truth);
}

#[test]
fn each_request_that_was_taken_is_one_event() {
    need!(bpf, aio, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = Iotrace::new("events").args(["--buffer", "64MiB"]).program(scene.command("aio", &[])).run().complete();
    let log = scene.log();
    assert_events(&scene, &log, &run.rows, |_| true);
    let taken: Vec<Value> = run.rows.iter().filter(|event| event["call"] == "io_submit").cloned().collect();
    assert_events_at(&scene, &log, &taken, |op| op.call == "io_submit");
    for event in taken {
        assert!(event["latency_ns"].as_u64().unwrap() > 0, "{event}");
    }
}
