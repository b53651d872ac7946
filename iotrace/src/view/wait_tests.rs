#![allow(clippy::unwrap_used)] // a test may panic
use super::*;
use crate::{
    event::{file::File, process::Process},
    kernel::reasons::Reason::{Io, Journal, Lock},
};
use iotrace_common::{
    file::FileKey,
    record::COMM_LEN,
    wait::{DEEP, WaitSum},
};

const SECOND: u64 = 1_000_000_000;
/// Files: a pipe and a regular one.
const PIPE: u64 = 1;
const LOG: u64 = 2;

fn names() -> Names {
    let mut names = Names::default();
    for (id, path, mode) in [(PIPE, "pipe:[7]", libc::S_IFIFO), (LOG, "/var/log/a", libc::S_IFREG)] {
        let key = FileKey { ino: id, state: mode, ..FileKey::default() };
        let path = Some(path.as_bytes().to_vec());
        names.add_file(File { id, key, fs: String::new(), path, cut: false, inside_fs: false });
    }
    for pid in [u32::MAX, u32::MAX - 1] {
        let comm = Comm([b'a'; COMM_LEN]);
        names.add_process(Process { pid, ppid: 1, uid: 0, start_ns: SECOND, comm, cgroup_id: 0, cgroup: "/".into() });
    }
    names
}

/// Waits of a thread in a call. `ns`: that are over.
fn wait(tid: u32, file: u64, number: libc::c_long, flags: u32, verdict: Verdict, ns: u64) -> Wait {
    let number = u32::try_from(number).unwrap_or(NO_CALL);
    let key = WaitKey { process_start_ns: SECOND, file, stack: 1, tid, pid: u32::MAX, number, flags };
    let sum = WaitSum { ns, count: u64::from(ns > 0), max_ns: ns, ..WaitSum::default() };
    Wait { key, sum, since_ns: None, verdict }
}

fn fsync(tid: u32, reason: Reason, ns: u64) -> Wait {
    let mut wait = wait(tid, LOG, libc::SYS_fsync, DEEP, Some(("f", reason)), ns);
    wait.key.stack = reason as u64;
    wait
}

fn since(waits: &mut Waits, all: &[Wait], now_ns: u64) -> Vec<WaitDelta> {
    let mut found = waits.since(all.iter().copied(), now_ns, &mut names(), &Selection::default());
    found.sort_by_key(|wait| (wait.delta.tid, wait.reason));
    found
}

/// Operation and reason of a wait.
fn judged(wait: Wait) -> Option<(&'static str, Option<Reason>)> {
    let found = since(&mut Waits::default(), &[wait], SECOND);
    found.first().map(|wait| (wait.op, wait.reason))
}

#[test]
fn the_stack_says_what_for_and_where_it_does_not_the_file_and_the_mark_do() {
    let read = |file, verdict, flags| judged(wait(9, file, libc::SYS_read, FROM_FILE | flags, verdict, 5));
    assert_eq!(read(LOG, Some(("io_schedule", Io)), DEEP), Some(("read", Some(Reason::Read))));
    assert_eq!(read(PIPE, None, 0), Some(("read", Some(Reason::PipeEmpty))));
    assert_eq!(judged(wait(9, PIPE, libc::SYS_write, 0, None, 5)), Some(("write", Some(Reason::PipeFull))));
    assert_eq!(read(LOG, None, DEEP | IOWAIT), Some(("read", Some(Reason::Io))));
    assert_eq!(read(LOG, None, DEEP), Some(("read", None)));
    assert_eq!(judged(fsync(9, Io, 5)), Some(("fsync", Some(Reason::Writeback))));
    assert_eq!(judged(wait(9, 0, -1, DEEP, Some(("f", Io)), 5)), Some((FAULT, Some(Reason::PageFault))));
    assert_eq!(
        judged(wait(9, 0, libc::SYS_unlinkat, DEEP, Some(("f", Journal)), 5)),
        Some(("unlinkat", Some(Journal)))
    );
}

#[test]
fn what_moves_no_bytes_waits_for_metadata() {
    let io = |number| judged(wait(9, 0, number, DEEP, Some(("f", Io)), 5));
    assert_eq!(io(libc::SYS_statx), Some(("statx", Some(Reason::Metadata))));
    assert_eq!(io(libc::SYS_openat), Some(("open", Some(Reason::Metadata))));
    assert_eq!(io(libc::SYS_execve), Some(("execve", Some(Io))));
}

#[test]
fn a_lock_or_an_unknown_sleep_counts_only_in_a_call_on_files() {
    let lock = Some(("mutex_lock", Lock));
    assert_eq!(judged(wait(9, 0, libc::SYS_wait4, DEEP, lock, 5)), None);
    assert_eq!(judged(wait(9, 0, libc::SYS_vfork, DEEP, None, 5)), None);
    assert_eq!(judged(wait(9, 0, libc::SYS_rename, DEEP, lock, 5)), Some(("rename", Some(Lock))));
    assert_eq!(judged(wait(9, 0, -1, DEEP, lock, 5)), Some((FAULT, Some(Lock))));
}

#[test]
fn looks_have_each_its_part_of_a_wait_that_goes_on() {
    let mut waits = Waits::default();
    let mut going_on = wait(9, PIPE, libc::SYS_write, 0, None, 0);
    going_on.since_ns = Some(SECOND);
    let part = |waits: &mut Waits, wait, now_ns| {
        let found = since(waits, &[wait], now_ns);
        found.first().map(|found| (found.ns, found.waits, found.max_ns, found.waiting))
    };
    assert_eq!(part(&mut waits, going_on, 3 * SECOND), Some((2 * SECOND, 0, 2 * SECOND, true)));
    assert_eq!(part(&mut waits, going_on, 4 * SECOND), Some((SECOND, 0, 3 * SECOND, true)));
    let over = wait(9, PIPE, libc::SYS_write, 0, None, 3 * SECOND + 7);
    assert_eq!(part(&mut waits, over, 9 * SECOND), Some((7, 1, 3 * SECOND + 7, false)));
    assert_eq!(part(&mut waits, over, 10 * SECOND), None);
}

#[test]
fn a_wait_in_progress_that_is_too_short_comes_later() {
    let mut waits = Waits::new(false, SECOND);
    let mut going_on = wait(9, PIPE, libc::SYS_write, 0, None, 0);
    going_on.since_ns = Some(SECOND);
    assert!(since(&mut waits, &[going_on], 2 * SECOND - 1).is_empty());
    assert_eq!(since(&mut waits, &[going_on], 3 * SECOND)[0].ns, 2 * SECOND);
}

#[test]
fn rows_are_told_apart_by_reason_and_their_parts_are_the_whole() {
    let all = [fsync(9, Journal, 100), fsync(9, Io, 20), fsync(8, Journal, 3), fsync(8, Lock, 1)];
    let deltas = since(&mut Waits::default(), &all, SECOND);
    let shown = |by| {
        let row = |row: WaitRow| (row.row.tid, row.op, row.reason, row.ns, row.waits, row.max_ns);
        rows(&deltas, by).into_iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(By::ProcessFile),
        [
            (None, "fsync", Some(Journal), 103, 2, 100),
            (None, "fsync", Some(Reason::Writeback), 20, 1, 20),
            (None, "fsync", Some(Lock), 1, 1, 1),
        ]
    );
    assert_eq!(shown(By::Thread).len(), 4);
    for by in [By::ProcessFile, By::Process, By::Thread, By::File, By::Dir, By::Disk, By::Container] {
        assert_eq!(shown(by).iter().map(|row| row.3).sum::<u64>(), 124, "{by:?}");
    }
}

#[test]
fn who_waits_for_input_comes_last() {
    let idle = wait(9, PIPE, libc::SYS_read, FROM_FILE, None, SECOND);
    let deltas = since(&mut Waits::default(), &[idle, fsync(8, Journal, 5)], SECOND);
    let reasons: Vec<_> = rows(&deltas, By::ProcessFile).into_iter().map(|row| row.reason.unwrap()).collect();
    assert_eq!(reasons, [Journal, Reason::PipeEmpty]);
}

#[test]
fn who_waits_at_the_other_end_of_a_pipe_is_a_peer() {
    let mut other = wait(5, PIPE, libc::SYS_write, 0, None, 5);
    other.key.pid = u32::MAX - 1;
    let deltas = since(&mut Waits::default(), &[wait(9, PIPE, libc::SYS_read, FROM_FILE, None, 5), other], SECOND);
    let pids = |row: &WaitRow| opposite(&deltas, row).into_iter().map(|(pid, _)| pid).collect::<Vec<_>>();
    let rows = rows(&deltas, By::ProcessFile);
    let found: Vec<_> = rows.iter().map(|row| (row.row.pid.unwrap(), pids(row))).collect();
    assert_eq!(found, [(u32::MAX - 1, vec![u32::MAX]), (u32::MAX, vec![u32::MAX - 1])]);
}

#[test]
fn a_process_is_one_however_its_start_was_told() {
    let mut earlier = wait(9, PIPE, libc::SYS_write, 0, None, 5);
    earlier.key.flags = iotrace_common::wait::EARLIER;
    let mut later = wait(9, PIPE, libc::SYS_write, 0, None, 6);
    later.key.process_start_ns += 9_999_999;
    let deltas = since(&mut Waits::default(), &[earlier, later], SECOND);
    assert_eq!(rows(&deltas, By::ProcessFile).into_iter().map(|row| row.ns).collect::<Vec<_>>(), [11]);
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut waits = Waits::default();
    since(&mut waits, &[fsync(9, Journal, 5), fsync(8, Journal, 5)], SECOND);
    let gone = waits.forget(|_, tid| tid == 8);
    assert_eq!((gone.iter().map(|key| key.tid).collect::<Vec<_>>(), waits.used()), (vec![9], 1));
}
