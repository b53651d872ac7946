//! `iotrace doctor`: what this machine allows.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need, skip};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

/// The subject that has a choice of mechanisms.
const FILES: &str = "read/write/fsync/open";

#[test]
fn it_exits_0_where_the_main_job_runs() {
    need!(bpf);
    let text = Iotrace::new("doctor").run().exited(0);
    for word in ["BTF", "CAP_BPF", "preemption", "fentry", "kprobe", "tracepoint"] {
        assert!(text.stdout.contains(word), "{word} is not in {}", text.stdout);
    }
    assert!(text.stdout.lines().all(|line| line.chars().count() <= 80), "{}", text.stdout);
    let json = Iotrace::new("doctor").json().run().exited(0);
    assert!(json.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", json.stdout);
    assert_eq!(json.summary["command"], "doctor");
    assert_eq!(json.summary["ok"], true);
}

#[test]
fn each_mechanism_is_tried_and_a_refusal_has_a_reason() {
    need!(bpf);
    let run = Iotrace::new("doctor").json().run().exited(0);
    assert!(run.rows.iter().all(|row| row["type"] == "doctor"));
    let attempts: Vec<&Value> = run.rows.iter().filter(|row| row["mechanism"].is_string()).collect();
    let tried: BTreeSet<&str> = attempts.iter().filter_map(|row| row["mechanism"].as_str()).collect();
    assert_eq!(tried, BTreeSet::from(["fentry", "kprobe", "tracepoint"]));
    for row in &attempts {
        assert!(!row["detail"].as_str().unwrap().is_empty(), "{row}");
        assert!(row["used"] == false || row["state"] == "ok", "{row}");
        if row["subject"] == FILES {
            assert_eq!(row["used"], row["mechanism"] == run.summary["mechanism"], "{row}");
        }
    }
    let subjects: BTreeSet<&str> = attempts.iter().filter_map(|row| row["subject"].as_str()).collect();
    for subject in subjects {
        let of = || attempts.iter().filter(|row| row["subject"] == subject);
        let works = of().any(|row| row["state"] == "ok");
        let used = of().filter(|row| row["used"] == true).count();
        assert_eq!(used, usize::from(works), "of each subject one that works is used: {attempts:#?}");
    }
    let for_files: Vec<&str> =
        attempts.iter().filter(|row| row["subject"] == FILES).filter_map(|row| row["mechanism"].as_str()).collect();
    assert_eq!(for_files, ["fentry", "kprobe", "tracepoint"], "the first that works is used");
}

#[test]
fn the_mechanism_that_it_names_is_used() {
    need!(bpf);
    let named = Iotrace::new("doctor").json().run().exited(0);
    let traced = Iotrace::new("top").args(["--mechanism", "auto", "-d", "0.1"]).json().run().exited(0);
    assert_eq!(named.summary["mechanism"], traced.summary["mechanism"], "{}", named.stdout);
}

#[test]
fn it_leaves_nothing_attached() {
    need!(bpf);
    let Some(before) = programs() else { skip!("needs bpftool") };
    Iotrace::new("doctor").run().exited(0);
    // Other tests load programs too, but not for long.
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let left: Vec<u64> = programs().unwrap().difference(&before).copied().collect();
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "programs left: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn it_fails_without_the_right_to_trace_and_says_what_to_do() {
    need!(root);
    let run = Iotrace::new("doctor").user(65_534).run().exited(1);
    let all = run.stdout + &run.stderr;
    assert!(all.contains("CAP_BPF") && all.contains("sudo"), "{all}");
    // What needs no rights is shown all the same.
    assert!(all.contains("BTF") && all.contains("Linux "), "{all}");
    let json = Iotrace::new("doctor").json().user(65_534).run().exited(1);
    assert_eq!(json.summary["ok"], false);
    assert!(json.summary["problems"][0].as_str().unwrap().contains("CAP_BPF"), "{}", json.summary);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    need!(bpf);
    let command = format!("{} doctor | head -n 1", binary().display());
    let output = Command::new("bash").args(["-o", "pipefail", "-c", &command]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// Ids of all programs in the kernel.
fn programs() -> Option<BTreeSet<u64>> {
    let output = Command::new("bpftool").args(["--json", "prog", "list"]).output().ok()?;
    let programs: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    Some(programs.iter().map(|program| program["id"].as_u64().unwrap()).collect())
}
