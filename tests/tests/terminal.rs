//! Tables on a terminal of a known size.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What `iotrace` shows on a terminal of 80 columns, lines that were wrapped put together again.
fn screen(arguments: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let (done, socket) = (place.path().join("done"), place.path().join("tmux"));
    let tmux = || {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&socket);
        tmux
    };
    let line = format!("{} {arguments}; touch {}; sleep 60", binary().display(), done.display());
    let start = tmux().args(["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", &line]).output().unwrap();
    assert!(start.status.success(), "{start:?}");
    let until = Instant::now() + Duration::from_secs(30) * slowdown();
    while !done.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let shown = tmux().args(["capture-pane", "-p", "-J"]).output().unwrap();
    let _ = tmux().arg("kill-server").status();
    assert!(done.exists(), "not in time: {}", String::from_utf8_lossy(&shown.stdout));
    String::from_utf8(shown.stdout).unwrap()
}

#[test]
fn paths_are_cut_in_the_middle_at_80_columns_and_not_at_all_when_wide() {
    need!(bpf, tmux);
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a-directory-with-a-long-name").join("and-another-one-in-it");
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("the-file.log");
    for (wide, whole) in [("", false), ("--wide", true)] {
        let write = format!("dd if=/dev/zero of={} bs=61 count=101", file.display());
        let options = format!("-q {wide} --columns pid,comm,writes,w_kb,container,mount,path --path '*/the-file.log'");
        let text = screen(&format!("top {options} -- {write} 2>/dev/null"));
        let row = text.lines().find(|line| line.contains("the-file.log")).unwrap_or_else(|| panic!("no row: {text}"));
        assert_eq!(row.trim_end().ends_with(file.to_str().unwrap()), whole, "{text}");
        assert_eq!((row.trim_end().chars().count() <= 80, row.contains('\u{2026}')), (!whole, !whole), "{text}");
    }
}
