//! Loss is told: events that arrive and events that are lost are all that happened.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// A prime, smaller on a slow machine.
fn flood_count() -> u64 {
    if slowdown() > 1 { 100_003 } else { 1_000_003 }
}

fn flood(scene: &Scene, strict: bool) -> Output {
    let run = Iotrace::new("events").args(["--buffer", "64KiB"]);
    let run = if strict { run.args(["--strict"]) } else { run };
    run.program(scene.command("flood", &["--count", &flood_count().to_string(), "--threads", "2"])).run()
}

#[test]
fn events_that_arrive_and_events_that_are_lost_are_all_that_happened() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    // Only what the flood does: nothing else may be lost or counted.
    let run = Iotrace::new("events").args(["--buffer", "64KiB", "--op", "write", "--comm", "workload"]);
    let options = ["--count", &flood_count().to_string(), "--threads", "2"];
    let run = run.program(scene.command("flood", &options)).run().exited(0);
    let lost = run.summary["lost"].as_u64().unwrap();
    let arrived = run.rows.len() as u64;
    // The flood, and the one write of its log.
    assert_eq!(arrived + lost, flood_count() + 1, "{}", run.summary);
    assert_eq!(run.summary["events"].as_u64().unwrap(), arrived);
}

#[test]
fn top_adds_up_in_the_kernel_and_loses_nothing() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("top").json().args(["--buffer", "64KiB", "-r", "0"]);
    let run = run
        .program(scene.command("flood", &["--count", &flood_count().to_string(), "--threads", "3"]))
        .run()
        .complete();
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn strict_turns_loss_into_exit_code_3() {
    need!(bpf);
    let run = flood(&Scene::new(WORKLOAD), true);
    let lost = run.summary["lost"].as_u64().unwrap();
    assert!(lost > 0, "the flood was not large enough to lose anything: {}", run.summary);
    assert_eq!(run.status.code(), Some(3), "{}", run.stderr);
}

#[test]
fn strict_without_loss_is_success() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("top").json().args(["--strict"]).program(scene.command("threads", &[])).run();
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
}
