#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    event::Comm,
    resolve::Free,
    view::{
        block,
        life::{Bytes, LifeRow, Stats},
        opens::Opened,
        top::Row,
    },
};
use iotrace_common::{sum::Counters, write_sizes::WriteSizes};
use std::{collections::HashMap, sync::Arc, time::Duration};

const SECOND: u64 = 1_000_000_000;

fn row(path: &str, counters: Counters) -> Row {
    let mut comm = [0; 16];
    comm.iter_mut().zip(b"app").for_each(|(to, from)| *to = *from);
    Row {
        pid: Some(4711),
        comm: Some(Comm(comm)),
        path: Some(path.into()),
        dev: Some(1),
        ino: Some(path.len() as u64),
        counters,
        ..Row::default()
    }
}

/// Facts of ten seconds.
fn facts(rows: Vec<Row>) -> Facts {
    Facts { length: Duration::from_secs(10), rows, ..Facts::default() }
}

fn names(facts: &Facts) -> Vec<(&'static str, Severity)> {
    all(facts).iter().filter(|found| !found.is_nothing()).map(|found| (found.rule, found.severity)).collect()
}

#[test]
fn a_sync_after_every_write() {
    let agent = |sync_ns| Counters {
        writes: 1009,
        write_bytes: 1009 * 120,
        write_ns: 1009,
        syncs: 1009,
        sync_ns,
        ..Counters::default()
    };
    assert_eq!(names(&facts(vec![row("/log", agent(9 * SECOND))])), [("sync-per-write", Severity::Critical)]);
    assert_eq!(names(&facts(vec![row("/log", agent(SECOND))])), [("sync-per-write", Severity::Warning)]);
    assert_eq!(names(&facts(vec![row("/log", agent(SECOND / 10))])), []);
    let batches = Counters { writes: 100_003, ..agent(9 * SECOND) };
    assert_eq!(names(&facts(vec![row("/log", batches)])), []);
    let large = Counters { write_bytes: 1009 << 20, ..agent(9 * SECOND) };
    assert_eq!(names(&facts(vec![row("/log", large)])), []);
}

#[test]
fn what_costs_more_comes_first() {
    let agent = |sync_ns| Counters { writes: 101, write_bytes: 101, syncs: 101, sync_ns, ..Counters::default() };
    let all = all(&facts(vec![row("/a", agent(SECOND)), row("/b", agent(4 * SECOND)), row("/c", agent(6 * SECOND))]));
    let paths: Vec<_> = all.iter().map(|finding| finding.subject.path.clone().unwrap()).collect();
    assert_eq!(paths, [b"/c", b"/b", b"/a"]);
    assert_eq!(all[0].headline, "app (4711) syncs /c after every write");
    assert_eq!(all[0].evidence[1], "60 % of the time in syncs, 59.4ms each, longest 0ns");
}

#[test]
fn small_writes_and_reads_without_a_buffer() {
    let writes =
        |size: u64| Counters { writes: 100_003, write_bytes: 100_003 * size, write_ns: SECOND, ..Counters::default() };
    assert_eq!(names(&facts(vec![row("/log", writes(58))])), [("small-writes", Severity::Warning)]);
    assert_eq!(names(&facts(vec![row("/log", writes(4096))])), []);
    // The time is that of their syncs.
    let synced = Counters { sync_writes: 100_003, sync_write_ns: SECOND, ..writes(58) };
    assert_eq!(names(&facts(vec![row("/log", synced)])), [("sync-per-write", Severity::Warning)]);
    let each = Counters { syncs: 100_003, sync_ns: 8 * SECOND, ..writes(58) };
    assert_eq!(names(&facts(vec![row("/log", each)])), [("sync-per-write", Severity::Critical)], "one cause");
    let reads =
        |size: u64| Counters { reads: 100_003, read_bytes: 100_003 * size, read_ns: SECOND, ..Counters::default() };
    assert_eq!(names(&facts(vec![row("/in", reads(1))])), [("one-byte-reads", Severity::Warning)]);
    assert_eq!(names(&facts(vec![row("/in", reads(4096))])), []);
    // Nothing came: it is polled.
    assert_eq!(names(&facts(vec![row("/in", reads(0))])), []);
}

#[test]
fn small_writes_are_told_with_their_sizes() {
    let sizes = |counted: &[(usize, u64)]| {
        let mut sizes = WriteSizes::default();
        counted.iter().for_each(|(class, count)| sizes.counts[*class] = *count);
        let writes = Counters { writes: 100_000, write_bytes: 100_000 * 58, write_ns: SECOND, ..Counters::default() };
        let facts = Facts { write_sizes: [((4711, 1, 4), sizes)].into(), ..facts(vec![row("/log", writes)]) };
        all(&facts)[0].evidence[2].clone()
    };
    assert_eq!(sizes(&[(6, 100_000)]), "sizes: 32-63B 100 %");
    assert_eq!(
        sizes(&[(0, 1000), (1, 1000), (2, 8000), (9, 89_200), (11, 500), (15, 300)]),
        "sizes: 0B 1 %, 1B 1 %, 2-3B 8 %, 256-511B 89 %",
        "few are not named"
    );
    assert_eq!(sizes(&[(11, 1), (15, 1)]), "sizes: 1KiB-2KiB 50 %, 16KiB and more 50 %");
}

fn free(available: u64, bytes: f64, inodes: f64) -> Option<Arc<Free>> {
    Some(Free { mount: b"/srv".to_vec(), available, bytes: Some(bytes), inodes: Some(inodes) }.into())
}

fn growing(counters: Counters, growth: u64, available: u64) -> Facts {
    let row = Row { free: free(available, 50.0, 90.0), ..row("/app.log", counters) };
    let growth = Growth { first: 40 << 30, last: (40 << 30) + growth, between: Duration::from_secs(10), steps: 9 };
    Facts { growth: [((1, 8), growth)].into(), ..facts(vec![row]) }
}

#[test]
fn a_log_without_end() {
    let log = Counters { writes: 101, write_bytes: 100 << 20, write_ns: SECOND, ..Counters::default() };
    assert_eq!(names(&growing(log, 100 << 20, 1 << 30)), [("runaway-log", Severity::Critical)]);
    assert_eq!(names(&growing(log, 100 << 20, 100 << 30)), [("runaway-log", Severity::Warning)]);
    assert_eq!(names(&growing(log, 100 << 20, 10 << 40)), [], "a disk that lasts for days");
    assert_eq!(names(&growing(log, 10 << 20, 1 << 30)), [], "a database that writes inside");
    assert_eq!(names(&growing(Counters { reads: 1, ..log }, 100 << 20, 1 << 30)), []);
    let mut made = growing(log, 100 << 20, 1 << 30);
    made.growth.values_mut().for_each(|growth| growth.steps = 4);
    assert_eq!(names(&made), [], "written now and then");
    let soon = |growth: &mut Growth| (growth.between, growth.steps) = (Duration::from_secs(4), 4);
    made.growth.values_mut().for_each(soon);
    assert_eq!(names(&made), [], "a compiler's output");
    let found = all(&growing(log, 100 << 20, 1 << 30));
    assert_eq!(
        found[0].evidence,
        [
            "40.1GiB and growing by 10MiB/s; nothing was read or cut off",
            "the file system is full in 102 seconds at this rate"
        ]
    );
}

#[test]
fn a_file_that_is_read_again_and_again() {
    let reads = |bytes| Counters { reads: 10_007, read_bytes: bytes, read_ns: 2 * SECOND, ..Counters::default() };
    let facts = |bytes| {
        let growth = Growth { first: 1 << 20, last: 1 << 20, between: Duration::from_secs(9), steps: 0 };
        Facts { growth: [((1, 5), growth)].into(), ..facts(vec![row("/conf", reads(bytes))]) }
    };
    assert_eq!(names(&facts(101 << 20)), [("read-again", Severity::Warning)]);
    assert_eq!(names(&facts(3 << 20)), []);
}

#[test]
fn a_file_system_without_room_is_told_once_with_its_writer() {
    let writes = |bytes| Counters { writes: 7, write_bytes: bytes, ..Counters::default() };
    let rows = |free: Option<Arc<Free>>| {
        ["/a", "/bb"].map(|path| Row { free: free.clone(), ..row(path, writes(path.len() as u64)) }).to_vec()
    };
    let found = all(&facts(rows(free(1 << 20, 1.0, 50.0))));
    assert_eq!(
        (found.len(), found[0].severity, found[0].subject.path.as_deref()),
        (1, Severity::Critical, Some(&b"/bb"[..]))
    );
    assert_eq!(names(&facts(rows(free(1 << 20, 40.0, 4.9)))), [("file-system-full", Severity::Warning)]);
    assert_eq!(names(&facts(rows(free(1 << 20, 40.0, 40.0)))), []);
}

#[test]
fn deleted_files_that_are_open_are_told_where_room_is_short() {
    let writes = Counters { writes: 7, write_bytes: 7, ..Counters::default() };
    let row = Row { free: free(1 << 20, 1.0, 50.0), ..row("/a", writes) };
    let held = |bytes| Held { pid: 812, comm: b"java".to_vec(), path: b"/srv/old.log".to_vec(), bytes };
    let facts = |bytes| {
        let files = vec![held(bytes), held(4096)];
        all(&Facts { held: HashMap::from([(b"/srv".to_vec(), files)]), ..facts(vec![row.clone()]) })
    };
    let line = "1GiB in 2 deleted files that are still open, most of it: java (812) has /srv/old.log";
    assert!(facts(1 << 30)[0].evidence.iter().any(|found| found == line), "{:?}", facts(1 << 30)[0].evidence);
    assert!(facts(4096)[0].evidence.iter().all(|found| !found.contains("deleted")));
}

#[test]
fn nothing_wrong_says_what_it_looked_at() {
    let calm = Counters { reads: 7, read_bytes: 7 << 20, read_ns: SECOND / 100, ..Counters::default() };
    let pressure = Some(Pressure { some: Duration::from_millis(200), full: Duration::ZERO });
    let unseen = vec!["what the filters leave out".to_owned()];
    let found = all(&Facts { pressure, unseen, ..facts(vec![row("/a", calm)]) });
    assert_eq!((found.len(), found[0].rule, found[0].severity), (1, "nothing-wrong", Severity::Info));
    assert_eq!(found[0].headline, "nothing wrong found in 10 s: 1 pairs of process and file");
    assert_eq!(
        found[0].evidence,
        [
            "most time in calls: app (4711), 0 % of it, on /a",
            "some task waited for I/O 2 % of the time, all that had work 0 %",
            "not seen: what the filters leave out"
        ]
    );
}

#[test]
fn reads_in_order_that_each_go_to_the_disk() {
    let counters = Counters { reads: 5003, read_bytes: 5003 * 4096, read_ns: 4 * SECOND, ..Counters::default() };
    let facts = |requests: u64, size: u64, contiguous: u64| {
        let reads = DiskReads { requests, bytes: requests * size, contiguous };
        let block = block::Row { pid: Some(4711), path: Some(b"/in".to_vec()), ..block::Row::default() };
        let reads = HashMap::from([((4711, b"/in".to_vec()), reads)]);
        Facts { reads, blocks: vec![block], ..facts(vec![row("/in", counters)]) }
    };
    assert_eq!(names(&facts(5003, 4096, 5000)), [("missing-read-ahead", Severity::Warning)]);
    assert_eq!(names(&facts(5003, 4096, 2000)), [], "here and there: a database");
    assert_eq!(names(&facts(101, 128 << 10, 101)), [], "read ahead");
    assert_eq!(names(&facts(1009, 4096, 1009)), [], "most of it was in memory");
    let quick = Counters { read_ns: SECOND / 10, ..counters };
    assert_eq!(names(&Facts { rows: vec![row("/in", quick)], ..facts(5003, 4096, 5000) }), []);
}

/// A row of a container runtime.
fn of_runtime(path: &str, counters: Counters) -> Row {
    Row { role: Some("runtime"), ..row(path, counters) }
}

#[test]
fn what_a_runtime_does_for_itself_is_told_apart_from_what_it_does_for_containers() {
    let root = "/var/lib/containerd/io.containerd";
    let synced =
        |sync_ns| Counters { writes: 503, write_bytes: 503 * 8192, syncs: 307, sync_ns, ..Counters::default() };
    let database = |ns| facts(vec![of_runtime(&format!("{root}.metadata.v1.bolt/meta.db"), synced(ns))]);
    assert_eq!(names(&database(SECOND)), [("runtime-metadata", Severity::Warning)]);
    assert_eq!(names(&database(6 * SECOND)), [("runtime-metadata", Severity::Critical)]);
    assert_eq!(names(&database(SECOND / 10)), []);
    // The same name in a container's hands is a file like any other.
    let own = facts(vec![row("/data/meta.db", synced(SECOND))]);
    assert_eq!(names(&own), [("sync-per-write", Severity::Warning)]);

    let written = |bytes, write_ns| Counters { writes: 101, write_bytes: bytes, write_ns, ..Counters::default() };
    let unpacked = |bytes, ns| {
        let layer = format!("{root}.snapshotter.v1.overlayfs/snapshots/7/fs/usr/lib/libc.so");
        facts(vec![of_runtime(&layer, written(bytes, ns)), of_runtime("/tmp/containerd-mount12/bin/sh", written(1, 1))])
    };
    assert_eq!(names(&unpacked(100 << 20, SECOND)), [("image-unpack", Severity::Info)]);
    assert_eq!(names(&unpacked(100 << 20, 3 * SECOND)), [("image-unpack", Severity::Warning)]);
    assert_eq!(names(&unpacked(1 << 20, SECOND)), []);
    let first = &all(&unpacked(100 << 20, SECOND))[0].evidence[0];
    assert!(first.starts_with("100MiB to 2 files, 10MiB/s; the largest: /var/lib/containerd/"), "{first}");
    // What it syncs of its databases meanwhile is a part of that.
    let mut both = unpacked(100 << 20, SECOND);
    both.rows.extend(database(2 * SECOND).rows);
    assert_eq!(names(&both), [("image-unpack", Severity::Warning)]);
    let second = &all(&both)[0].evidence[1];
    assert_eq!(second, "30 % of the time in writes and syncs, 20 % in 307 syncs of its own databases");

    let output = |bytes| facts(vec![of_runtime("/var/log/pods/web/0.log", written(bytes, SECOND))]);
    assert_eq!(names(&output(100 << 20)), [("container-output", Severity::Warning)]);
    assert_eq!(names(&output(1 << 20)), []);
    let lines = Counters { writes: 100_003, write_bytes: 100_003 * 58, write_ns: SECOND, ..Counters::default() };
    let lines = facts(vec![of_runtime("/var/log/pods/web/0.log", lines)]);
    assert_eq!(names(&lines), [("container-output", Severity::Warning)], "not small-writes");
}

#[test]
fn what_fails_for_want_of_room_is_told_by_file() {
    let failure = |path: &str, op, errno, count| Failure { row: row(path, Counters::default()), op, errno, count };
    let failed = |failures| Facts { failures, ..facts(Vec::new()) };
    let found = all(&failed(vec![
        failure("/log", "write", libc::ENOSPC, 7),
        failure("/log", "fsync", libc::ENOSPC, 1),
        failure("/db", "open", libc::EROFS, 3),
        failure("/gone", "open", libc::ENOENT, 101),
        failure("/log", "read", libc::EINTR, 5),
    ]));
    let headlines: Vec<_> = found.iter().map(|found| found.headline.as_str()).collect();
    assert_eq!(
        headlines,
        [
            "app (4711) cannot open /db: the file system is mounted read-only (EROFS)",
            "app (4711) cannot write /log: no room is left (ENOSPC)",
        ]
    );
    assert_eq!(found[1].evidence, ["7 write, 1 fsync failed with ENOSPC: no room is left"]);
    assert_eq!(names(&failed(vec![failure("/log", "write", libc::EAGAIN, 7)])), []);
}

fn life(stats: Stats) -> Facts {
    let row = Row { ino: None, ..row("/tmp/<uuid>/<n>.txt", Counters::default()) };
    let life = LifeRow { row, is_pattern: true, example: Some(b"/tmp/u/7.txt".to_vec()), stats };
    Facts { lives: vec![life], ..facts(Vec::new()) }
}

#[test]
fn files_that_are_made_and_removed() {
    let stats = |lives, mean_ns: u64, time_ns| Stats {
        files: lives,
        created: lives,
        deleted: lives,
        lives,
        life_ns: (lives * mean_ns, mean_ns, mean_ns),
        opens: 2 * lives,
        time_ns,
        bytes: Bytes { read: 2 << 30, written: 2 << 30, ..Bytes::default() },
        span_ns: Some((0, 3_100_000_000)),
        ..Stats::default()
    };
    let found = all(&life(stats(1009, 250_000_000, SECOND)));
    assert_eq!((found[0].rule, found[0].severity), ("temp-file-churn", Severity::Warning));
    assert_eq!(found[0].headline, "app (4711) makes and removes 1009 files /tmp/<uuid>/<n>.txt");
    assert_eq!(
        found[0].evidence,
        [
            "1009 files made and removed within 3.1s, 250ms old on average",
            "2GiB written, 2GiB read, 2.0 opens each; 10 % of the time in these calls",
            "for example /tmp/u/7.txt"
        ]
    );
    assert_eq!(names(&life(stats(1009, 250_000_000, SECOND / 100))), [("temp-file-churn", Severity::Info)]);
    assert_eq!(names(&life(stats(503, 250_000_000, SECOND / 100))), []);
    assert_eq!(names(&life(stats(97, 250_000_000, SECOND))), [], "a few");
    assert_eq!(names(&life(stats(1009, 11 * SECOND, SECOND))), [], "a spool");
    let replaced = Stats { replaced: 1009, ..stats(1009, 250_000_000, SECOND) };
    assert_eq!(names(&life(replaced)), [], "files that are replaced safely");
    let mut synced = stats(1009, 250_000_000, SECOND);
    synced.bytes.syncs = 1009;
    assert_eq!(names(&life(synced)), [], "a database's journal");
}

#[test]
fn a_file_that_is_opened_for_each_write() {
    let facts = |opens, writes, ns| {
        let counters = Counters { writes, write_bytes: writes * 58, write_ns: ns / 2, ..Counters::default() };
        let opened = Opened { count: opens, ns: ns / 2 };
        Facts { opens: [((4711, 1, 8), opened)].into(), ..facts(vec![row("/app.log", counters)]) }
    };
    assert_eq!(names(&facts(1009, 1009, SECOND)), [("reopened-per-write", Severity::Warning)]);
    assert_eq!(names(&facts(2003, 2003, SECOND / 100)), [("reopened-per-write", Severity::Info)]);
    assert_eq!(names(&facts(1009, 1009, SECOND / 100)), []);
    assert_eq!(names(&facts(97, 97, SECOND)), [], "a few");
    assert_eq!(names(&facts(1009, 9001, SECOND)), [], "many writes for each open");
    assert_eq!(names(&facts(1009, 101, SECOND)), [], "opened for something else");
    assert_eq!(names(&facts(20_011, 20_011, 2 * SECOND)).len(), 1, "nothing is said of small writes");
    let found = all(&facts(1009, 1009, SECOND));
    assert_eq!(
        found[0].evidence,
        [
            "1009 opens for writing, 101 a second, and 1009 writes of 58B",
            "10 % of the time in them: 496us for an open, 496us for a write"
        ]
    );
}

#[test]
fn processes_that_do_the_same_are_one_finding() {
    let commit = |sync_ns| Counters { writes: 101, write_bytes: 101, syncs: 101, sync_ns, ..Counters::default() };
    let of = |pid, ns| Row { pid: Some(pid), ..row("/wal", commit(ns)) };
    let found = all(&facts(vec![of(1, SECOND), of(2, 3 * SECOND), of(3, SECOND), row("/log", commit(2 * SECOND))]));
    let named: Vec<_> = found.iter().map(|found| (found.subject.pid.unwrap(), found.cost.as_secs())).collect();
    assert_eq!(named, [(2, 5), (4711, 2)]);
    assert_eq!(found[0].evidence.last().unwrap(), "2 more do the same: 1, 3");
    assert_eq!(found[0].proof.len(), 3);
}

#[test]
fn small_files_that_are_synced_one_by_one() {
    let files = |count: u64, size: u64, sync_ns| {
        let counters = Counters { writes: 1, write_bytes: size, syncs: 1, sync_ns, ..Counters::default() };
        facts((0..count).map(|n| row(&format!("/packages/{n}"), counters)).collect())
    };
    assert_eq!(names(&files(503, 2003, 12_000_000)), [("sync-per-file", Severity::Critical)]);
    assert_eq!(names(&files(503, 2003, 4_000_000)), [("sync-per-file", Severity::Warning)]);
    assert_eq!(names(&files(503, 2003, 400_000)), [], "a quick disk");
    assert_eq!(names(&files(503, 1 << 20, 12_000_000)), [], "large files");
    assert_eq!(names(&files(101, 2003, 12_000_000)), [], "few a second");
}

#[test]
fn each_rule_has_its_page() {
    for rule in RULES {
        assert!(rule.page.starts_with(&format!("# {}\n", rule.name)), "{}", rule.name);
        assert!(rule.page.contains("**Found when**") && rule.page.contains("**What to do**"), "{}", rule.name);
    }
}

#[path = "disk_saturated_tests.rs"]
mod saturated;

#[path = "waiting_tests.rs"]
mod waiting;

#[test]
fn files_of_an_image_that_are_copied_up() {
    use crate::view::copyup;
    let copied = |files: u64, bytes: u64, time_ns: u64| {
        let totals = copyup::Totals { files, bytes, time_ns, syncs: files, max_ns: time_ns / 2, ..Default::default() };
        let sums = copyup::Row { pid: Some(4711), totals, ..copyup::Row::default() };
        Facts {
            copy_ups: vec![CopiedUp { longest: row("/app/model", Counters::default()), sums }],
            ..facts(Vec::new())
        }
    };
    assert_eq!(names(&copied(7, 7 << 20, 6 * SECOND)), [("copy-up-storm", Severity::Critical)]);
    assert_eq!(names(&copied(7, 7 << 20, 2 * SECOND)), [("copy-up-storm", Severity::Warning)]);
    assert_eq!(names(&copied(1, 64 << 20, 1)), [("copy-up-storm", Severity::Warning)], "a large file");
    assert_eq!(names(&copied(7, 7 << 20, SECOND / 2)), []);
    let found = all(&copied(7, 7 << 20, 6 * SECOND));
    assert_eq!(
        found[0].headline,
        "app (4711) changes 7 files of its image, and waits while overlayfs copies all of each"
    );
    assert_eq!(found[0].evidence[0], "7 files and 0 directories, 7MiB: it waits for that 60 % of the time");
}
