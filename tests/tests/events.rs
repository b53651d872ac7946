//! `iotrace events`: every event of a known program, and nothing else of its files.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, log::Kind, need};
use serde_json::Value;
use std::collections::BTreeMap;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn events(scene: &Scene, scenario: &str, options: &[&str]) -> Output {
    let run = Iotrace::new("events").args(["--buffer", "64MiB"]);
    run.program(scene.command(scenario, options)).run().complete()
}

#[test]
fn events_are_equal_to_the_log() {
    need!(bpf, loop_devices);
    let (scene, full) = (Scene::new(WORKLOAD), LoopDisk::new(8));
    let run = events(&scene, "calls", &["--sync", "--full", full.dir().to_str().unwrap()]);
    assert_events(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn a_read_that_a_signal_ends_is_a_failed_read() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = events(&scene, "interrupts", &[]);
    assert_events(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn offsets_are_where_the_bytes_went() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    let script = "dd if=/dev/zero of=$0 bs=7 count=3; dd if=/dev/zero of=$0 bs=7 count=2 oflag=append conv=notrunc
        dd if=/dev/zero of=$0 bs=5 count=2 seek=4 conv=notrunc oflag=dsync; dd if=$0 of=/dev/null bs=11 count=2 skip=1
        echo x | cat";
    let program = ["sh".as_ref(), "-c".as_ref(), script.as_ref(), file.as_os_str()];
    let run = Iotrace::new("events").program(program).run().complete();
    let of_call = |event: &Value| event["type"] != "open" && event["type"] != "block";
    let of_file = |event: &&Value| event["path"] == file.to_str().unwrap() && of_call(event);
    let seen: Vec<(String, u64)> = run
        .rows
        .iter()
        .filter(of_file)
        .map(|event| (event["type"].to_string(), event["offset"].as_u64().unwrap_or(u64::MAX)))
        .collect();
    let expected =
        [("write", 0), ("write", 7), ("write", 14), ("write", 21), ("write", 28), ("write", 20), ("write", 25)];
    let expected = expected.into_iter().chain([("read", 11), ("read", 22)]);
    let expected: Vec<(String, u64)> = expected.map(|(kind, offset)| (format!("{kind:?}"), offset)).collect();
    assert_eq!(seen, expected);
    let pipes: Vec<&Value> =
        run.rows.iter().filter(|event| event["path"].as_str().is_some_and(|path| path.starts_with("pipe:["))).collect();
    assert!(pipes.len() >= 2, "{pipes:?}");
    assert!(pipes.iter().all(|event| event["offset"].is_null()), "a pipe has no position: {pipes:?}");
}

#[test]
fn every_line_fits_the_schema() {
    need!(bpf, loop_devices);
    let schema = Iotrace::new("events").args(["--schema"]).run().exited(0);
    let schema: Value = serde_json::from_str(&schema.stdout).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let disk = LoopDisk::new(64);
    for scenario in ["calls", "paths", "opens", "fsyncs"] {
        let scene = Scene::on(WORKLOAD, disk.dir());
        let scene = if scenario == "paths" { Scene::new(WORKLOAD) } else { scene };
        let run = events(&scene, scenario, &[]);
        for line in run.rows.iter().chain([&run.summary]) {
            let errors: Vec<String> = schema.iter_errors(line).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{line}: {errors:?}");
        }
        std::fs::read_dir(disk.dir()).unwrap().flatten().for_each(|entry| {
            let _ = std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path()));
        });
    }
    assert!(schema.validate(&serde_json::json!({"type": "nonsense"})).is_err(), "the schema refuses something");
}

#[test]
fn type_comes_first_and_times_do_not_run_backwards_within_a_thread() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = events(&scene, "calls", &[]);
    assert!(run.stdout.lines().all(|line| line.starts_with("{\"type\":\"")));
    let mut last = BTreeMap::<u64, u64>::new();
    for event in run.rows.iter().filter(|event| event["type"] != "block") {
        let (tid, now) = (event["tid"].as_u64().unwrap(), event["mono_ns"].as_u64().unwrap());
        let before = last.insert(tid, now).unwrap_or(0);
        assert!(before <= now, "{event}");
    }
}

#[test]
fn summary_counts_the_lines() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = events(&scene, "threads", &[]);
    assert_eq!(run.summary["events"].as_u64().unwrap(), run.rows.len() as u64);
}

#[test]
fn direct_requests_lead_to_the_program() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let run = events(&scene, "block", &["--device", disk.path().to_str().unwrap()]);
    let log = scene.log();
    for (op, kind) in [("read", Kind::Read), ("write", Kind::Write)] {
        let all = run.rows.iter().filter(|event| event["type"] == "block" && event["op"] == op);
        let own: Vec<_> =
            all.filter(|event| event["disk"] == disk.name() && event["bytes"].as_u64() > Some(0)).collect();
        assert_eq!(own.len() as u64, log.count(|op| op.kind == kind), "{op}");
        for event in own {
            assert_eq!(event["pid"], log.end.end, "{event}");
            let [queue, device, whole] =
                ["queue_ns", "device_ns", "latency_ns"].map(|name| event[name].as_u64().unwrap());
            assert_eq!(queue + device, whole, "{event}");
        }
    }
}
