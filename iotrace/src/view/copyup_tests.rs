#![allow(clippy::unwrap_used)]
use super::*;
use crate::event::Task;

fn copied(pid: u32, path: &str, bytes: Option<u64>) -> Copied {
    let event = CopyUp {
        call: Some("openat"),
        begin_ns: 0,
        latency_ns: Some(1_000),
        task: Task { pid, ..Task::default() },
        file: 1,
        upper: 2,
        inode: Some((3, 4)),
        directory: false,
        size: bytes,
        bytes,
        sync_ns: 10,
        syncs: 1,
        directories: 2,
        result: Ok(3),
    };
    Copied { event, bytes, process: None, file: None, path: Some(path.into()) }
}

fn sums(by: By) -> Sums {
    let mut sums = Sums::new(by);
    sums.add(&copied(1, "/a", Some(503)));
    sums.add(&copied(1, "/b", Some(601)));
    sums.add(&copied(2, "/a", None));
    let mut directory = copied(2, "/d", Some(0));
    directory.event.directory = true;
    directory.event.result = Err(28);
    directory.event.latency_ns = Some(7_000);
    sums.add(&directory);
    sums
}

#[test]
fn copies_of_a_process_add_up() {
    let rows = sums(By::Process).take(Sort::Bytes);
    let [one, two] = &rows[..] else { panic!("{rows:?}") };
    let expected = Totals {
        files: 2,
        directories: 4,
        bytes: 1_104,
        unknown: 0,
        time_ns: 2_000,
        sync_ns: 20,
        syncs: 2,
        max_ns: 1_000,
        errors: 0,
    };
    assert_eq!((one.pid, one.totals), (Some(1), expected));
    let expected =
        Totals { files: 1, directories: 4, bytes: 0, unknown: 1, time_ns: 8_000, max_ns: 7_000, errors: 1, ..expected };
    assert_eq!((two.pid, two.totals), (Some(2), expected));
}

#[test]
fn rows_are_sorted_and_begin_anew() {
    let mut sums = sums(By::File);
    let paths = |rows: Vec<Row>| rows.into_iter().filter_map(|row| row.path).collect::<Vec<_>>();
    assert_eq!(paths(sums.take(Sort::Time)), [b"/d", b"/a", b"/b"]);
    assert_eq!(sums.take(Sort::Time).len(), 0);
}

#[test]
fn who_is_in_no_container_has_one_row() {
    let rows = sums(By::Container).take(Sort::Copies);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.pid, row.totals.files, row.totals.directories), (None, 3, 8));
}
