//! Tables on a terminal of a known size.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What `iotrace` shows on a terminal of 80 columns, lines that were wrapped put together again.
fn screen(arguments: &str) -> String {
    screen_with("", arguments)
}

/// The same with environment variables: `NAME=VALUE`.
fn screen_with(variables: &str, arguments: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let (done, socket) = (place.path().join("done"), place.path().join("tmux"));
    let tmux = || {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&socket);
        tmux
    };
    let line = format!("{variables} {} {arguments}; touch {}; sleep 60", binary().display(), done.display());
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

#[test]
fn containers_and_paths_are_readable_at_80_columns() {
    need!(bpf, tmux, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let go = tempfile::tempdir().unwrap();
    let mount = format!("type=bind,src={},dst=/go,options=rbind:ro", go.path().display());
    let directory = "/data/a-directory-with-a-long-name/and-another-one-in-it/and-one-more";
    // One process, the shell itself, writes.
    let write = format!("echo a line of the log >> {directory}/the-file.log; usleep 50000");
    let script = format!("mkdir -p {directory}; while [ ! -e /go/on ]; do {write}; done");
    let children = ["web", "database-of-the-shop"].map(|name| {
        let container = containerd.container("default", &format!("terminal-{}", name.len()));
        container.annotation("nerdctl/name", name).options(["--mount", &mount]).start(&script)
    });
    let root = format!("IOTRACE_RUNTIME_ROOT={}", containerd.root().display());
    let options = "-q -d 1s --path '*/the-file.log' --columns writes,w_kb,container,host_path,path";
    let cut = screen_with(&root, &format!("top {options} 2>/dev/null"));
    let wide = screen_with(&root, &format!("top --wide {options} 2>/dev/null"));
    std::fs::write(go.path().join("on"), "").unwrap();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    for name in ["web", "database-of-the-shop"] {
        let row = |text: &str| {
            let row = text.lines().find(|line| line.contains(&format!(" {name} ")) && line.contains("the-file.log"));
            row.unwrap_or_else(|| panic!("no row of {name}: {text}")).trim_end().to_owned()
        };
        let (cut, wide) = (row(&cut), row(&wide));
        assert!(cut.chars().count() <= 80 && cut.ends_with("/the-file.log"), "{cut}");
        assert!(cut.matches('\u{2026}').count() == 2 && cut.contains("/tmp/"), "path and host path: {cut}");
        assert!(wide.ends_with(&format!("{directory}/the-file.log")) && !wide.contains('\u{2026}'), "{wide}");
        let host = wide.split_whitespace().find(|word| word.starts_with(containerd.root().to_str().unwrap()));
        assert!(host.is_some_and(|host| host.ends_with("the-file.log")), "{wide}");
    }
}
