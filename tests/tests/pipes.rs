//! A closed pipe ends iotrace quietly.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Reads one line, closes the pipe; the exit status and what stood on stderr.
fn head(args: &[&str]) -> (Option<i32>, String, String) {
    let mut child = Command::new(binary())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let until = Instant::now() + Duration::from_secs(30) * slowdown();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it did not end when its pipe was closed");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (status.code(), line, stderr)
}

/// Writes to a file until `body` ends.
fn while_writing<T>(body: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = tempfile::tempfile().unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(b"x").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop); // also when the test fails
        body()
    })
}

#[test]
fn head_ends_it_quietly_with_success() {
    need!(bpf);
    let pid = std::process::id().to_string();
    for args in [
        &["events", "-q", "-p", &pid][..],
        &["top", "-q", "-p", &pid, "-i", "100ms"],
        &["top", "-q", "-p", &pid, "-d", "200ms", "--json"],
        &["events", "--schema"],
        &["--help"],
    ] {
        let (status, line, stderr) = while_writing(|| head(args));
        assert_eq!(status, Some(0), "{args:?}: {stderr}");
        assert!(!line.is_empty(), "{args:?} printed nothing");
        assert_eq!(stderr, "", "{args:?}");
    }
}

#[test]
fn quiet_silences_the_tracing_line_and_without_it_there_is_exactly_one() {
    need!(bpf);
    let pid = std::process::id().to_string();
    let loud = Iotrace::new("top").args(["-d", "100ms", "-p", &pid]).run().exited(0);
    let lines = loud.stderr.lines().filter(|line| line.starts_with("iotrace: tracing with "));
    assert_eq!(lines.count(), 1, "{}", loud.stderr);
    let quiet = Iotrace::new("top").args(["-q", "-d", "100ms", "-p", &pid]).run().exited(0);
    assert_eq!(quiet.stderr, "");
}
