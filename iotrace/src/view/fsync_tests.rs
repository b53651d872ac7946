#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    event::{Task, file::File},
    resolve::{Disks, names::FileInfo},
};
use iotrace_common::{file::FileKey, sum::Counters};
use proptest::prelude::*;
use std::{path::Path, sync::Arc};

const PID: u32 = 4711;
const DEV: u32 = 254 << 20;

fn file(id: u64, path: Option<&str>) -> File {
    let key = FileKey { ino: id, dev: DEV, state: 0o100_644, ..FileKey::default() };
    File { id, key, fs: "ext4".into(), path: path.map(Into::into), cut: false, inside_fs: false }
}

/// Two files with a path, two without.
fn files() -> [File; 4] {
    [file(1, Some("/1")), file(2, Some("/2")), file(3, None), file(4, None)]
}

fn names() -> Names {
    let mut names = Names::default();
    names.disks = Disks::at(Path::new("/nowhere"), Path::new("/nowhere"));
    files().into_iter().for_each(|file| names.add_file(file));
    names
}

fn io(id: u64, latency_ns: u64) -> Io {
    Io {
        operation: Operation::Fsync,
        call: "fsync",
        begin_ns: 0,
        latency_ns,
        task: Task { pid: PID, tid: PID, ..Task::default() },
        file: id,
        inode: (id != 0).then_some((id, DEV)),
        offset: None,
        requested: None,
        result: Ok(0),
        file_flags: 0,
        sync: false,
    }
}

/// What the kernel side added up of a file meanwhile. 0: of no file.
fn delta(id: u64, counters: Counters) -> Delta {
    let file = files().into_iter().find(|file| file.id == id);
    Delta {
        slot: 1,
        pid: PID,
        tid: PID,
        comm: crate::event::Comm::default(),
        process: None,
        process_start_ns: 1,
        inode: file.as_ref().map(|file| (file.key.dev, file.key.ino)),
        file: file.map(|file| Arc::new(FileInfo { file, disk: None, on_host: None })),
        everything: false,
        counters,
    }
}

/// Syncs of a file in a first interval, so that the maximum is known.
fn synced(id: u64, latencies: &[u64]) -> Delta {
    let max = latencies.iter().copied().max().unwrap_or(0);
    let syncs = latencies.len() as u64;
    let sync_ns = latencies.iter().sum();
    delta(id, Counters { syncs, sync_ns, max_ns: max, sync_max_ns: max, ..Counters::default() })
}

/// Requests of one thread that end on two CPUs have two sums.
#[test]
fn syncs_by_requests_are_syncs_of_their_file() {
    let mut ledger = Ledger::default();
    for latency_ns in [100, 300] {
        ledger.add(&Io { call: "io_uring", ..io(1, latency_ns) }, &names());
    }
    let found = ledger.rows(&[synced(1, &[100]), synced(1, &[300])], None);
    assert_eq!((found.len(), found[0].syncs(), found[0].total_ns()), (1, 2, 400));
    assert_eq!(found[0].percentiles, Some((100, 300)));
}

fn ledger(syncs: &[(u64, u64)]) -> Ledger {
    let (mut ledger, names) = (Ledger::default(), names());
    for (id, latency_ns) in syncs {
        ledger.add(&io(*id, *latency_ns), &names);
    }
    ledger
}

fn percentiles(rows: &[SyncRow], path: Option<&str>) -> Option<(u64, u64)> {
    rows.iter().find(|row| row.row.path.as_deref() == path.map(str::as_bytes)).unwrap().percentiles
}

#[test]
fn percentiles_are_those_of_all_syncs() {
    let latencies: Vec<u64> = (1..=100).collect();
    let mut ledger = ledger(&latencies.iter().map(|ns| (1, *ns)).collect::<Vec<_>>());
    assert_eq!(percentiles(&ledger.rows(&[synced(1, &latencies)], None), Some("/1")), Some((50, 99)));
}

#[test]
fn without_every_sync_there_are_no_percentiles() {
    // One event was lost, none came, and one too many came: from just before the interval.
    for seen in [&[(1, 5)][..], &[], &[(1, 5), (1, 6), (1, 7)]] {
        assert_eq!(percentiles(&ledger(seen).rows(&[synced(1, &[5, 6])], None), Some("/1")), None);
    }
}

#[test]
fn each_interval_has_percentiles_of_its_own() {
    let mut ledger = ledger(&[(1, 5), (1, 6)]);
    ledger.rows(&[synced(1, &[5, 6])], None);
    ledger.add(&io(1, 7), &names());
    assert_eq!(percentiles(&ledger.rows(&[synced(1, &[7])], None), Some("/1")), Some((7, 7)));
}

/// The kernel side keeps the longest of all time: in a later interval that is not known (`Counters::since`).
#[test]
fn an_interval_without_a_new_maximum_has_percentiles_too() {
    let mut ledger = ledger(&[(1, 900), (1, 800)]);
    let later = delta(1, Counters { syncs: 2, sync_ns: 1700, ..Counters::default() });
    assert_eq!(percentiles(&ledger.rows(&[later], None), Some("/1")), Some((800, 900)));
}

/// One thread's longest sync of all time came now, the other's longer one before.
#[test]
fn one_threads_maximum_does_not_cut_anothers_percentiles() {
    let mut ledger = ledger(&[(1, 100), (1, 800)]);
    let (new, old) = (synced(1, &[100]), delta(1, Counters { syncs: 1, sync_ns: 800, ..Counters::default() }));
    assert_eq!(percentiles(&ledger.rows(&[new, old], None), Some("/1")), Some((100, 800)));
}

#[test]
fn the_longest_sync_is_never_shorter_than_the_mean() {
    let mut ledger = ledger(&[(1, 900), (1, 800)]);
    let later = delta(1, Counters { syncs: 2, sync_ns: 1700, ..Counters::default() });
    let row = ledger.rows(&[later], None).remove(0);
    assert!(row.row.counters.sync_max_ns >= row.total_ns() / row.syncs(), "{row:?}");
}

#[test]
fn writes_that_sync_by_themselves_count_and_others_do_not() {
    let (mut ledger, names) = (Ledger::default(), names());
    let write = Io { operation: Operation::Write, call: "write", result: Ok(58), ..io(1, 40) };
    ledger.add(&write, &names);
    ledger.add(&Io { operation: Operation::Read, call: "read", ..write.clone() }, &names);
    ledger.add(&Io { sync: true, ..write }, &names);
    ledger.add(&io(1, 60), &names);
    let counters = Counters {
        writes: 2,
        write_bytes: 116,
        write_ns: 80,
        sync_writes: 1,
        sync_write_ns: 40,
        syncs: 1,
        sync_ns: 60,
        sync_max_ns: 60,
        ..Counters::default()
    };
    let rows = ledger.rows(&[delta(1, counters)], None);
    assert_eq!((rows[0].syncs(), rows[0].total_ns(), rows[0].percentiles), (2, 100, Some((40, 60))));
}

#[test]
fn a_file_that_was_only_written_has_no_row() {
    let written = delta(1, Counters { writes: 9, write_bytes: 9, write_ns: 9, ..Counters::default() });
    assert_eq!(Ledger::default().rows(&[written], None), []);
}

#[test]
fn the_most_expensive_comes_first_whichever_kind_of_sync_it_is() {
    let write =
        delta(2, Counters { writes: 1, write_ns: 50, sync_writes: 1, sync_write_ns: 50, ..Counters::default() });
    let rows = Ledger::default().rows(&[synced(1, &[10, 10, 10]), write, synced(0, &[40])], None);
    assert_eq!(rows.iter().map(SyncRow::total_ns).collect::<Vec<_>>(), [50, 40, 30]);
}

#[test]
fn syncs_of_everything_are_a_row_of_no_file() {
    let rows = ledger(&[(0, 7), (1, 3)]).rows(&[synced(0, &[7]), synced(1, &[3])], None);
    assert_eq!(
        (rows[0].row.ino, percentiles(&rows, None), percentiles(&rows, Some("/1"))),
        (None, Some((7, 7)), Some((3, 3)))
    );
}

#[test]
fn files_without_a_path_have_percentiles_of_their_own() {
    let mut ledger = ledger(&[(3, 10), (4, 20)]);
    let rows = ledger.rows(&[synced(3, &[10]), synced(4, &[20])], None);
    let found: Vec<_> = rows.iter().map(|row| (row.row.ino, row.percentiles)).collect();
    assert_eq!(found, [(Some(4), Some((20, 20))), (Some(3), Some((10, 10)))]);
}

#[test]
fn a_sync_of_another_file_does_not_stand_in_for_a_lost_one() {
    // Of the two syncs of the first file one was lost.
    let rows = ledger(&[(3, 10), (4, 2)]).rows(&[synced(3, &[10, 30]), synced(4, &[2])], None);
    assert_eq!((rows[0].row.ino, rows[0].percentiles), (Some(3), None));
}

/// The same thing by and to others.
fn by(pid: u32, tid: u32, delta: Delta) -> Delta {
    Delta { pid, tid, ..delta }
}

/// A ledger that has seen syncs: process, thread, file, latency.
fn ledger_by(what: By, seen: &[(u32, u32, u64, u64)]) -> Ledger {
    let mut ledger = Ledger::new(what);
    for (pid, tid, id, latency_ns) in seen.iter().copied() {
        ledger.add(&Io { task: Task { pid, tid, ..Task::default() }, ..io(id, latency_ns) }, &names());
    }
    ledger
}

fn written(id: u64, writes: u64) -> Delta {
    delta(id, Counters { writes, ..Counters::default() })
}

#[test]
fn rows_of_more_have_percentiles_of_all_their_syncs() {
    let seen = [(1, 1, 1, 10), (1, 2, 1, 20), (1, 1, 2, 30), (2, 2, 2, 40)];
    let sums = [
        by(1, 1, synced(1, &[10])),
        by(1, 2, synced(1, &[20])),
        by(1, 1, synced(2, &[30])),
        by(2, 2, synced(2, &[40])),
    ];
    for (what, expected) in [
        (By::ProcessFile, &[(40, Some((40, 40))), (30, Some((10, 20))), (30, Some((30, 30)))][..]),
        (By::Thread, &[(40, Some((40, 40))), (30, Some((30, 30))), (20, Some((20, 20))), (10, Some((10, 10)))]),
        (By::Process, &[(60, Some((20, 30))), (40, Some((40, 40)))]),
        (By::File, &[(70, Some((30, 40))), (30, Some((10, 20)))]),
        (By::Dir, &[(100, Some((20, 40)))]),
        (By::Disk, &[(100, Some((20, 40)))]),
        (By::Container, &[(100, Some((20, 40)))]),
    ] {
        let rows = ledger_by(what, &seen).rows(&sums, None);
        let mut found: Vec<_> = rows.iter().map(|row| (row.total_ns(), row.percentiles)).collect();
        found.sort_by_key(|row| std::cmp::Reverse((row.0, row.1.map(|(_, p99)| std::cmp::Reverse(p99)))));
        assert_eq!(found, expected, "{what:?}");
    }
}

/// The number of syncs that were lost of one file is that of another that came from before the interval.
#[test]
fn a_row_of_several_files_has_no_percentiles_when_a_sync_of_one_is_missing() {
    let sums = [synced(1, &[10, 20]), synced(2, &[30])];
    let all = ledger_by(By::Process, &[(PID, PID, 1, 10), (PID, PID, 2, 30), (PID, PID, 2, 40)]).rows(&sums, None);
    assert_eq!((all.len(), all[0].syncs(), all[0].percentiles), (1, 3, None));
}

#[test]
fn a_process_number_used_again_has_no_percentiles() {
    let later = Delta { process_start_ns: 2, ..synced(1, &[20]) };
    let rows = ledger_by(By::Process, &[(PID, PID, 1, 10), (PID, PID, 1, 20)]).rows(&[synced(1, &[10]), later], None);
    assert_eq!(rows.iter().map(|row| row.percentiles).collect::<Vec<_>>(), [None, None]);
}

#[test]
fn writes_count_where_the_row_synced_the_file() {
    // One process writes what the other syncs, and a file that nobody syncs.
    let sums =
        [by(1, 1, written(1, 5)), by(2, 2, synced(1, &[10])), by(2, 2, written(1, 3)), by(2, 2, written(2, 100))];
    for (what, writes) in [(By::ProcessFile, 3), (By::Process, 3), (By::File, 8), (By::Dir, 8), (By::Container, 8)] {
        let rows = ledger_by(what, &[]).rows(&sums, None);
        assert_eq!(rows.iter().map(|row| row.row.counters.writes).collect::<Vec<_>>(), [writes], "{what:?}");
    }
}

proptest! {
    #[test]
    fn percentiles_are_near_the_true_ones(latencies in prop::collection::vec(1..100_000_000_000_u64, 1..300)) {
        let mut ledger = ledger(&latencies.iter().map(|ns| (1, *ns)).collect::<Vec<_>>());
        let (p50, p99) = percentiles(&ledger.rows(&[synced(1, &latencies)], None), Some("/1")).unwrap();
        let mut sorted = latencies;
        sorted.sort_unstable();
        let at = |per_cent: usize| sorted[(sorted.len() * per_cent).div_ceil(100) - 1];
        for (found, true_value) in [(p50, at(50)), (p99, at(99))] {
            prop_assert!(found.abs_diff(true_value) as f64 <= true_value as f64 * 0.002, "{found} {true_value}");
        }
        prop_assert!(p50 <= p99 && p99 <= *sorted.last().unwrap());
    }
}
