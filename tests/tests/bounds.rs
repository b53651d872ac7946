//! Memory has a limit (`--max-memory`); what finds no room shares a row, is counted, and told.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;
use std::path::Path;

/// The lowest limit that there is.
const LIMIT: u64 = 32 << 20;

/// `iotrace top` with that limit, which shows what is written.
fn top() -> Iotrace {
    Iotrace::new("top").json().args(["--strict", "--op", "write", "--max-memory", "32MiB"])
}

/// The shell, which runs a script with a directory as `$0`.
fn shell<'a>(script: &'a str, place: &'a Path) -> [&'a std::ffi::OsStr; 4] {
    ["sh".as_ref(), "-c".as_ref(), script.as_ref(), place.as_os_str()]
}

/// Writes and bytes written of the rows of files that `split` made in a directory, the largest first, and of the row of the rest.
fn written(run: &Output, place: &Path) -> (Vec<(u64, u64)>, (u64, u64)) {
    let counts = |row: &Value| (row["writes"].as_u64().unwrap(), row["write_bytes"].as_u64().unwrap());
    // A path for which there was no room before its row was read is not known.
    let inside = |row: &&Value| match path_of(row) {
        Some(path) => path.starts_with(place.to_str().unwrap().as_bytes()),
        None => row["comm"] == "split",
    };
    let mut rows: Vec<(u64, u64)> = run.rows.iter().filter(inside).map(counts).collect();
    rows.sort_unstable_by(|a, b| b.cmp(a));
    let rest = run.rows.iter().find(|row| row["path"] == "(other files)").map(counts);
    (rows, rest.expect("the row of the rest"))
}

/// Checks that `count` files of one byte, each written once, are in rows of their own or in the row of the rest, which is told.
fn assert_all_there(run: &Output, place: &Path, count: u64) {
    let (rows, rest) = written(run, place);
    assert!(!rows.is_empty() && rows.iter().all(|row| *row == (1, 1)), "{rows:?}");
    assert_eq!((rows.len() as u64 + rest.0, rows.len() as u64 + rest.1), (count, count));
    assert_eq!(run.summary["other_files"], rest.0);
    for counter in ["lost", "unmatched", "maps_full"] {
        assert_eq!(run.summary[counter], 0, "{counter} in {}", run.summary);
    }
}

#[test]
fn files_that_find_no_row_are_counted_together_and_told() {
    need!(bpf);
    const FILES: u64 = 9_001;
    let place = tempfile::tempdir().unwrap();
    let script = format!("head -c {FILES} /dev/zero | split -b 1 -a 4 - \"$0/f\"");
    let run = top().program(shell(&script, place.path())).run().exited(3);
    assert_all_there(&run, place.path(), FILES);
}

#[test]
fn long_paths_take_room_too() {
    need!(bpf);
    const FILES: u64 = 503;
    let place = tempfile::tempdir().unwrap();
    let deep = (0..12).fold(place.path().to_owned(), |path, _| path.join("d".repeat(240)));
    // Longer than a call takes at once: one directory after the other.
    let script = format!(
        "cd \"$0\" && for i in 1 2 3 4 5 6 7 8 9 10 11 12; do mkdir {0} && cd -P {0} || exit; done && \
         head -c {FILES} /dev/zero | split -b 1 -a 3 - f",
        "d".repeat(240)
    );
    let run = top().program(shell(&script, place.path())).run().exited(3);
    assert_all_there(&run, &deep, FILES);
}

#[test]
fn short_lived_processes_are_all_counted() {
    need!(bpf);
    const PROCESSES: u64 = 1_009;
    let place = tempfile::tempdir().unwrap();
    let script = format!("i=0; while [ $i -lt {PROCESSES} ]; do (echo >\"$0/f\"); i=$((i + 1)); done");
    let run = Iotrace::new("top").json().args(["--op", "write", "--max-memory", "32MiB"]);
    let run = run.program(shell(&script, place.path())).run().complete();
    let mut pids: Vec<u64> = run.rows.iter().filter_map(|row| row["pid"].as_u64()).collect();
    let rows = run.rows.iter().filter(|row| row["comm"] == "sh");
    assert_eq!(rows.map(|row| row["writes"].as_u64().unwrap()).sum::<u64>(), PROCESSES);
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len() as u64, PROCESSES, "each process has a row");
}

#[test]
fn maps_and_caches_together_stay_below_the_limit() {
    need!(bpf);
    const FILES: u64 = 9_001;
    let place = tempfile::tempdir().unwrap();
    // A table is printed while there are more rows than fit.
    let script = format!("head -c {FILES} /dev/zero | split -b 1 -a 4 - \"$0/f\"; sleep 2");
    let mut run = top().args(["-i", "1s"]).program(shell(&script, place.path())).start();
    run.wait_tracing();
    let pid = run.pid();
    let (maps, before) = (map_memory(pid), own_memory(pid).expect("it runs"));
    let mut most = 0;
    while let Some(own) = own_memory(pid).filter(|_| !run.has_ended()) {
        most = most.max(own.saturating_sub(before));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(maps > LIMIT / 4 && most > 0, "it was looked at: {maps} {most}");
    assert!(maps + most <= LIMIT, "{maps} bytes of maps, {most} of its own");
    run.wait().exited(3);
}
