//! `iotrace life`: each file that came or went, with its bytes and its lifetime, and many as one row.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Life, Log},
    need,
    workload::lives::{MANY, MANY_BYTES, MANY_DIR},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, os::unix::ffi::OsStrExt};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// A scene with the files that the scenario `lives` finds there.
fn scene() -> Scene {
    let scene = Scene::new(WORKLOAD);
    for name in ["older", "older read"] {
        fs::write(scene.dir().join(name), [b'o'; 101]).unwrap();
    }
    scene
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Lives by what tells them apart, in the order of their ends.
type Lives<T> = BTreeMap<String, Vec<T>>;

fn truth(log: &Log) -> Lives<Option<(u64, u64)>> {
    let mut lives = Lives::new();
    for op in log.ops.iter().filter(|op| op.kind == Kind::Life) {
        let Life { created, how, matched_by, read, written, known, opens, renames, ns } = op.life.clone().unwrap();
        let bytes = known.then_some((read, written));
        let path = path_text(op.path_key().as_deref());
        let key = format!("{path} {created} {how:?} {matched_by:?} {bytes:?} opens {opens} renames {renames}");
        lives.entry(key).or_default().push(ns);
    }
    lives
}

fn seen(scene: &Scene, rows: &[Value]) -> Lives<Option<u64>> {
    let mut lives = Lives::new();
    let ends = rows.iter().filter(|row| row["type"] == "life_end");
    for row in ends.filter(|row| path_of(row).is_some_and(|path| scene.holds(&path))) {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let bytes = row["read_bytes"].as_u64().zip(row["write_bytes"].as_u64());
        let path = path_text(path_of(row).as_deref());
        let key = format!(
            "{path} {} {:?} {:?} {bytes:?} opens {} renames {}",
            row["created"],
            text("how"),
            text("matched_by"),
            row["opens"],
            row["renames"]
        );
        lives.entry(key).or_default().push(row["life_ns"].as_u64());
    }
    lives
}

fn traced(scene: &Scene) -> Output {
    Iotrace::new("life").args(["--trace", "--json"]).program(scene.command("lives", &[])).run().complete()
}

#[test]
fn each_file_that_goes_is_told_with_its_bytes_and_its_life() {
    need!(bpf);
    let scene = scene();
    let run = traced(&scene);
    let (truth, seen) = (truth(&scene.log()), seen(&scene, &run.rows));
    let count = |lives: &BTreeMap<String, usize>| lives.values().sum::<usize>();
    let counts: BTreeMap<String, usize> = truth.iter().map(|(key, lives)| (key.clone(), lives.len())).collect();
    assert_same(&seen.iter().map(|(key, lives)| (key.clone(), lives.len())).collect(), &counts);
    assert!(count(&counts) >= 20, "{counts:?}");
    for (key, bounds) in &truth {
        for (bounds, life) in bounds.iter().zip(&seen[key]) {
            assert_eq!(bounds.is_some(), life.is_some(), "{key}");
            if let (Some((least, most)), Some(life)) = (bounds, life) {
                assert!((least..=most).contains(&life), "{key}: {life} is not in {least}..{most}");
            }
        }
    }
}

#[test]
fn a_file_is_told_with_the_name_under_which_it_was_made() {
    need!(bpf);
    let scene = scene();
    let run = traced(&scene);
    let conf = scene.dir().join("conf");
    let made_as: Vec<&Value> =
        run.rows.iter().filter(|row| row["path"] == conf.to_str().unwrap()).map(|row| &row["created_as"]).collect();
    assert_eq!(made_as, vec![&json!(scene.dir().join("conf.tmp").to_str().unwrap()); 5]);
}

#[test]
fn calls_on_names_are_events() {
    need!(bpf);
    let scene = scene();
    let run = Iotrace::new("events")
        .args(["--op", "unlink,rename,link"])
        .program(scene.command("lives", &[]))
        .run()
        .complete();
    let is_naming = |kind: Kind| matches!(kind, Kind::Unlink | Kind::Rename | Kind::Link);
    let mut truth = BTreeMap::<String, u64>::new();
    for op in scene.log().ops.iter().filter(|op| is_naming(op.kind)) {
        let path = path_text(op.path_key().as_deref());
        let key = format!("{} {} {} {path} {:?} {:?}", op.tid, op.kind.name(), op.call, op.new_path, op.errno_name());
        *truth.entry(key).or_default() += op.count;
    }
    let mut seen = BTreeMap::<String, u64>::new();
    let is_own = |path: &[u8]| {
        scene.holds(path) || path == scene.dir().as_os_str().as_bytes() || path.starts_with(b"/proc/self/fd")
    };
    for row in run.rows.iter().filter(|row| path_of(row).is_some_and(|path| is_own(&path))) {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let (path, new) = (path_text(path_of(row).as_deref()), row["new_path"].as_str().map(str::to_owned));
        let key =
            format!("{} {} {} {path} {new:?} {:?}", row["tid"], text("type"), text("call"), errno_name(&row["errno"]));
        *seen.entry(key).or_default() += 1;
    }
    assert_same(&seen, &truth);
}

/// The row of the many files.
fn of_many(options: &[&str]) -> Vec<Value> {
    let scene = Scene::new(WORKLOAD);
    let glob = scene.glob();
    let run = Iotrace::new("life").json().args(["--path", &glob]).args(options.iter().copied());
    run.program(scene.command("lives-of-many", &[])).run().complete().rows
}

#[test]
fn many_files_of_a_thread_are_one_row() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("life").json().program(scene.command("lives-of-many", &[])).run().complete();
    let log = scene.log();
    let rows: Vec<&Value> = run.rows.iter().filter(|row| path_of(row).is_some_and(|path| scene.holds(&path))).collect();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let row = rows[0];
    let pattern = scene.dir().join("<uuid>/<n>.txt");
    assert_eq!((&row["path"], &row["pattern"]), (&json!(pattern.to_str().unwrap()), &json!(true)));
    assert!(row["example"].as_str().unwrap().contains(MANY_DIR), "{row}");
    let (many, bytes) = (MANY as u64, (MANY * MANY_BYTES) as u64);
    let counts = ["files", "created", "deleted", "lives", "opens", "replaced", "not_made", "read_bytes", "write_bytes"];
    let counts = counts.map(|name| number(&row[name]));
    assert_eq!(counts, [many, many, many, many, 2 * many, 0, 0, bytes, bytes]);
    assert_eq!(
        (&row["pid"], &row["comm"]),
        (&json!(log.end.end), &json!("workload")),
        "the process, and not its thread"
    );
    let lives: Vec<(u64, u64)> = log.ops.iter().filter_map(|op| op.life.as_ref()?.ns).collect();
    assert_eq!(lives.len(), MANY);
    let sum = |part: fn(&(u64, u64)) -> u64| lives.iter().map(part).sum::<u64>() / many;
    let (least, most) = (sum(|life| life.0), sum(|life| life.1));
    assert!((least..=most).contains(&number(&row["life_avg_ns"])), "{row}: {least}..{most}");
    assert!(number(&row["life_min_ns"]) >= lives.iter().map(|life| life.0).min().unwrap());
    assert!(number(&row["life_max_ns"]) <= lives.iter().map(|life| life.1).max().unwrap());
}

#[test]
fn rows_of_a_thread_have_its_name() {
    need!(bpf);
    let rows = of_many(&["--by", "thread"]);
    assert_eq!((rows.len(), &rows[0]["comm"], number(&rows[0]["files"])), (1, &json!("words"), MANY as u64));
    assert_ne!(rows[0]["tid"], rows[0]["pid"]);
    let rows = of_many(&["--by", "dir"]);
    assert!(rows[0]["path"].as_str().unwrap().ends_with(MANY_DIR), "one directory has its own name: {}", rows[0]);
}

#[test]
fn tables_at_intervals_tell_each_end_once() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let glob = scene.glob();
    let run = Iotrace::new("life").json().args(["-i", "100ms", "--path", &glob]);
    let run = run.program(scene.command("lives-of-many", &[])).run().complete();
    let sum = |name: &str| run.rows.iter().map(|row| number(&row[name])).sum::<u64>();
    assert_eq!(sum("deleted"), MANY as u64);
    assert!(sum("created") >= MANY as u64, "a file that lives on is in two tables");
}

#[test]
fn the_table_fits_and_unknown_is_told() {
    need!(bpf);
    let scene = scene();
    let run = Iotrace::new("life").args(["-r", "0"]).program(scene.command("lives", &[])).run().exited(0);
    let path = scene.dir().join("older");
    let line = run.stdout.lines().find(|line| line.ends_with(path.to_str().unwrap())).expect("the file that was there");
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[2..8], ["1", "0", "1", "?", "?", "?"], "{line}");
}

#[test]
fn filters_that_would_hide_half_a_life_are_refused() {
    for option in [&["-x"][..], &["--min-latency", "1ms"]] {
        let run = Iotrace::new("life").args(option.iter().copied()).run().exited(2);
        assert!(run.stderr.contains("--min-latency"), "{}", run.stderr);
    }
}
