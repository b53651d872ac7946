//! `fallocate` and `truncate`: counted apart from reads and writes.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Op},
    need,
};
use serde_json::Value;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn is_change(op: &Op) -> bool {
    matches!(op.kind, Kind::Fallocate | Kind::Truncate)
}

fn command(scene: &Scene, full: &LoopDisk) -> Vec<std::ffi::OsString> {
    scene.command("changes", &["--full", full.dir().to_str().unwrap()])
}

#[test]
fn every_row_is_equal_to_the_programs_own_log() {
    need!(bpf, loop_devices);
    let (scene, full) = (Scene::new(WORKLOAD), LoopDisk::new(8));
    let run = Iotrace::new("top").json().args(["-a", "-r", "0"]).program(command(&scene, &full)).run().complete();
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
    for row in &run.rows {
        assert!(row["allocates"].is_u64() && row["truncates"].is_u64(), "{row}");
    }
}

#[test]
fn each_call_is_one_event() {
    need!(bpf, loop_devices);
    let (scene, full) = (Scene::new(WORKLOAD), LoopDisk::new(8));
    let run = Iotrace::new("events").program(command(&scene, &full)).run().complete();
    let log = scene.log();
    assert_events(&scene, &log, &run.rows, |_| true);
    let is_event_of_change = |event: &&Value| event["type"] == "fallocate" || event["type"] == "truncate";
    let changes: Vec<Value> = run.rows.iter().filter(is_event_of_change).cloned().collect();
    assert_events_at(&scene, &log, &changes, is_change);
    for event in &changes {
        assert!(event["latency_ns"].as_u64().unwrap() > 0, "{event}");
    }
}

#[test]
fn a_file_that_was_only_cut_has_a_row() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "0123456789").unwrap();
    let script = "truncate -s 7 \"$0\"; truncate -s 3 \"$0\""; // it opens the file and calls ftruncate
    let program = ["sh".as_ref(), "-c".as_ref(), script.as_ref(), file.as_os_str()];
    let run = Iotrace::new("top").json().args(["--by", "file"]).program(program).run().complete();
    let row = run.rows.iter().find(|row| row["path"] == file.to_str().unwrap()).expect("a row of the file");
    let counts = Counts { truncates: 2, ..Counts::default() };
    assert_eq!(Counts::of_row(row), counts, "{row}");
}
