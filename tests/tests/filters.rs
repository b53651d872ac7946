//! Filters: what passes is exactly what should.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Log, Op},
    need,
};
use std::process::Child;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// `iotrace top ARGS -- workload calls`.
fn filtered(scene: &Scene, scenario: &str, args: &[&str]) -> Output {
    let run = Iotrace::new("top").json().args(["-a", "-r", "0"]).args(args);
    run.program(scene.command(scenario, &[])).run().complete()
}

fn not_empty(log: &Log, matches: impl Fn(&Op) -> bool) {
    assert!(log.count(matches) > 0, "the filter has something to find");
}

/// Starts a workload that waits, traces it with the given arguments, lets it run; returns its pid.
fn attached(scene: &Scene, scenario: &str, args: impl Fn(u32) -> Vec<String>) -> (u32, Output) {
    let mut workload: Child = scene.alone(scenario, &["--wait"]).spawn().unwrap();
    let pid = workload.id();
    let mut run = Iotrace::new("top").json().args(["-a", "-r", "0", "-d", "50s"]).args(args(pid)).start();
    run.wait_tracing();
    drop(workload.stdin.take());
    assert!(workload.wait().unwrap().success());
    (pid, run.interrupt().complete())
}

#[test]
fn pid_shows_the_process_with_all_its_threads_and_no_child() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let (pid, run) = attached(&scene, "calls", |pid| vec!["-p".into(), pid.to_string()]);
    assert_rows(&scene, &scene.log(), &run.rows, |op| op.pid == pid);
    assert!(run.rows.iter().all(|row| row["pid"] == pid));
}

#[test]
fn children_follows_forks_even_those_that_live_a_millisecond() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let (_, run) = attached(&scene, "calls", |pid| vec!["-p".into(), pid.to_string(), "--children".into()]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn tid_shows_one_thread() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let (pid, run) = attached(&scene, "threads", |pid| vec!["--tid".into(), pid.to_string()]);
    not_empty(&scene.log(), |op| op.tid != pid);
    assert_rows(&scene, &scene.log(), &run.rows, |op| op.tid == pid);
}

#[test]
fn uid_shows_one_user() {
    need!(bpf);
    for user in ["65534", "nobody"] {
        let scene = Scene::new(WORKLOAD);
        let run = filtered(&scene, "calls", &["-u", user]);
        assert_rows(&scene, &scene.log(), &run.rows, |op| op.uid == 65_534);
    }
}

#[test]
fn comm_is_a_pattern_over_thread_names() {
    need!(bpf);
    for (pattern, names) in [("wri*", &["writer"][..]), ("reader", &["reader"]), ("[rw]*e?", &["reader", "writer"])] {
        let scene = Scene::new(WORKLOAD);
        let run = filtered(&scene, "threads", &["--comm", pattern]);
        assert_rows(&scene, &scene.log(), &run.rows, |op| names.contains(&op.comm.as_str()));
    }
}

#[test]
fn op_shows_the_operations_named() {
    need!(bpf);
    for (ops, kinds) in
        [("read", &[Kind::Read][..]), ("write", &[Kind::Write]), ("write,fsync", &[Kind::Write, Kind::Fsync])]
    {
        let scene = Scene::new(WORKLOAD);
        let run = filtered(&scene, "calls", &["--op", ops]);
        assert_rows(&scene, &scene.log(), &run.rows, |op| kinds.contains(&op.kind));
    }
}

#[test]
fn failed_shows_only_what_failed() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = filtered(&scene, "calls", &["--failed"]);
    assert_rows(&scene, &scene.log(), &run.rows, |op| op.ret < 0);
}

#[test]
fn path_is_a_pattern_over_whole_paths() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = filtered(&scene, "calls", &["--path", "*/of child *"]);
    let matches = |op: &Op| op.path.as_ref().is_some_and(|path| path.contains("/of child "));
    assert_rows(&scene, &scene.log(), &run.rows, matches);
    assert!(run.rows.iter().all(|row| row["path"].as_str().unwrap().contains("/of child ")), "{:?}", run.rows);
}

#[test]
fn disk_shows_the_opens_on_one_disk() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(8);
    let (there, gone) = (disk.dir().join("there"), disk.dir().join("gone"));
    let script = "echo x > $0; cat $0 $1 /etc/hostname";
    let program = ["sh".as_ref(), "-c".as_ref(), script.as_ref(), there.as_os_str(), gone.as_os_str()];
    let run = Iotrace::new("open").json().args(["--disk", disk.name()]).program(program).run().exited(1);
    let seen: Vec<(&str, bool)> =
        run.rows.iter().map(|row| (row["path"].as_str().unwrap(), row["errno"].is_null())).collect();
    let (there, gone) = (there.to_str().unwrap(), gone.to_str().unwrap());
    // A failed open is where its directory is: an absolute name counts from the root, which is on another disk.
    assert_eq!(seen, [(there, true), (there, true)], "{gone} is looked for from the root");
}

#[test]
fn disk_shows_the_files_of_one_disk() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::new(8));
    let run = Iotrace::new("top").json().args(["-a", "-r", "0", "--disk", disk.name()]);
    let run = run.program(scene.command("calls", &["--full", disk.dir().to_str().unwrap()])).run().complete();
    let there = disk.dir().canonicalize().unwrap();
    let matches = |op: &Op| op.path.as_ref().is_some_and(|path| std::path::Path::new(path).starts_with(&there));
    assert_rows(&scene, &scene.log(), &run.rows, matches);
    assert!(run.rows.iter().all(|row| row["disk"] == disk.name()), "{:?}", run.rows);
}

#[test]
fn min_latency_shows_what_took_at_least_so_long() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("events").args(["--min-latency", "20ms"]);
    let run = run.program(scene.command("interrupts", &[])).run().complete();
    let slow = run.rows.iter().filter(|event| event["type"] == "read" && event["call"] == "read");
    let slow = slow.filter(|event| event["path"].as_str().is_some_and(|path| path.starts_with("pipe:["))).count();
    assert_eq!(slow, 3 + 5, "{:?}", run.rows);
    assert!(run.rows.iter().all(|event| event["latency_ns"].as_u64().unwrap() >= 20_000_000), "{:?}", run.rows);
}

#[test]
fn filters_combine() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = filtered(&scene, "calls", &["--op", "write", "--failed", "--path", "*/failing"]);
    let matches = |op: &Op| {
        op.kind == Kind::Write && op.ret < 0 && op.path.as_ref().is_some_and(|path| path.ends_with("/failing"))
    };
    assert_rows(&scene, &scene.log(), &run.rows, matches);
}
