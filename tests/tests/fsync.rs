//! `iotrace fsync`: the ledger of syncs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Op},
    need,
};
use serde_json::Value;
use std::collections::BTreeMap;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

type Ledger = BTreeMap<String, (u64, u64, u64, u64, u64)>;

/// Syncs, sync writes, writes, bytes written, errors: of files that synced.
fn truth(scene: &Scene) -> Ledger {
    let sums = truth_by(&scene.log(), |op| Some(process_and_path(op)));
    let synced = sums.into_iter().filter(|(_, row)| row.syncs + row.sync_writes > 0);
    synced.map(|(key, row)| (key, (row.syncs, row.sync_writes, row.writes, row.write_bytes, row.errors))).collect()
}

fn ledger(rows: &[Value], scene: &Scene, truth: &Ledger) -> Ledger {
    let ours = |row: &&Value| {
        truth.contains_key(&process_and_path_of_row(row)) || path_of(row).is_some_and(|path| scene.holds(&path))
    };
    rows.iter().filter(ours).map(|row| (process_and_path_of_row(row), counts(row))).collect()
}

fn counts(row: &Value) -> (u64, u64, u64, u64, u64) {
    let field = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"));
    let [syncs, sync_writes, writes, bytes, errors] =
        ["syncs", "sync_writes", "writes", "write_bytes", "errors"].map(field);
    (syncs, sync_writes, writes, bytes, errors)
}

#[test]
fn a_sync_of_a_closed_descriptor_is_no_sync_of_everything() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("fsync").program(scene.command("calls", &["--sync"])).run().exited(0);
    let log = scene.log();
    let everything: u64 = log.ops.iter().filter(|op| op.call == "sync").map(|op| op.count).sum();
    let syncs: u64 = run
        .stdout
        .lines()
        .filter(|line| line.ends_with("(all file systems)"))
        .map(|line| line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(syncs, everything, "{}", run.stdout);
    assert!(everything > 0);
}

#[test]
fn every_row_is_equal_to_the_log_and_files_that_never_synced_have_none() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("fsync").json().program(scene.command("fsyncs", &["--sync"])).run().complete();
    let truth = truth(&scene);
    assert_same(&ledger(&run.rows, &scene, &truth), &truth);
}

#[test]
fn rows_of_processes_are_the_sums_of_the_files_that_they_synced() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("fsync").json().args(["--by", "process"]);
    let run = run.program(scene.command("fsyncs", &["--sync"])).run().complete();
    let mut truth = Ledger::new();
    for (key, row) in self::truth(&scene) {
        let sum = truth.entry(key.split(' ').next().unwrap().to_owned()).or_default();
        *sum = (sum.0 + row.0, sum.1 + row.1, sum.2 + row.2, sum.3 + row.3, sum.4 + row.4);
    }
    let seen: Ledger = run.rows.iter().map(|row| (row["pid"].to_string(), counts(row))).collect();
    assert_same(&seen, &truth);
    assert!(run.rows.iter().all(|row| row["path"].is_null() && row["p99_ns"].is_u64()), "{:?}", run.rows);
}

#[test]
fn ratios_and_times_fit_the_counts() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("fsync").json().program(scene.command("fsyncs", &[])).run().complete();
    for row in run.rows.iter().filter(|row| path_of(row).is_some_and(|path| scene.holds(&path))) {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"));
        let close = |a: f64, b: f64| (a - b).abs() <= 0.051 + b.abs() * 0.001;
        if number("syncs") > 0.0 && number("sync_writes") == 0.0 {
            assert!(close(number("bytes_per_sync"), number("write_bytes") / number("syncs")), "{row}");
            assert!(close(number("writes_per_sync"), number("writes") / number("syncs")), "{row}");
        }
        assert!(number("total_ns") > 0.0 && number("max_ns") <= number("total_ns"), "{row}");
        assert!(number("p50_ns") <= number("p99_ns") && number("p99_ns") <= number("max_ns") * 1.02, "{row}");
        assert!(number("avg_ns") <= number("max_ns"), "{row}");
    }
}

#[test]
fn each_line_with_an_fsync_shows_as_such() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("fsync").program(scene.command("fsyncs", &[])).run().exited(0);
    let header: Vec<&str> = run.stdout.lines().find(|line| line.contains("PATH")).unwrap().split_whitespace().collect();
    assert_eq!(header, ["PID", "COMM", "SYNCS", "WRITES", "B/SYNC", "AVG", "P99", "MAX", "%WALL", "PATH"]);
    let path = scene.dir().join("each line");
    let row = run.stdout.lines().find(|line| line.ends_with(path.to_str().unwrap())).expect("the file's row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[2], cells[3]), ("13", "13"), "{row}");
    assert!(cells[4].starts_with("58"), "{row}");
}

#[test]
fn trace_tells_each_sync_once_with_its_latency() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run =
        Iotrace::new("fsync").json().args(["--trace"]).program(scene.command("fsyncs", &["--sync"])).run().complete();
    let mut truth = BTreeMap::<String, u64>::new();
    let is_sync = |op: &&Op| op.kind == Kind::Fsync;
    for op in scene.log().ops.iter().filter(is_sync) {
        *truth.entry(format!("{} {}", op.call, process_and_path(op))).or_default() += op.count;
    }
    let mut seen = BTreeMap::<String, u64>::new();
    for event in run.rows.iter().filter(|event| event["type"] == "fsync" && event["call"].is_string()) {
        assert!(event["latency_ns"].as_u64().unwrap() > 0, "{event}");
        let key = format!("{} {}", event["call"].as_str().unwrap(), process_and_path_of_row(event));
        if truth.contains_key(&key) || path_of(event).is_some_and(|path| scene.holds(&path)) {
            *seen.entry(key).or_default() += 1;
        }
    }
    assert_same(&seen, &truth);
}
