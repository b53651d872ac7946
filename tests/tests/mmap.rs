//! Mapped files: what page faults read and write, equal to what the kernel charges the process.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Log, Op},
    need,
    workload::sys,
};
use serde_json::Value;
use std::collections::BTreeMap;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const KINDS: [Kind; 2] = [Kind::MmapRead, Kind::MmapWrite];

/// Files of the rehearsal are no truth: there the kernel charges for the program too.
fn is_rehearsal(path: Option<&[u8]>) -> bool {
    path.is_some_and(|path| String::from_utf8_lossy(path).contains("/rehearsal/"))
}

fn is_by_fault(op: &Op) -> bool {
    KINDS.contains(&op.kind) && !is_rehearsal(op.path_key().as_deref())
}

/// Bytes that faults read and wrote, by process and file: of all files in the log, with zeros.
fn bytes_by_file(log: &Log) -> BTreeMap<String, [u64; 2]> {
    let mut sums = BTreeMap::<String, [u64; 2]>::new();
    for op in log.ops.iter().filter(|op| op.kind != Kind::Open && !is_rehearsal(op.path_key().as_deref())) {
        let sum = sums.entry(process_and_path(op)).or_default();
        for (sum, kind) in sum.iter_mut().zip(KINDS) {
            *sum += if op.kind == kind { op.bytes() * op.count } else { 0 };
        }
    }
    sums
}

#[track_caller]
fn compare_rows(scene: &Scene, rows: &[Value]) {
    let log = scene.log();
    assert_rows(scene, &log, rows, |_| true); // no fault is a read or write
    let truth = bytes_by_file(&log);
    let mut seen = BTreeMap::<String, [u64; 2]>::new();
    let ours = |row: &&Value| {
        let path = path_of(row);
        let inside = path.as_deref().is_some_and(|path| scene.holds(path) && !is_rehearsal(Some(path)));
        inside || truth.contains_key(&process_and_path_of_row(row))
    };
    for row in rows.iter().filter(ours) {
        let field = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"));
        let sum = seen.entry(process_and_path_of_row(row)).or_default();
        for (sum, kind) in sum.iter_mut().zip(["mmap_read", "mmap_write"]) {
            let (count, bytes) = (field(&format!("{kind}s")), field(&format!("{kind}_bytes")));
            assert_eq!(count > 0, bytes > 0, "{kind} in {row}");
            assert!(count <= bytes / sys::page_size() as u64, "{kind} in {row}");
            *sum += bytes;
        }
    }
    assert_same(&seen, &truth);
}

/// How often which page of which file; where the log does not know the pages, how many bytes.
type Pages = BTreeMap<String, BTreeMap<Option<u64>, u64>>;

fn add(pages: &mut Pages, key: String, offset: Option<u64>, bytes: u64) {
    let (page_size, pages) = (sys::page_size() as u64, pages.entry(key).or_default());
    match offset {
        Some(offset) => {
            let whole = |number: u64| number.is_multiple_of(page_size);
            assert!(bytes > 0 && whole(offset) && whole(bytes), "{offset} {bytes}");
            (offset..offset + bytes)
                .step_by(page_size as usize)
                .for_each(|at| *pages.entry(Some(at)).or_default() += 1);
        }
        None => *pages.entry(None).or_default() += bytes,
    }
}

#[track_caller]
fn compare_events(scene: &Scene, events: &[Value]) {
    let log = scene.log();
    assert_events(scene, &log, events, |_| true);
    let mut truth = Pages::new();
    for op in log.ops.iter().filter(|op| is_by_fault(op)) {
        let key = format!("{} {} {} {}", op.kind.name(), op.tid, op.comm, process_and_path(op));
        add(&mut truth, key, op.offset, op.bytes() * op.count);
    }
    let mut seen = Pages::new();
    let inside = |event: &&Value| path_of(event).is_some_and(|path| scene.holds(&path) && !is_rehearsal(Some(&path)));
    let by_fault = |event: &&Value| KINDS.iter().any(|kind| event["type"] == kind.name());
    for event in events.iter().filter(inside).filter(by_fault) {
        assert_eq!(event["call"], "fault", "{event}");
        assert!(event["latency_ns"].is_null() && event["errno"].is_null(), "{event}");
        let text = |name: &str| event[name].as_str().unwrap();
        let key = format!("{} {} {} {}", text("type"), event["tid"], text("comm"), process_and_path_of_row(event));
        let offset = event["offset"].as_u64().unwrap_or_else(|| panic!("no offset in {event}"));
        let pages_known = truth.get(&key).is_none_or(|pages| !pages.contains_key(&None));
        add(&mut seen, key, pages_known.then_some(offset), event["bytes"].as_u64().unwrap());
    }
    assert_same(&seen, &truth);
}

#[test]
fn faults_of_mapped_files_are_equal_to_what_the_kernel_charges() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(256);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = Iotrace::new("top").json().args(["-a", "-r", "0"]).program(scene.command("mmap", &[])).run().complete();
    compare_rows(&scene, &run.rows);
}

#[test]
fn events_of_faults_are_the_pages_that_came_in_or_became_dirty() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(256);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = Iotrace::new("events").args(["--buffer", "64MiB"]).program(scene.command("mmap", &[])).run().complete();
    compare_events(&scene, &run.rows);
}

#[test]
fn a_fault_inside_a_call_belongs_to_the_file_that_is_mapped() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(256);
    for command in ["top", "events"] {
        let place = tempfile::tempdir_in(disk.dir()).unwrap();
        let scene = Scene::on(WORKLOAD, place.path());
        let program = scene.command("mmap-inside-calls", &[]);
        if command == "top" {
            let run = Iotrace::new("top").json().args(["-a", "-r", "0"]).program(program).run().complete();
            compare_rows(&scene, &run.rows);
        } else {
            let run = Iotrace::new("events").args(["--buffer", "64MiB"]).program(program).run().complete();
            compare_events(&scene, &run.rows);
        }
    }
}
