//! Full paths, by every road and under every name.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn paths(scene: &Scene) -> Output {
    let run = Iotrace::new("top").json().args(["-a", "-r", "0"]);
    run.program(scene.command("paths", &[])).run().complete()
}

/// Of more levels than a walk may take: cut or whole.
const MANY_LEVELS: &str = "below a hundred";

fn ends_with(row: &Value, name: &str) -> bool {
    row["path"].as_str().is_some_and(|path| path.ends_with(name))
}

#[test]
fn every_path_is_the_one_that_was_opened() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let mut run = paths(&scene);
    run.rows.retain(|row| !ends_with(row, MANY_LEVELS));
    assert_rows(&scene, &scene.log(), &run.rows, |op| !op.cut);
}

#[test]
fn a_path_too_long_is_cut_at_its_front_and_told() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = paths(&scene);
    let log = scene.log();
    for name in ["end of a long path", MANY_LEVELS] {
        let truth = truth_by(&log, |op| op.path.as_ref()?.ends_with(name).then(|| op.pid.to_string()));
        let key = |row: &&Value| ends_with(row, name).then(|| row["pid"].to_string());
        assert_same(&by(&run.rows, key, |row| Counts::of_row(row)), &truth);
    }
    let longest = run.rows.iter().filter_map(|row| row["path"].as_str()).map(str::len).max().unwrap();
    assert!(longest <= 4_096 + 16, "{longest} bytes are more than the limit and its mark");
    assert!(run.summary["paths_cut"].as_u64().unwrap() >= 1, "{}", run.summary);
}

#[test]
fn names_cannot_break_the_table() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("top").args(["-a", "-r", "0"]).program(scene.command("paths", &[])).run().exited(0);
    let control = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!run.stdout.contains(control), "control characters in the table: {:?}", run.stdout);
    let lines = run.stdout.lines().filter(|line| line.contains(scene.dir().to_str().unwrap())).count();
    let paths = scene.log();
    let mut rows: Vec<_> =
        paths.ops.iter().filter(|op| op.requested.is_some() && !op.cut).map(process_and_path).collect();
    rows.sort();
    rows.dedup();
    let inside = rows.iter().filter(|row| row.contains(scene.dir().to_str().unwrap())).count();
    assert_eq!(lines, inside, "one line per row");
}

#[test]
fn exact_bytes_stand_beside_a_path_that_is_not_utf8() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = paths(&scene);
    for row in &run.rows {
        let replaced = row["path"].as_str().is_some_and(|path| path.contains('\u{fffd}'));
        assert_eq!(row["path_bytes"].is_string(), replaced, "{row}");
    }
}
