#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    event::{Comm, Task, file::File, process::Process},
    resolve::Disk,
    view::{
        differences::tests::{VDA1, comm, file, reads},
        top::{By, Row, Sort, rows},
    },
};

/// Device of the file system that the root is on.
const ROOT: u32 = (259 << 20) | 2;

fn truncate(pid: u32, result: Result<u64, i32>) -> Truncate {
    Truncate {
        call: "truncate",
        begin_ns: 1,
        latency_ns: 500,
        task: Task { pid, tid: pid + 1, uid: 0, comm: comm("worker") },
        base: 1,
        result,
        length: Some(0),
        name: None,
    }
}

fn process(pid: u32) -> Option<Arc<ProcessInfo>> {
    let process =
        Process { pid, ppid: 1, uid: 0, start_ns: pid.into(), comm: comm("app"), cgroup_id: 0, cgroup: "/".into() };
    Some(Arc::new(ProcessInfo { process, resident: None, role: None }))
}

fn base() -> FileInfo {
    let disk = Disk { name: "nvme0n1p2".into(), disk: "nvme0n1".into(), whole: 259 << 20 };
    let root = File { key: FileKey { dev: ROOT, ino: 2, ..FileKey::default() }, ..file(1, Some("/")) };
    FileInfo { file: root, disk: Some(Arc::new(disk)), on_host: None }
}

fn add(truncates: &mut Truncates, pid: u32, path: &str, result: Result<u64, i32>) {
    truncates.add(&truncate(pid, result), Some(path.into()), Some(&base()), process(pid));
}

/// What a process read of a file, by its descriptor.
fn read(pid: u32, id: u64, path: &str) -> Delta {
    Delta {
        slot: 1,
        pid,
        tid: pid,
        comm: Comm::default(),
        process: process(pid),
        process_start_ns: pid.into(),
        file: Some(Arc::new(FileInfo { file: file(id, Some(path)), disk: None, on_host: None })),
        inode: Some((VDA1, 1000 + id)),
        everything: false,
        counters: reads(1, 1, 1),
    }
}

fn taken(truncates: &mut Truncates, calls: Vec<Delta>, by: By) -> Vec<Row> {
    let mut look = Look { calls, ..Look::default() };
    assert_eq!(truncates.take(&mut look), None);
    rows(&look, None, by, Sort::Reads)
}

#[test]
fn truncates_of_one_name_are_one_row_and_failed_ones_are_errors() {
    let mut truncates = Truncates::default();
    for result in [Ok(0), Err(2), Ok(0)] {
        add(&mut truncates, 7, "/dir/a", result);
    }
    let found = taken(&mut truncates, Vec::new(), By::ProcessFile);
    let counters = Counters { truncates: 3, errors: 1, max_ns: 500, ..Counters::default() };
    assert_eq!((found.len(), found[0].counters, found[0].pid), (1, counters, Some(7)));
    assert_eq!((found[0].path.as_deref(), found[0].ino), (Some(&b"/dir/a"[..]), None));
    // Nothing better is known than where the name counts from.
    assert_eq!((found[0].dev, found[0].fs.as_deref()), (Some(ROOT), Some("ext4")));
    assert_eq!(found[0].disk.as_ref().unwrap().disk, "nvme0n1");
    assert!(taken(&mut truncates, Vec::new(), By::ProcessFile).is_empty());
}

#[test]
fn a_row_of_the_same_file_keeps_its_inode_and_device() {
    for by in [By::ProcessFile, By::File] {
        let mut truncates = Truncates::default();
        add(&mut truncates, 7, "/dir/a", Ok(0));
        add(&mut truncates, 7, "/dir/b", Ok(0));
        let found = taken(&mut truncates, vec![read(7, 3, "/dir/a")], by);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].ino, found[0].dev), (Some(1003), Some(VDA1)));
        assert_eq!((found[0].counters.reads, found[0].counters.truncates), (1, 1));
        assert_eq!((found[1].ino, found[1].dev), (None, Some(ROOT)));
    }
}

#[test]
fn the_file_of_another_process_is_the_next_best() {
    let mut truncates = Truncates::default();
    add(&mut truncates, 7, "/dir/a", Ok(0));
    let found = taken(&mut truncates, vec![read(8, 3, "/dir/a")], By::File);
    assert_eq!((found.len(), found[0].counters.truncates, found[0].ino), (1, 1, Some(1003)));
}

#[test]
fn by_thread_a_truncate_is_of_the_thread_that_made_it() {
    let mut truncates = Truncates::default();
    add(&mut truncates, 7, "/dir/a", Ok(0));
    let found = taken(&mut truncates, vec![read(7, 3, "/dir/a")], By::Thread);
    let of_threads: Vec<_> = found.iter().map(|row| (row.tid.unwrap(), row.counters.truncates)).collect();
    assert_eq!(of_threads, [(7, 0), (8, 1)]);
    assert_eq!(found[1].comm, Some(comm("worker")));
}

#[test]
fn a_process_that_is_not_known_is_the_one_with_the_same_number() {
    let mut truncates = Truncates::default();
    truncates.add(&truncate(7, Ok(0)), Some(b"/dir/a".to_vec()), None, None);
    let found = taken(&mut truncates, vec![read(7, 3, "/dir/a")], By::ProcessFile);
    assert_eq!((found.len(), found[0].counters.truncates), (1, 1));
}

#[test]
fn a_name_that_could_not_be_read_has_a_row_without_path() {
    let mut truncates = Truncates::default();
    truncates.add(&truncate(7, Err(14)), None, None, process(7));
    let found = taken(&mut truncates, vec![read(7, 3, "/dir/a")], By::ProcessFile);
    assert_eq!((found.len(), found[1].path.as_deref(), found[1].counters.errors), (2, None, 1));
}

#[test]
fn what_finds_no_room_is_counted_together() {
    for length in [7, 4000] {
        let fit = ROOM / (PAIR + 2 * length);
        let mut truncates = Truncates::default();
        // Twice: room is given back with each look.
        for _ in 0..2 {
            for number in 0..fit + 3 {
                let path = format!("{number:0length$}").into_bytes();
                truncates.add(&truncate(7, Ok(0)), Some(path), None, None);
            }
            let mut look = Look::default();
            assert_eq!(truncates.take(&mut look).map(|other| other.truncates), Some(3), "{length}");
            assert_eq!(look.calls.len(), fit);
        }
        assert_eq!(truncates.take(&mut Look::default()), None);
    }
}
