//! `iotrace doctor`: what this machine allows.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;

#[test]
fn it_exits_0_where_the_main_job_runs() {
    need!(bpf);
    let text = Iotrace::new("doctor").run().exited(0);
    for word in ["BTF", "CAP_BPF", "fentry", "kprobe", "tracepoint"] {
        assert!(text.stdout.contains(word), "{word} is not in {}", text.stdout);
    }
    let json = Iotrace::new("doctor").json().run().exited(0);
    assert!(json.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", json.stdout);
}

#[test]
fn it_fails_without_the_right_to_trace_and_says_what_to_do() {
    need!(root);
    let run = Iotrace::new("doctor").user(65_534).run().exited(1);
    let all = run.stdout + &run.stderr;
    assert!(all.contains("CAP_BPF") && all.contains("sudo"), "{all}");
}
