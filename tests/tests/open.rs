//! `iotrace open`: each attempt once, with the absolute path.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Op},
    need,
};
use serde_json::Value;
use std::collections::BTreeMap;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn tally<T>(items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> Option<(String, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in items.into_iter().filter_map(|item| key(&item)) {
        *sums.entry(key).or_default() += count;
    }
    sums
}

fn of_op(op: &Op) -> Option<(String, u64)> {
    let mut flags = op.flags.clone();
    flags.sort();
    let (result, errno) = if op.ret < 0 { (None, op.errno_name()) } else { (Some(op.ret), None) };
    let path = path_text(op.path_key().as_deref());
    let key = format!("{} {} {} {path} fd {result:?} errno {errno:?} flags {flags:?}", op.pid, op.tid, op.call);
    (op.kind == Kind::Open).then_some((key, op.count))
}

fn of_event(event: &Value) -> (String, u64) {
    let mut flags: Vec<&str> = event["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect();
    flags.sort_unstable();
    let path = path_text(path_of(event).as_deref());
    let (call, fd, errno) = (event["call"].as_str().unwrap(), event["fd"].as_i64(), errno_name(&event["errno"]));
    let key = format!("{} {} {call} {path} fd {fd:?} errno {errno:?} flags {flags:?}", event["pid"], event["tid"]);
    (key, 1)
}

/// Events that the log has, and all others that concern the directory.
fn compare(scene: &Scene, events: &[Value], matches: impl Fn(&Op) -> bool) {
    let truth = tally(&scene.log().ops, |op| of_op(op).filter(|_| matches(op)));
    let ours =
        |event: &Value, key: &String| truth.contains_key(key) || path_of(event).is_some_and(|path| scene.holds(&path));
    let seen =
        tally(events, |event| (event["type"] == "open").then(|| of_event(event)).filter(|(key, _)| ours(event, key)));
    assert_same(&seen, &truth);
}

#[test]
fn every_open_is_told_once_with_path_flags_and_errno() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("open").json().program(scene.command("opens", &[])).run().complete();
    compare(&scene, &run.rows, |_| true);
}

#[test]
fn opens_of_every_call_thread_and_child_are_told() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("open").json().program(scene.command("calls", &[])).run().complete();
    compare(&scene, &run.rows, |_| true);
}

#[test]
fn opens_by_every_road_have_the_path_of_the_file() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let mut run = Iotrace::new("open").json().program(scene.command("paths", &[])).run().complete();
    let may_be_cut = |path: Option<&str>| path.is_some_and(|path| path.contains("/l/l/"));
    run.rows.retain(|event| !may_be_cut(event["path"].as_str()));
    compare(&scene, &run.rows, |op| !op.cut && !may_be_cut(op.path.as_deref()));
}

#[test]
fn failed_shows_only_opens_that_failed() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("open").json().args(["-x"]).program(scene.command("opens", &[])).run().complete();
    assert!(run.rows.iter().all(|event| !event["errno"].is_null()), "{:?}", run.rows);
    compare(&scene, &run.rows, |op| op.ret < 0);
}

#[test]
fn the_name_is_what_was_asked_for() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("open").json().program(scene.command("opens", &[])).run().complete();
    let missing = scene.dir().join("sub/not here");
    let events: Vec<_> = run.rows.iter().filter(|event| event["path"] == missing.to_str().unwrap()).collect();
    assert_eq!(events.len(), 14);
    assert!(events.iter().all(|event| event["name"] == "not here"));
    // arm64 has no such call.
    let made = run.rows.iter().find(|event| event["call"] == "creat");
    assert_eq!(made.map(|event| event["mode"].clone()), cfg!(target_arch = "x86_64").then(|| "0644".into()));
}

#[test]
fn the_table_names_errors_and_flags() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("open").args(["-e"]).program(scene.command("opens", &[])).run().exited(0);
    let path = scene.dir().join("missing");
    let line = run.stdout.lines().find(|line| line.ends_with(path.to_str().unwrap())).expect("the failed open");
    assert!(line.contains("ENOENT") && line.contains("O_WRONLY"), "{line}");
    assert!(run.stdout.lines().next().unwrap().ends_with("PATH"));
}
