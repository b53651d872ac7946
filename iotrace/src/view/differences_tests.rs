#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    event::{file::File, process::Process},
    resolve::Disks,
};
use iotrace_common::{file::FileKey, record::COMM_LEN};
use std::path::Path;

/// A number that no process has: /proc is not asked.
const PID: u32 = 3_000_000_000;
/// Partition of a disk.
pub(in crate::view) const VDA1: u32 = (254 << 20) | 1;

pub(in crate::view) fn comm(name: &str) -> Comm {
    let mut comm = [0; COMM_LEN];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    Comm(comm)
}

pub(in crate::view) fn reads(reads: u64, bytes: u64, ns: u64) -> Counters {
    Counters { reads, read_bytes: bytes, read_ns: ns, max_ns: ns, ..Counters::default() }
}

pub(in crate::view) fn file(id: u64, path: Option<&str>) -> File {
    let key = FileKey { ino: 1000 + id, dev: VDA1, state: 0o100_644, ..FileKey::default() };
    File { id, key, fs: "ext4".into(), path: path.map(Into::into), cut: false, inside_fs: false }
}

pub(in crate::view) fn names() -> Names {
    let mut names = Names::default();
    names.disks = Disks::at(Path::new("/nowhere"), Path::new("/nowhere"));
    for id in 1..=4 {
        names.add_file(file(id, Some(&format!("/dir/{id}"))));
    }
    names
}

pub(in crate::view) fn sum(born_ns: u64, file: &File, counters: Counters) -> Sum {
    Sum {
        key: SumKey { born_ns, tid: PID, way: 0, file: file.key },
        file: file.id,
        process_start_ns: 1,
        pid: PID,
        uid: 0,
        comm: comm("worker").0,
        counters,
        ..Sum::default()
    }
}

/// Counters of one look at one slot; all zero when nothing came.
fn look(differences: &mut Differences, names: &mut Names, sum: Sum) -> Counters {
    total(
        differences
            .since([(1, sum)].into_iter(), names, &Selection::default())
            .calls
            .iter()
            .map(|delta| &delta.counters),
    )
}

pub(in crate::view) fn total<'a>(counters: impl Iterator<Item = &'a Counters>) -> Counters {
    counters.fold(Counters::default(), |mut total, counters| {
        total.add(counters);
        total
    })
}

#[test]
fn each_look_counts_what_came_since_the_last_one() {
    let (mut differences, mut names) = (Differences::default(), names());
    let mut look = |counters| look(&mut differences, &mut names, sum(1, &file(1, None), counters));
    assert_eq!(look(reads(5, 50, 500)), reads(5, 50, 500));
    assert_eq!(look(reads(5, 50, 500)), Counters::default());
    assert_eq!(look(reads(7, 73, 900)), Counters { max_ns: 900, ..reads(2, 23, 400) });
}

#[test]
fn a_slot_used_again_by_another_owner_counts_from_zero() {
    let (mut differences, mut names) = (Differences::default(), names());
    look(&mut differences, &mut names, sum(1, &file(1, None), reads(5, 50, 500)));
    let sums = [(1, sum(2, &file(2, None), reads(9, 90, 10)))];
    let deltas = differences.since(sums.into_iter(), &mut names, &Selection::default()).calls;
    assert_eq!(deltas[0].counters, reads(9, 90, 10));
    assert_eq!(deltas[0].file.as_ref().unwrap().file.path.as_deref(), Some(&b"/dir/2"[..]));
}

#[test]
fn the_slot_of_a_thread_that_is_gone_is_given_back_one_look_later() {
    let (mut differences, mut names) = (Differences::default(), names());
    let (old, new) = (sum(1, &file(1, None), reads(5, 50, 500)), sum(2, &file(1, None), reads(5, 50, 500)));
    look(&mut differences, &mut names, old);
    assert_eq!(differences.finished(|_, _| true), []);
    assert_eq!(differences.finished(|_, _| false), []);
    // What it did between that look and its end is read first.
    let last = Sum { counters: reads(6, 60, 600), ..old };
    assert_eq!(look(&mut differences, &mut names, last).reads, 1);
    assert_eq!(differences.finished(|_, _| false), [(1, old.key)]);
    assert_eq!(differences.finished(|_, _| false), []);
    // The old sum stays where it was, and is not counted again.
    assert_eq!(look(&mut differences, &mut names, last), Counters::default());
    assert_eq!(look(&mut differences, &mut names, new), reads(5, 50, 500));
    assert_eq!(differences.finished(|_, _| false), []);
    assert_eq!(differences.finished(|_, _| false), [(1, new.key)]);
}

/// Gives back the slots of all threads with this number.
pub(in crate::view) fn give_back(differences: &mut Differences, tid: u32) {
    differences.finished(|_, other| other != tid);
    differences.finished(|_, _| true);
}

/// The kernel side zeroes the counters of a slot before it writes the new owner's key.
#[test]
fn a_slot_taken_during_a_look_never_counts_backwards() {
    let (mut differences, mut names) = (Differences::default(), names());
    look(&mut differences, &mut names, sum(1, &file(1, None), reads(5, 50, 500)));
    give_back(&mut differences, sum(1, &file(1, None), reads(0, 0, 0)).key.tid);
    for half in [Counters::default(), reads(1, 10, 100)] {
        let half = sum(1, &file(1, None), half);
        let deltas = differences.since([(1, half)].into_iter(), &mut names, &Selection::default()).calls;
        assert!(deltas.iter().all(|delta| delta.counters.reads <= 1), "{deltas:?}");
    }
    assert_eq!(look(&mut differences, &mut names, sum(2, &file(1, None), reads(1, 10, 100))), reads(1, 10, 100));
}

/// The kernel side adds to the counters one after the other.
#[test]
fn a_look_in_the_middle_of_an_operation_loses_nothing() {
    let (mut differences, mut names) = (Differences::default(), names());
    let whole = reads(6, 60, 600);
    let middle = Counters { read_bytes: 60, read_ns: 600, max_ns: 600, ..reads(5, 50, 500) };
    let looks = [reads(5, 50, 500), middle, whole];
    let found = looks.map(|counters| look(&mut differences, &mut names, sum(1, &file(1, None), counters)));
    assert_eq!(total(found.iter()), whole);

    let found = looks.map(|counters| differences.other_since(counters));
    assert_eq!(total(found.iter().flatten()), whole);
}

/// Records are drained before sums are read: a new file's record may still be in the ring buffer.
#[test]
fn a_file_that_gets_its_name_after_a_look_is_not_lost_to_a_selection_by_path() {
    let (mut differences, mut names) = (Differences::default(), names());
    let selection =
        Selection { path: Some(globset::Glob::new("/late").unwrap().compile_matcher()), ..Selection::default() };
    let late = file(9, Some("/late"));
    let first = differences.since([(1, sum(1, &late, reads(5, 50, 500)))].into_iter(), &mut names, &selection).calls;
    names.add_file(late.clone());
    let second = differences.since([(1, sum(1, &late, reads(7, 70, 500)))].into_iter(), &mut names, &selection).calls;
    assert_eq!(total(first.iter().chain(&second).map(|delta| &delta.counters)), reads(7, 70, 500));
}

#[test]
fn a_file_that_the_list_of_names_forgot_keeps_its_name() {
    let (mut differences, mut names) = (Differences::default(), names());
    look(&mut differences, &mut names, sum(1, &file(1, None), reads(5, 50, 500)));
    let again = [(1, sum(1, &file(1, None), reads(6, 60, 500)))];
    let deltas = differences.since(again.into_iter(), &mut Names::default(), &Selection::default()).calls;
    assert_eq!(deltas[0].file.as_ref().unwrap().file.path.as_deref(), Some(&b"/dir/1"[..]));
}

#[test]
fn only_what_is_selected_has_a_delta() {
    let (mut differences, mut names) = (Differences::default(), names());
    names.add_process(Process {
        pid: PID,
        ppid: 1,
        uid: 0,
        start_ns: 1,
        comm: comm("app"),
        cgroup_id: 7,
        cgroup: "/a.slice/b.service".into(),
    });
    let sums = || (1..=3).map(|slot| (slot, sum(1, &file(slot.into(), None), reads(1, 1, 1))));
    let path = Selection {
        path: Some(globset::Glob::new("/dir/[13]").unwrap().compile_matcher()),
        cgroup: Some("/a.slice".into()),
        ..Selection::default()
    };
    let slots: Vec<u32> = differences.since(sums(), &mut names, &path).calls.iter().map(|delta| delta.slot).collect();
    assert_eq!(slots, [1, 3]);
    let elsewhere = Selection { cgroup: Some("/b.slice".into()), ..Selection::default() };
    assert!(Differences::default().since(sums(), &mut names, &elsewhere).calls.is_empty());
}

#[test]
fn what_found_no_slot_is_counted_by_difference_too() {
    let mut differences = Differences::default();
    assert_eq!(differences.other_since(Counters::default()), None);
    assert_eq!(differences.other_since(reads(5, 50, 500)), Some(reads(5, 50, 500)));
    assert_eq!(differences.other_since(reads(5, 50, 500)), None);
    assert_eq!(differences.other_since(reads(6, 60, 500)), Some(Counters { max_ns: 0, ..reads(1, 10, 0) }));
}

#[test]
fn a_maximum_shows_in_the_interval_that_has_it() {
    let (mut differences, mut names) = (Differences::default(), names());
    let mut max = |reads, max_ns| {
        let counters = Counters { reads, max_ns, sync_max_ns: max_ns, ..Counters::default() };
        let counters = look(&mut differences, &mut names, sum(1, &file(1, None), counters));
        assert_eq!(counters.max_ns, counters.sync_max_ns);
        counters.max_ns
    };
    assert_eq!(max(1, 700), 700);
    assert_eq!(max(2, 700), 0);
    assert_eq!(max(3, 701), 701);
}

/// The slots of a thread whose requests end on two CPUs, and of its mapping.
fn ways() -> [Sum; 3] {
    [WAY_ASYNC, WAY_ASYNC | 1, WAY_MAPPED].map(|way| {
        let own = sum(1, &file(1, None), reads(5, 50, 500));
        // No main thread: that is another.
        Sum { key: SumKey { tid: PID + 1, way, ..own.key }, ..own }
    })
}

#[test]
fn what_came_through_a_mapping_is_kept_apart() {
    let (mut differences, mut names) = (Differences::default(), names());
    let look = differences.since((1..).zip(ways()), &mut names, &Selection::default());
    let slots = |deltas: &[Delta]| deltas.iter().map(|delta| delta.slot).collect::<Vec<_>>();
    assert_eq!((slots(&look.calls), slots(&look.mapped)), (vec![1, 2], vec![3]));
    assert!(look.calls.iter().all(|delta| delta.tid == PID + 1));
}

#[test]
fn slots_of_requests_are_kept_as_long_as_the_process() {
    let (mut differences, mut names) = (Differences::default(), names());
    differences.since((1..).zip(ways()), &mut names, &Selection::default());
    let only_main = |_, tid| tid == PID;
    differences.finished(only_main);
    differences.since((1..).zip(ways()), &mut names, &Selection::default());
    assert_eq!(differences.finished(only_main), [(3, ways()[2].key)]);
    assert_eq!(differences.finished(|_, _| false), []);
    differences.since((1..).zip(ways()), &mut names, &Selection::default());
    let mut finished = differences.finished(|_, _| false);
    finished.sort_by_key(|(slot, _)| *slot);
    assert_eq!(finished, [(1, ways()[0].key), (2, ways()[1].key)]);
}

#[test]
fn a_request_that_ends_after_its_process_keeps_the_slot_for_another_look() {
    let (mut differences, mut names) = (Differences::default(), names());
    let mut late = ways()[0];
    look(&mut differences, &mut names, late);
    differences.finished(|_, _| false);
    // The bytes of a completion, and in the next look the rest of it.
    late.counters.read_bytes += 7;
    assert_eq!(look(&mut differences, &mut names, late), Counters::default());
    assert_eq!(differences.finished(|_, _| false), []);
    late.counters.reads += 1;
    assert_eq!(look(&mut differences, &mut names, late), Counters { read_bytes: 7, reads: 1, ..Counters::default() });
    assert_eq!(differences.finished(|_, _| false), []);
    assert_eq!(look(&mut differences, &mut names, late), Counters::default());
    assert_eq!(differences.finished(|_, _| false), [(1, late.key)]);
}
