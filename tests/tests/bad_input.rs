//! Bad input: a clear error before anything is attached.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs, fails, says why, and never traced.
#[track_caller]
fn refuses(run: Iotrace, says: &[&str]) {
    let output = run.run();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{}: {}", output.status, output.stderr);
    assert!(!output.stderr.contains("tracing with"), "it was attached: {}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    assert_eq!(output.stdout, "", "errors belong on stderr");
    for word in says {
        assert!(output.stderr.contains(word), "{word:?} is not in: {}", output.stderr);
    }
}

#[test]
fn not_root_names_the_capability_and_the_way_out() {
    need!(root);
    for command in ["top", "fsync", "open", "latency", "disk", "block", "events", "diagnose"] {
        let output = Iotrace::new(command).args(["-d", "1s"]).user(65_534).run();
        assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
        for word in ["CAP_BPF", "CAP_PERFMON", "sudo"] {
            assert!(output.stderr.contains(word), "{command}: {word} is not in: {}", output.stderr);
        }
        assert!(!output.stderr.contains("tracing with"), "{}", output.stderr);
    }
}

#[test]
fn no_such_process_user_or_disk() {
    need!(bpf);
    refuses(Iotrace::new("top").args(["-p", "4194305"]), &["4194305"]); // above any pid_max
    refuses(Iotrace::new("top").args(["--tid", "4194305"]), &["4194305"]);
    refuses(Iotrace::new("top").args(["-u", "no-such-user"]), &["no-such-user"]);
    for command in ["latency", "disk"] {
        refuses(Iotrace::new(command).args(["--disk", "nosuchdisk"]), &["nosuchdisk"]);
    }
}

#[test]
fn letters_zero_and_unknown_words() {
    need!(bpf);
    refuses(Iotrace::new("top").args(["-p", "12,x"]), &["x"]);
    refuses(Iotrace::new("top").args(["-p", ""]), &[]);
    refuses(Iotrace::new("top").args(["-p", "-1"]), &[]);
    refuses(Iotrace::new("top").args(["-i", "0"]), &["interval"]);
    refuses(Iotrace::new("top").args(["-i", "0s"]), &["interval"]);
    refuses(Iotrace::new("top").args(["--sort", "colour"]), &["colour", "bytes"]);
    refuses(Iotrace::new("top").args(["--by", "moon"]), &["moon"]);
    refuses(Iotrace::new("top").args(["--op", "fly"]), &["fly"]);
    refuses(Iotrace::new("top").args(["-d", "soon"]), &["soon"]);
    refuses(Iotrace::new("events").args(["--buffer", "much"]), &["much"]);
    refuses(Iotrace::new("top").args(["--min-latency", "long"]), &["long"]);
    refuses(Iotrace::new("top").args(["--mechanism", "magic"]), &["magic"]);
    refuses(Iotrace::new("top").args(["--path", "[a"]), &["[a"]);
    refuses(Iotrace::new("top").args(["--columns", "pid,colour"]), &["colour", "path"]);
    refuses(Iotrace::new("top").args(["--op", "open"]), &["open"]);
    refuses(Iotrace::new("latency").args(["--op", "fly"]), &["fly", "flush"]);
    refuses(Iotrace::new("latency").args(["--heatmap", "--path", "/var/*"]), &["--path"]);
    refuses(Iotrace::new("latency").args(["--heatmap", "--by", "file"]), &["--by"]);
    for filter in [["--comm", "x"], ["--uid", "0"], ["--min-latency", "1ms"], ["--pid", "1"]] {
        refuses(Iotrace::new("disk").args(filter), &["--disk"]);
    }
    refuses(Iotrace::new("disk").args(["--columns", "r,colour"]), &["colour", "util"]);
    refuses(Iotrace::new("nonsense"), &["nonsense"]);
}

#[test]
fn programs_that_cannot_run() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("no such program");
    refuses(Iotrace::new("top").program([missing.clone()]), &["no such program"]);
    let unreadable = place.path().join("not executable");
    std::fs::write(&unreadable, "x").unwrap();
    refuses(Iotrace::new("top").program([unreadable]), &["not executable"]);
    refuses(Iotrace::new("top").program([place.path()]), &[]);
}

#[test]
fn outputs_that_cannot_be_written() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let inside_nothing = place.path().join("no directory/report");
    refuses(Iotrace::new("top").output(&inside_nothing).args(["-d", "1s"]), &["no directory/report"]);
    refuses(Iotrace::new("top").output(place.path()).args(["-d", "1s"]), &[]);
}

#[test]
fn a_full_output_is_an_error() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("top").output("/dev/full".as_ref());
    let output = run.program(scene.command("threads", &[])).run();
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    assert!(output.stderr.contains("/dev/full"), "{}", output.stderr);
}
