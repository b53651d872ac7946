//! filetop of libbpf-tools: probes at the beginning of `vfs_read` and `vfs_write`.

use super::{WORKLOAD, beside, tally};
use iotrace_tests::{
    harness::*,
    log::{Kind, Log, Op},
    need,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// All rows, without clearing the screen, when it is interrupted.
const FILETOP: (&str, &[&str]) = ("filetop", &["-C", "-r", "10240", "3600"]);

/// One run of the scenario `calls` under both.
struct Run {
    log: Log,
    /// Rows of `top --by thread`.
    rows: Vec<Value>,
    counted: Vec<Counted>,
}

static CALLS: LazyLock<Run> = LazyLock::new(|| {
    let (scene, full) = (Scene::new(WORKLOAD), LoopDisk::new(8));
    let (run, counted) = top(&scene, ("calls", &["--full", full.dir().to_str().unwrap()]));
    let log = scene.log();
    assert_rows(&scene, &log, &run.rows, |_| true);
    Run { log, rows: run.rows, counted }
});

#[track_caller]
fn top(scene: &Scene, scenario: (&str, &[&str])) -> (Output, Vec<Counted>) {
    let iotrace = Iotrace::new("top").json().args(["-a", "-r", "0", "--by", "thread"]);
    let (run, output, _) = beside(FILETOP, iotrace, scene, scenario);
    (run, Counted::all(&output))
}

/// A system call that comes to `vfs_read` or `vfs_write`.
fn is_plain(op: &Op) -> bool {
    matches!(op.call.as_str(), "read" | "pread64" | "write" | "pwrite64")
}

/// A read or a write, whatever the call.
fn moves(op: &Op) -> bool {
    matches!(op.kind, Kind::Read | Kind::Write)
}

fn path(op: &Op) -> &str {
    op.path.as_deref().unwrap_or_default()
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// What filetop should say if it counts plain calls by what they asked for, one key for each thread and file.
fn asked_for(log: &Log, only: impl Fn(&Op) -> bool) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::<(u32, &str), Counted>::new();
    for op in log.ops.iter().filter(|op| op.regular && moves(op) && is_plain(op) && only(op)) {
        let row = sums.entry((op.tid, path(op))).or_insert_with(|| nothing(op.tid, path(op)));
        let bytes = op.requested.unwrap() * op.count;
        if op.kind == Kind::Read {
            (row.reads, row.read_kib) = (row.reads + op.count, row.read_kib + bytes);
        } else {
            (row.writes, row.write_kib) = (row.writes + op.count, row.write_kib + bytes);
        }
    }
    let whole = |row: Counted| Counted { read_kib: row.read_kib / 1024, write_kib: row.write_kib / 1024, ..row };
    tally(sums.into_values().map(|row| (format!("{:?}", whole(row)), 1)))
}

fn nothing(tid: u32, path: &str) -> Counted {
    Counted { tid, file: name(path).to_owned(), reads: 0, writes: 0, read_kib: 0, write_kib: 0 }
}

/// Rows of filetop for threads and names of files that the log has.
fn said(counted: &[Counted], log: &Log, only: impl Fn(&Op) -> bool) -> BTreeMap<String, u64> {
    let ops = log.ops.iter().filter(|op| op.regular && only(op));
    let known: BTreeSet<(u32, &str)> = ops.map(|op| (op.tid, name(path(op)))).collect();
    let rows = counted.iter().filter(|row| known.contains(&(row.tid, row.file.as_str())));
    tally(rows.map(|row| (format!("{row:?}"), 1)))
}

/// A row of `top`, as filetop would write it.
fn as_counted(row: &Value) -> Counted {
    let field = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"));
    Counted {
        reads: field("reads"),
        writes: field("writes"),
        read_kib: field("read_bytes") / 1024,
        write_kib: field("write_bytes") / 1024,
        ..nothing(field("tid") as u32, row["path"].as_str().unwrap_or_default())
    }
}

/// Sums of both for a file of the run `calls`, filetop first. That iotrace's are the log's was compared before.
fn both(file: &str) -> (Counted, Counted) {
    let sum = |rows: Vec<Counted>| {
        rows.into_iter().fold(nothing(0, file), |sum, row| Counted {
            reads: sum.reads + row.reads,
            writes: sum.writes + row.writes,
            read_kib: sum.read_kib + row.read_kib,
            write_kib: sum.write_kib + row.write_kib,
            ..sum
        })
    };
    let of_filetop = CALLS.counted.iter().filter(|row| row.file == file).cloned().collect();
    let of_iotrace = CALLS.rows.iter().map(as_counted).filter(|row| row.file == file).collect();
    (sum(of_filetop), sum(of_iotrace))
}

fn of_file(file: &str, matches: impl Fn(&Op) -> bool) -> u64 {
    CALLS.log.count(|op| name(path(op)) == file && moves(op) && matches(op))
}

#[test]
fn full_reads_and_writes_agree() {
    need!(peers, loop_devices);
    let odd = |op: &Op| moves(op) && (!is_plain(op) || op.requested != Some(op.bytes()));
    let odd: BTreeSet<&str> = CALLS.log.ops.iter().filter(|op| odd(op)).map(path).collect();
    let only = |op: &Op| moves(op) && !odd.contains(path(op));
    let seen = said(&CALLS.counted, &CALLS.log, only);
    let known: BTreeSet<(u64, &str)> =
        CALLS.log.ops.iter().filter(|op| op.regular && only(op)).map(|op| (u64::from(op.tid), path(op))).collect();
    let rows = CALLS.rows.iter().filter(|row| {
        let path = row["path"].as_str().unwrap_or_default();
        known.contains(&(row["tid"].as_u64().unwrap(), path))
    });
    let ours = tally(rows.map(|row| (format!("{:?}", as_counted(row)), 1)));
    assert!(ours.len() > 30, "{} rows", ours.len());
    assert_same(&seen, &ours);
}

#[test]
fn filetop_counts_what_plain_calls_ask_for_and_nothing_else() {
    need!(peers, loop_devices);
    // Some calls on this one fail before they come to the VFS.
    let only = |op: &Op| name(path(op)) != "failing";
    assert_same(&said(&CALLS.counted, &CALLS.log, only), &asked_for(&CALLS.log, only));
}

#[test]
fn iotrace_is_right_about_short_reads() {
    need!(peers, loop_devices);
    let (filetop, iotrace) = both("three bytes");
    let asked: u64 = 12 * 1024; // twelve times 1 MiB, from a file of three bytes
    assert_eq!((filetop.read_kib, iotrace.read_kib), (asked, 0));
    assert_eq!(of_file("three bytes", |op| op.bytes() > 3), 0);
}

#[test]
fn iotrace_is_right_about_writes_to_a_full_disk() {
    need!(peers, loop_devices);
    let (filetop, iotrace) = both("filler");
    let failed = of_file("filler", |op| op.ret < 0 && op.call == "write" && op.requested == Some(65_537));
    assert!(failed >= 13, "{failed}");
    // The disk has 8 MiB, and the last write that succeeded was a short one.
    assert!(iotrace.write_kib < 8 * 1024, "{iotrace:?}");
    assert!(filetop.write_kib >= iotrace.write_kib + failed * 64, "{filetop:?} {iotrace:?}");
}

#[test]
fn filetop_misses_calls_with_vectors() {
    need!(peers, loop_devices);
    for file in ["reads", "writes", "o_sync", "o_dsync", "by 32-bit calls"] {
        let (filetop, iotrace) = both(file);
        let missed =
            of_file(file, |op| ["readv", "preadv", "preadv2", "writev", "pwritev", "pwritev2"].contains(&&*op.call));
        let copied = of_file(file, |op| op.call == "sendfile");
        assert!(missed > 0);
        assert_eq!(filetop.reads + filetop.writes + missed + copied, iotrace.reads + iotrace.writes, "{file}");
    }
}

#[test]
fn filetop_misses_copies_inside_the_kernel() {
    need!(peers, loop_devices);
    let (filetop, iotrace) = both("sink");
    assert_eq!(filetop, nothing(0, "sink"));
    let copied = of_file("sink", |op| ["sendfile", "splice", "copy_file_range"].contains(&&*op.call));
    assert_eq!((iotrace.writes, iotrace.writes > 40), (copied, true));
}

#[test]
fn filetop_misses_io_uring() {
    need!(peers, io_uring);
    let scene = Scene::new(WORKLOAD);
    let (run, counted) = top(&scene, ("uring", &[]));
    let log = scene.log();
    assert_rows(&scene, &log, &run.rows, |_| true);
    assert_same(&said(&counted, &log, |_| true), &asked_for(&log, |_| true));
    assert!(log.count(|op| op.call == "io_uring" && op.regular && moves(op)) > 500);
}

#[test]
fn filetop_does_not_tell_files_of_the_same_name_apart() {
    need!(peers);
    share_one_processor();
    let scenes = [Scene::new(WORKLOAD), Scene::new(WORKLOAD)];
    let peer = Peer::start(FILETOP.0, FILETOP.1);
    let mut words = vec![
        "sh".into(),
        "-c".into(),
        "\"$1\" \"$2\" \"$3\" \"$4\" \"$5\" \"$6\" --count 1009; shift 6; exec \"$@\"".into(),
        "sh".into(),
    ];
    words.extend(scenes[0].command("flood", &[]));
    words.extend(scenes[1].command("flood", &["--count", "503"]));
    let run = Iotrace::new("top").json().args(["-r", "0"]).program(words).run().complete();
    let rows = Counted::all(&peer.interrupt().0);
    let mut names: Vec<(&str, u64)> =
        rows.iter().map(|row| (row.file.as_str(), row.writes)).filter(|row| row.0 == "flood").collect();
    names.sort_unstable();
    assert_eq!(names, [("flood", 503), ("flood", 1_009)]);
    for scene in &scenes {
        assert_rows(scene, &scene.log(), &run.rows, |_| true);
    }
}
