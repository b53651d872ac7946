#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    event::{file::File, process::Process},
    resolve::Disks,
};
use clap::ValueEnum;
use iotrace_common::{file::FileKey, record::COMM_LEN};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

/// A number that no process has: /proc is not asked.
const PID: u32 = 3_000_000_000;
/// Partition of a disk.
const VDA1: u32 = (254 << 20) | 1;
/// Another disk.
const VDB: u32 = (254 << 20) | 16;

fn comm(name: &str) -> Comm {
    let mut comm = [0; COMM_LEN];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    Comm(comm)
}

fn reads(reads: u64, bytes: u64, ns: u64) -> Counters {
    Counters { reads, read_bytes: bytes, read_ns: ns, max_ns: ns, ..Counters::default() }
}

fn file(id: u64, path: Option<&str>) -> File {
    let key = FileKey { ino: 1000 + id, dev: VDA1, state: 0o100_644, ..FileKey::default() };
    File { id, key, fs: "ext4".into(), path: path.map(Into::into), cut: false }
}

fn names() -> Names {
    let mut names = Names::default();
    names.disks = Disks::at(Path::new("/nowhere"), Path::new("/nowhere"));
    for id in 1..=4 {
        names.add_file(file(id, Some(&format!("/dir/{id}"))));
    }
    names
}

fn sum(born_ns: u64, file: &File, counters: Counters) -> Sum {
    Sum {
        key: SumKey { born_ns, tid: PID, _pad: 0, file: file.key },
        file: file.id,
        process_start_ns: 1,
        pid: PID,
        uid: 0,
        comm: comm("worker").0,
        counters,
    }
}

/// Counters of one look at one slot; all zero when nothing came.
fn look(differences: &mut Differences, names: &mut Names, sum: Sum) -> Counters {
    total(differences.since([(1, sum)].into_iter(), names, &Selection::default()).iter().map(|delta| &delta.counters))
}

fn total<'a>(counters: impl Iterator<Item = &'a Counters>) -> Counters {
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
    let deltas = differences.since(
        [(1, sum(2, &file(2, None), reads(9, 90, 10)))].into_iter(),
        &mut names,
        &Selection::default(),
    );
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
fn give_back(differences: &mut Differences, tid: u32) {
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
        let deltas = differences.since([(1, half)].into_iter(), &mut names, &Selection::default());
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
    let first = differences.since([(1, sum(1, &late, reads(5, 50, 500)))].into_iter(), &mut names, &selection);
    names.add_file(late.clone());
    let second = differences.since([(1, sum(1, &late, reads(7, 70, 500)))].into_iter(), &mut names, &selection);
    assert_eq!(total(first.iter().chain(&second).map(|delta| &delta.counters)), reads(7, 70, 500));
}

#[test]
fn a_file_that_the_list_of_names_forgot_keeps_its_name() {
    let (mut differences, mut names) = (Differences::default(), names());
    look(&mut differences, &mut names, sum(1, &file(1, None), reads(5, 50, 500)));
    let again = [(1, sum(1, &file(1, None), reads(6, 60, 500)))];
    let deltas = differences.since(again.into_iter(), &mut Names::default(), &Selection::default());
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
    let slots: Vec<u32> = differences.since(sums(), &mut names, &path).iter().map(|delta| delta.slot).collect();
    assert_eq!(slots, [1, 3]);
    let elsewhere = Selection { cgroup: Some("/b.slice".into()), ..Selection::default() };
    assert!(Differences::default().since(sums(), &mut names, &elsewhere).is_empty());
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

/// What `rows` groups: a process (its number and its start are one here), a thread and a file.
fn delta(pid: u32, tid: u32, path: Option<&str>, ino: u64, counters: Counters) -> Delta {
    let disk = Disk { name: "vda1".into(), disk: "vda".into(), whole: 254 << 20 };
    let file = File { key: FileKey { ino, dev: VDA1, ..FileKey::default() }, ..file(ino, path) };
    Delta {
        slot: 0,
        pid,
        tid,
        comm: comm(&format!("t{tid}")),
        process: None,
        process_start_ns: pid.into(),
        file: Some(Arc::new(FileInfo { file, disk: Some(Arc::new(disk)) })),
        inode: Some((VDA1, ino)),
        everything: false,
        counters,
    }
}

/// Two processes, one of two threads, three files in two directories.
fn deltas() -> Vec<Delta> {
    vec![
        delta(1, 1, Some("/a/x"), 10, reads(1, 1, 1)),
        delta(1, 2, Some("/a/x"), 10, reads(2, 2, 2)),
        delta(1, 2, Some("/a/y"), 11, reads(4, 4, 4)),
        delta(2, 2, Some("/a/x"), 10, reads(8, 8, 8)),
        delta(2, 2, Some("/z"), 12, reads(16, 16, 16)),
    ]
}

/// Process, thread, path and reads.
type Shown = (Option<u32>, Option<u32>, Option<String>, u64);

/// Rows in order.
fn shown(by: By) -> Vec<Shown> {
    let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
    rows(&deltas(), None, by, Sort::Reads)
        .into_iter()
        .map(|row| (row.pid, row.tid, row.path.map(text), row.counters.reads))
        .collect()
}

#[test]
fn threads_merge_into_the_rows_of_their_process() {
    let path = |path: &str| Some(path.to_owned());
    assert_eq!(
        shown(By::ProcessFile),
        [
            (Some(2), None, path("/z"), 16),
            (Some(2), None, path("/a/x"), 8),
            (Some(1), None, path("/a/y"), 4),
            (Some(1), None, path("/a/x"), 3),
        ]
    );
    assert_eq!(shown(By::Process), [(Some(2), None, None, 24), (Some(1), None, None, 7)]);
}

#[test]
fn by_thread_each_thread_has_its_rows() {
    let path = |path: &str| Some(path.to_owned());
    assert_eq!(
        shown(By::Thread),
        [
            (Some(2), Some(2), path("/z"), 16),
            (Some(2), Some(2), path("/a/x"), 8),
            (Some(1), Some(2), path("/a/y"), 4),
            (Some(1), Some(2), path("/a/x"), 2),
            (Some(1), Some(1), path("/a/x"), 1),
        ]
    );
}

#[test]
fn by_file_directory_and_disk_processes_merge() {
    let path = |path: &str| Some(path.to_owned());
    assert_eq!(
        shown(By::File),
        [(None, None, path("/z"), 16), (None, None, path("/a/x"), 11), (None, None, path("/a/y"), 4)]
    );
    assert_eq!(shown(By::Dir), [(None, None, path("/"), 16), (None, None, path("/a"), 15)]);
    assert_eq!(shown(By::Disk), [(None, None, None, 31)]);
    let disk = rows(&deltas(), None, By::Disk, Sort::Reads).remove(0);
    assert_eq!((disk.disk.unwrap().disk.as_str(), disk.dev), ("vda", Some(254 << 20)));
}

#[test]
fn partitions_of_a_disk_merge_and_disks_do_not() {
    let mut both = vec![delta(1, 1, Some("/a"), 1, reads(1, 1, 1)), delta(1, 1, Some("/b"), 2, reads(2, 2, 2))];
    let whole = Disk { name: "vda".into(), disk: "vda".into(), whole: 254 << 20 };
    let other = Disk { name: "vdb".into(), disk: "vdb".into(), whole: VDB };
    for (disk, dev, reads) in [(whole, 254 << 20, vec![3]), (other, VDB, vec![2, 1])] {
        let file = both[1].file.as_ref().unwrap().file.clone();
        both[1].file = Some(Arc::new(FileInfo { file, disk: Some(Arc::new(disk)) }));
        both[1].inode = Some((dev, 2));
        let rows = rows(&both, None, By::Disk, Sort::Reads);
        assert_eq!(rows.iter().map(|row| row.counters.reads).collect::<Vec<_>>(), reads);
    }
}

#[test]
fn a_row_says_only_what_all_of_it_has_in_common() {
    for by in By::value_variants() {
        for row in rows(&deltas(), None, *by, Sort::Bytes) {
            assert_eq!(row.pid.is_some(), matches!(by, By::ProcessFile | By::Process | By::Thread), "{by:?}");
            assert_eq!(row.comm.is_some(), row.pid.is_some(), "{by:?}");
            assert_eq!(row.tid.is_some(), *by == By::Thread, "{by:?}");
            assert_eq!(row.ino.is_some(), matches!(by, By::ProcessFile | By::Thread | By::File), "{by:?}");
            assert_eq!(row.disk.is_some(), *by != By::Process, "{by:?}");
            assert_eq!(row.fs.is_some(), !matches!(by, By::Process | By::Disk), "{by:?}");
        }
    }
}

#[test]
fn a_row_has_the_name_of_its_process_unless_it_is_of_a_thread() {
    let process =
        Process { pid: 1, ppid: 0, uid: 0, start_ns: 1, comm: comm("main"), cgroup_id: 0, cgroup: "/".into() };
    let process = Arc::new(ProcessInfo { process, container: None });
    let known = Delta { process: Some(process), ..delta(1, 5, Some("/a"), 1, reads(1, 1, 1)) };
    let name = |delta: &Delta, by| rows(std::slice::from_ref(delta), None, by, Sort::Bytes)[0].comm;
    assert_eq!(name(&known, By::ProcessFile), Some(comm("main")));
    assert_eq!(name(&known, By::Process), Some(comm("main")));
    assert_eq!(name(&known, By::Thread), Some(comm("t5")));
    assert_eq!(name(&Delta { process: None, ..known }, By::Process), Some(comm("t5")));
}

#[test]
fn a_process_number_used_again_has_rows_of_its_own() {
    let first = delta(1, 1, Some("/a"), 1, reads(1, 1, 1));
    let second = Delta { process_start_ns: 99, ..first.clone() };
    assert_eq!(rows(&[first.clone(), second.clone()], None, By::Process, Sort::Bytes).len(), 2);
    assert_eq!(rows(&[first, second], None, By::File, Sort::Bytes).len(), 1);
}

#[test]
fn several_inodes_under_one_path_are_one_row_without_inode() {
    let one = delta(1, 1, Some("/a"), 1, reads(1, 1, 1));
    let other = delta(1, 1, Some("/a"), 2, reads(2, 2, 2));
    for order in [[&one, &other, &one], [&one, &one, &other], [&other, &one, &other]] {
        let found = rows(&order.map(Clone::clone), None, By::ProcessFile, Sort::Bytes);
        assert_eq!((found.len(), found[0].ino), (1, None));
    }
    assert_eq!(rows(&[one.clone(), one], None, By::File, Sort::Bytes)[0].ino, Some(1));
}

#[test]
fn files_without_a_path_stay_apart_by_inode() {
    let lost = Delta { file: None, ..delta(1, 1, None, 3, reads(3, 3, 3)) };
    let unnamed =
        [delta(1, 1, None, 1, reads(1, 1, 1)), delta(1, 1, None, 2, reads(2, 2, 2)), lost.clone(), lost.clone()];
    for by in [By::ProcessFile, By::Thread, By::File] {
        let found = rows(&unnamed, None, by, Sort::Reads);
        assert_eq!(found.iter().map(|row| row.ino).collect::<Vec<_>>(), [Some(3), Some(2), Some(1)]);
        assert!(found.iter().all(|row| row.path.is_none()));
    }
    // Of no file at all: sync().
    let nothing = Delta { inode: None, ..lost };
    let found = rows(&[nothing.clone(), nothing], None, By::ProcessFile, Sort::Bytes);
    assert_eq!((found.len(), found[0].ino, found[0].dev), (1, None, None));
}

#[test]
fn what_found_no_slot_is_a_row_of_no_process_sorted_like_any_other() {
    let found = rows(&deltas(), Some(reads(5, 5, 5)), By::ProcessFile, Sort::Reads);
    let other = &found[2];
    assert_eq!((other.path.as_deref(), other.pid, other.ino), (Some(OTHER_FILES.as_bytes()), None, None));
    assert_eq!(found.iter().map(|row| row.counters.reads).collect::<Vec<_>>(), [16, 8, 5, 4, 3]);
}

#[test]
fn each_key_sorts_by_its_own_counter() {
    let of = |sort| match sort {
        Sort::Reads => Counters { reads: 99, ..Counters::default() },
        Sort::Writes => Counters { writes: 99, ..Counters::default() },
        Sort::ReadBytes => Counters { read_bytes: 60, ..Counters::default() },
        Sort::WriteBytes => Counters { write_bytes: 61, ..Counters::default() },
        Sort::Bytes => Counters { read_bytes: 59, write_bytes: 60, ..Counters::default() },
        Sort::Syncs => Counters { syncs: 49, sync_writes: 50, ..Counters::default() },
        Sort::Time => Counters { read_ns: 30, write_ns: 30, sync_ns: 30, ..Counters::default() },
        Sort::Errors => Counters { errors: 99, ..Counters::default() },
    };
    let all: Vec<Delta> =
        (0..).zip(Sort::value_variants()).map(|(pid, sort)| delta(pid, pid, Some("/a"), 1, of(*sort))).collect();
    for (pid, sort) in (0..).zip(Sort::value_variants()) {
        assert_eq!(rows(&all, None, By::Process, *sort)[0].pid, Some(pid), "{sort:?}");
    }
}

#[test]
fn ties_are_in_the_order_of_time_then_process_thread_and_path() {
    let all = [
        delta(2, 1, Some("/a"), 1, reads(1, 1, 1)),
        delta(1, 2, Some("/b"), 1, reads(1, 1, 1)),
        delta(1, 2, Some("/a"), 1, reads(1, 1, 1)),
        delta(1, 1, Some("/b"), 1, reads(1, 1, 1)),
        delta(9, 9, Some("/z"), 1, reads(1, 1, 2)),
    ];
    let found: Vec<_> = rows(&all, None, By::Thread, Sort::Reads)
        .into_iter()
        .map(|row| (row.pid.unwrap(), row.tid.unwrap(), row.path.unwrap()[1]))
        .collect();
    assert_eq!(found, [(9, 9, b'z'), (1, 1, b'b'), (1, 2, b'a'), (1, 2, b'b'), (2, 1, b'a')]);
}

#[test]
fn rows_that_differ_only_in_device_or_inode_have_a_fixed_order() {
    let on = |dev, path, ino| Delta { inode: Some((dev, ino)), ..delta(1, 1, path, ino, reads(1, 1, 1)) };
    let mut all: Vec<Delta> = (0..8).map(|dev| on(dev, Some("/etc/hosts"), 1)).collect();
    all.extend((0..8).map(|ino| on(VDB, None, ino)));
    let order =
        |all: &[Delta]| rows(all, None, By::File, Sort::Bytes).iter().map(|row| (row.dev, row.ino)).collect::<Vec<_>>();
    let first = order(&all);
    all.reverse();
    assert_eq!(order(&all), first);
}

#[test]
fn a_directory_is_what_comes_before_the_last_slash() {
    for (path, expected) in [("/a/b", "/a"), ("/a", "/"), ("/", "/"), ("…/d/f", "…/d"), ("pipe:[7]", "pipe:[7]")] {
        assert_eq!(directory(path.as_bytes()), expected.as_bytes());
    }
}

fn any_counters() -> impl Strategy<Value = Counters> {
    prop::array::uniform13(0..1_u64 << 40).prop_map(bytemuck::cast)
}

fn any_delta() -> impl Strategy<Value = Delta> {
    let path = prop::sample::select(&[None, Some("/a/x"), Some("/a/y"), Some("/z"), Some("pipe:[7]")][..]);
    (0..3_u32, 0..3_u32, path, 0..3_u64, prop::option::of(0..3_u32), any::<bool>(), any_counters()).prop_map(
        |(pid, tid, path, ino, dev, named, counters)| {
            let mut delta = delta(pid, tid, path, ino, counters);
            delta.inode = dev.map(|dev| (dev, ino));
            delta.file = delta.file.filter(|_| named);
            delta
        },
    )
}

fn any_by() -> impl Strategy<Value = By> {
    prop::sample::select(By::value_variants())
}

/// One operation, as the kernel side adds it.
fn any_operation() -> impl Strategy<Value = Counters> {
    (0..3, 0..5_000_u64, 1..1_000_u64, any::<bool>(), any::<bool>()).prop_map(|(kind, bytes, ns, sync, failed)| {
        let bytes = if failed { 0 } else { bytes };
        let mut one = Counters { max_ns: ns, errors: failed.into(), ..Counters::default() };
        match kind {
            0 => one = Counters { reads: 1, read_bytes: bytes, read_ns: ns, ..one },
            1 => one = Counters { writes: 1, write_bytes: bytes, write_ns: ns, ..one },
            _ => one = Counters { syncs: 1, sync_ns: ns, sync_max_ns: ns, ..one },
        }
        if kind == 1 && sync && !failed {
            one = Counters { sync_writes: 1, sync_write_ns: ns, sync_max_ns: ns, ..one };
        }
        one
    })
}

#[derive(Clone, Debug)]
enum Step {
    /// An operation by the owner of a slot.
    Operation(u32, Counters),
    /// The end of an interval.
    Look,
    /// The owner of a slot ended, and the slot is given back.
    Leave(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_u32, any_operation()).prop_map(|(slot, operation)| Step::Operation(slot, operation)),
        2 => Just(Step::Look),
        1 => (1..6_u32).prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn rows_add_up_to_the_sums_whatever_they_are_of(
        deltas in prop::collection::vec(any_delta(), 0..40),
        other in prop::option::of(any_counters()),
        by in any_by(),
        sort in prop::sample::select(Sort::value_variants()),
    ) {
        let found = rows(&deltas, other, by, sort);
        let expected = total(deltas.iter().map(|delta| &delta.counters).chain(&other));
        prop_assert_eq!(total(found.iter().map(|row| &row.counters)), expected);
        prop_assert!(found.is_sorted_by_key(|row| Reverse(sort.value(&row.counters))));
    }

    #[test]
    fn intervals_add_up_to_the_whole_however_it_is_split(
        steps in prop::collection::vec(any_step(), 0..120),
        by in any_by(),
    ) {
        let (mut differences, mut names) = (Differences::default(), names());
        let mut memory: BTreeMap<u32, Sum> = BTreeMap::new();
        let (mut changed, mut left) = (HashSet::new(), HashSet::new());
        let mut truth: BTreeMap<Option<Vec<u8>>, Counters> = BTreeMap::new();
        let mut all = Vec::new();
        let mut born_ns = 0;
        for step in steps.into_iter().chain([Step::Look]) {
            match step {
                Step::Operation(slot, operation) => {
                    if left.remove(&slot) || !memory.contains_key(&slot) {
                        born_ns += 1;
                        let mut new = sum(born_ns, &file(1 + born_ns % 4, None), Counters::default());
                        new.key.tid = slot;
                        memory.insert(slot, new);
                    }
                    let sum = memory.get_mut(&slot).unwrap();
                    sum.counters.add(&operation);
                    changed.insert(slot);
                    truth.entry(Some(format!("/dir/{}", sum.file).into_bytes())).or_default().add(&operation);
                }
                Step::Leave(slot) => {
                    // Only a slot whose last operation was seen is given back.
                    if memory.contains_key(&slot) && !changed.contains(&slot) && left.insert(slot) {
                        give_back(&mut differences, slot);
                    }
                }
                Step::Look => {
                    let sums = memory.iter().map(|(slot, sum)| (*slot, *sum));
                    let deltas = differences.since(sums, &mut names, &Selection::default());
                    let active: HashSet<u32> = deltas.iter().map(|delta| delta.slot).collect();
                    prop_assert_eq!(&active, &changed);
                    all.extend(rows(&deltas, None, by, Sort::default()));
                    changed.clear();
                }
            }
        }
        prop_assert_eq!(total(all.iter().map(|row| &row.counters)), total(truth.values()));
        if matches!(by, By::ProcessFile | By::Thread | By::File) {
            let mut by_path: BTreeMap<Option<Vec<u8>>, Counters> = BTreeMap::new();
            for row in all {
                by_path.entry(row.path).or_default().add(&row.counters);
            }
            prop_assert_eq!(by_path, truth);
        }
    }
}
