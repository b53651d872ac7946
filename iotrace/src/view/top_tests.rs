#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    event::{file::File, process::Process},
    resolve::names::FileInfo,
    view::{
        differences::tests::{VDA1, comm, file, give_back, names, reads, sum, total},
        select::Selection,
    },
};
use clap::ValueEnum;
use iotrace_common::{file::FileKey, sum::Sum};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

/// Another disk.
const VDB: u32 = (254 << 20) | 16;

/// Rows of calls alone.
fn rows(deltas: &[Delta], other: Option<Counters>, by: By, sort: Sort) -> Vec<Row> {
    super::rows(&Look { calls: deltas.to_vec(), ..Look::default() }, other, by, sort)
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
        file: Some(Arc::new(FileInfo { file, disk: Some(Arc::new(disk)), on_host: None })),
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
fn by_container_its_processes_merge_and_others_do_not() {
    let mut deltas = vec![
        delta(1, 1, Some("/a"), 1, reads(1, 1, 1)),
        delta(2, 2, Some("/b"), 2, reads(2, 2, 2)),
        delta(3, 3, Some("/a"), 1, reads(4, 4, 4)),
        delta(4, 4, Some("/a"), 1, reads(8, 8, 8)),
    ];
    for (delta, cgroup) in deltas.iter_mut().zip(["/lxc/web", "/lxc/web/x", "/lxc/db", "/"]) {
        let comm = Comm::default();
        let process = Process { pid: 1, ppid: 1, uid: 0, start_ns: 1, comm, cgroup_id: 0, cgroup: cgroup.into() };
        let resident = Container::from_cgroup(cgroup).map(Into::into);
        delta.process = Some(Arc::new(ProcessInfo { process, resident, role: None }));
    }
    let rows = rows(&deltas, None, By::Container, Sort::Reads);
    let shown: Vec<_> =
        rows.iter().map(|row| (row.container().map(Container::label), row.counters.reads, row.pid, row.dev)).collect();
    assert_eq!(shown, [(None, 8, None, None), (Some("db".into()), 4, None, None), (Some("web".into()), 3, None, None)]);
}

#[test]
fn partitions_of_a_disk_merge_and_disks_do_not() {
    let mut both = vec![delta(1, 1, Some("/a"), 1, reads(1, 1, 1)), delta(1, 1, Some("/b"), 2, reads(2, 2, 2))];
    let whole = Disk { name: "vda".into(), disk: "vda".into(), whole: 254 << 20 };
    let other = Disk { name: "vdb".into(), disk: "vdb".into(), whole: VDB };
    for (disk, dev, reads) in [(whole, 254 << 20, vec![3]), (other, VDB, vec![2, 1])] {
        let file = both[1].file.as_ref().unwrap().file.clone();
        both[1].file = Some(Arc::new(FileInfo { file, disk: Some(Arc::new(disk)), on_host: None }));
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
            assert_eq!(row.disk.is_some(), !matches!(by, By::Process | By::Container), "{by:?}");
            assert_eq!(row.fs.is_some(), !matches!(by, By::Process | By::Disk | By::Container), "{by:?}");
        }
    }
}

#[test]
fn a_row_has_the_name_of_its_process_unless_it_is_of_a_thread() {
    let process =
        Process { pid: 1, ppid: 0, uid: 0, start_ns: 1, comm: comm("main"), cgroup_id: 0, cgroup: "/".into() };
    let process = Arc::new(ProcessInfo { process, resident: None, role: None });
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
    assert!(other.is_rest());
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

/// Bytes through a mapping, and a call on the same file.
fn mapped() -> Look {
    let one = |counters| delta(1, 1, Some("/a/x"), 10, counters);
    let through = Counters { reads: 2, read_bytes: 8192, writes: 1, write_bytes: 4096, ..Counters::default() };
    Look { calls: vec![one(reads(1, 1, 1))], mapped: vec![one(through), one(through)], ..Look::default() }
}

#[test]
fn what_came_through_a_mapping_is_in_the_same_row_but_neither_read_nor_write() {
    let all = Mapped { reads: 4, writes: 2, read_bytes: 16384, write_bytes: 8192 };
    for by in By::value_variants() {
        let found = super::rows(&mapped(), None, *by, Sort::Bytes);
        assert_eq!((found.len(), found[0].counters, found[0].mapped), (1, reads(1, 1, 1), all), "{by:?}");
    }
}

#[test]
fn a_file_that_was_only_mapped_has_a_row() {
    let look = Look { calls: Vec::new(), ..mapped() };
    let found = super::rows(&look, None, By::ProcessFile, Sort::Bytes);
    assert_eq!((found.len(), found[0].counters, found[0].ino), (1, Counters::default(), Some(10)));
}

#[test]
fn bytes_of_mappings_are_bytes_and_no_bytes_read_or_written() {
    let more = delta(2, 2, Some("/z"), 12, Counters { read_bytes: 9, write_bytes: 9, ..Counters::default() });
    let mut look = mapped();
    look.calls.push(more);
    for (sort, pid) in [(Sort::Bytes, 1), (Sort::ReadBytes, 2), (Sort::WriteBytes, 2), (Sort::Reads, 1)] {
        assert_eq!(super::rows(&look, None, By::ProcessFile, sort)[0].pid, Some(pid), "{sort:?}");
    }
}

#[test]
fn requests_that_ended_on_several_cpus_are_one_row() {
    let all = [delta(1, 1, Some("/a"), 1, reads(1, 1, 1)), delta(1, 1, Some("/a"), 1, reads(2, 2, 2))];
    let found = rows(&all, None, By::Thread, Sort::Reads);
    assert_eq!(found.iter().map(|row| row.counters.reads).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_name_without_an_inode_says_nothing_about_the_inode_of_the_row() {
    let known = delta(1, 1, Some("/a"), 7, reads(1, 1, 1));
    let other = delta(1, 1, Some("/a"), 8, reads(1, 1, 1));
    let named = Delta { inode: None, ..known.clone() };
    let ino = |deltas: &[&Delta]| {
        let deltas: Vec<Delta> = deltas.iter().copied().cloned().collect();
        let found = rows(&deltas, None, By::ProcessFile, Sort::Reads);
        assert_eq!(found.len(), 1);
        found[0].ino
    };
    assert_eq!(ino(&[&known, &named]), Some(7));
    assert_eq!(ino(&[&named, &known]), Some(7));
    assert_eq!(ino(&[&named]), None);
    assert_eq!(ino(&[&known, &other, &named, &other]), None);
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

fn any_counters() -> impl Strategy<Value = Counters> {
    prop::array::uniform15(0..1_u64 << 40).prop_map(bytemuck::cast)
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
        prop_assert!(found.is_sorted_by_key(|row| Reverse(sort.value(row))));
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
                    let deltas = differences.since(sums, &mut names, &Selection::default()).calls;
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
