#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        form::Form,
        io_lines::{Rendered, io_line},
    },
    event::{
        Comm,
        file::File,
        io::{Io, Operation},
        open::Created,
        process::Process,
    },
    kernel::{
        block::{BlockFacts, BlockOp},
        endings::Endings,
    },
    resolve::{Disk, Disks, names::Names},
    view::{select::Selection, top::Mapped},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use iotrace_common::{file::FileKey, record::COMM_LEN, sum::Counters};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::Value;
use std::{cell::RefCell, fs, os::unix::fs::symlink};

/// A process in a container.
pub(in crate::cli) const NGINX: u32 = 4711;
/// A process in none.
pub(in crate::cli) const APP: u32 = 812;
/// Numbers of files in the kernel's records.
pub(in crate::cli) const LOG: u64 = 1;
pub(in crate::cli) const LONG: u64 = 2;
pub(in crate::cli) const HOSTILE: u64 = 3;
pub(in crate::cli) const DIRECTORY: u64 = 4;
/// A name that wants to be several lines, and other things.
pub(in crate::cli) const EVIL: &[u8] = b"/tmp/a\nb\r\x1b[31m\"q\"\t\\'\xff\xe2\x80\xae";

pub(in crate::cli) const VDA: u32 = 254 << 20;
pub(in crate::cli) const VDA1: u32 = VDA | 1;
/// 2026-11-20T12:00:00Z.
const NOON: i64 = 1_795_176_000_000_000_000;
const ID: &str = "3f4a9c0f1b2d3f4a9c0f1b2d3f4a9c0f1b2d3f4a9c0f1b2d3f4a9c0f1b2d5e6f";

pub(in crate::cli) fn comm(name: &[u8]) -> Comm {
    let mut comm = [0; COMM_LEN];
    comm[..name.len()].copy_from_slice(name);
    Comm(comm)
}

pub(in crate::cli) fn task(pid: u32, name: &[u8]) -> Task {
    Task { pid, tid: pid + 1, uid: 33, comm: comm(name) }
}

pub(in crate::cli) fn file(id: u64, path: Option<&[u8]>) -> File {
    let key = FileKey { ino: 1000 + id, dev: VDA1, state: 0o100_644, ..FileKey::default() };
    File { id, key, fs: "ext4".into(), path: path.map(Into::into), cut: false, inside_fs: false }
}

/// A disk with one partition, from a sysfs that has nothing else.
fn disks() -> Disks {
    let root = tempfile::tempdir().unwrap();
    let vda1 = root.path().join("devices/vda/vda1");
    fs::create_dir_all(&vda1).unwrap();
    fs::write(vda1.join("partition"), "1\n").unwrap();
    fs::write(vda1.join("../dev"), "254:0\n").unwrap();
    fs::create_dir_all(root.path().join("dev/block")).unwrap();
    symlink("../../devices/vda", root.path().join("dev/block/254:0")).unwrap();
    symlink("../../devices/vda/vda1", root.path().join("dev/block/254:1")).unwrap();
    let mut disks = Disks::at(root.path(), root.path());
    // Remembered, so that the directory may go.
    assert_eq!(disks.of(VDA).unwrap().disk, "vda");
    assert_eq!(disks.of(VDA1).unwrap().name, "vda1");
    disks
}

/// Two processes and a few files at noon, UTC, on a kernel of today.
pub(in crate::cli) fn world(form: Form) -> World {
    let mut names = Names::default();
    names.disks = disks();
    for (id, path) in [
        (LOG, &b"/var/log/app.log"[..]),
        (LONG, b"/var/lib/docker/containers/3f4a9c0f1b2d/data/deep/app.log"),
        (HOSTILE, EVIL),
        (DIRECTORY, b"/etc"),
    ] {
        names.add_file(file(id, Some(path)));
    }
    for (pid, name, cgroup) in
        [(NGINX, &b"nginx"[..], format!("/system.slice/docker-{ID}.scope")), (APP, b"app", "/".to_owned())]
    {
        names.add_process(Process { pid, ppid: 1, uid: 33, start_ns: 1, comm: comm(name), cgroup_id: 1, cgroup });
    }
    let operations = vec![(0, BlockOp::Read), (1, BlockOp::Write), (2, BlockOp::Flush)];
    let flags = vec![(1 << 11, "sync"), (1 << 12, "meta"), (1 << 17, "fua")];
    let block = BlockFacts {
        operations,
        flags,
        queue_argument: false,
        status_is_blk_status: true,
        status_has_zone_resource: false,
    };
    World {
        names,
        clock: Clock::new(NOON, TimeZone::UTC),
        selection: Selection::default(),
        devices: None,
        block,
        endings: Endings::default(),
        created: Created::default(),
        form,
        folded: 0,
        asked: Vec::new(),
        rendered: Rendered::default(),
    }
}

/// A write of 58 bytes.
pub(in crate::cli) fn write(pid: u32, id: u64) -> Io {
    Io {
        operation: Operation::Write,
        call: "pwrite64",
        begin_ns: 1_234_567_890,
        latency_ns: 5_210,
        task: task(pid, b"worker"),
        file: id,
        inode: (id != 0).then_some((1000 + id, VDA1)),
        offset: Some(4096),
        requested: Some(58),
        result: Ok(58),
        file_flags: (libc::O_WRONLY | libc::O_APPEND) as u32,
        sync: false,
    }
}

pub(in crate::cli) fn fsync(pid: u32, id: u64, latency_ns: u64) -> Io {
    let io = Io { operation: Operation::Fsync, call: "fsync", latency_ns, result: Ok(0), ..write(pid, id) };
    Io { offset: None, requested: None, ..io }
}

pub(in crate::cli) fn open(pid: u32, id: u64) -> Open<'static> {
    Open {
        call: "openat",
        begin_ns: 1_234_567_890,
        latency_ns: 9_000,
        task: task(pid, b"worker"),
        file: id,
        base: 0,
        inode: Some((1000 + id, VDA1)),
        result: Ok(3),
        flags: (libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND) as u64,
        mode: 0o644,
        copy_up_ns: None,
        name: Some(b"app.log"),
        file_mode: 0,
        namespace: 1,
    }
}

pub(in crate::cli) fn failed_open(pid: u32, name: &[u8]) -> Open<'_> {
    Open { file: 0, base: DIRECTORY, inode: None, result: Err(2), flags: 0, name: Some(name), ..open(pid, 0) }
}

/// A truncate by name, from /etc.
pub(in crate::cli) fn truncate(pid: u32, name: &[u8]) -> Truncate {
    Truncate {
        call: "truncate",
        begin_ns: 1_234_567_890,
        latency_ns: 9_000,
        task: task(pid, b"worker"),
        base: DIRECTORY,
        result: Ok(0),
        length: Some(4099),
        name: Some(name.to_vec()),
    }
}

/// A page fault that brought a folio in.
fn fault() -> Io {
    let io = Io { operation: Operation::MmapRead, call: "fault", latency_ns: 0, ..write(APP, LOG) };
    Io { requested: None, result: Ok(65536), ..io }
}

/// A row of `top`, of a process that [`world`] knows.
pub(in crate::cli) fn row(world: &mut World, pid: u32, path: Option<&[u8]>, counters: Counters) -> Row {
    let process = world.names.process(pid, None);
    let disk = Disk { name: "vda1".into(), disk: "vda".into(), whole: VDA };
    Row {
        pid: Some(pid),
        tid: None,
        comm: process.as_ref().map(|process| process.process.comm),
        resident: process.as_ref().and_then(|process| process.resident.clone()),
        role: None,
        file: None,
        host: None,
        free: None,
        process,
        path: path.map(Into::into),
        dev: Some(VDA1),
        disk: Some(Arc::new(disk)),
        fs: Some("ext4".into()),
        ino: Some(12),
        everything: false,
        counters,
        mapped: Mapped::default(),
    }
}

/// A write and a sync by the million.
pub(in crate::cli) fn counters() -> Counters {
    Counters {
        reads: 1009,
        writes: 524_287,
        syncs: 4093,
        sync_writes: 2,
        read_bytes: 1025,
        write_bytes: 524_287 * 58,
        read_ns: 900_000,
        write_ns: 1_500_000_000,
        sync_ns: 4_810_000_000,
        sync_write_ns: 7_000_000,
        max_ns: 293_000_000,
        sync_max_ns: 293_000_000,
        errors: 7,
        allocates: 11,
        truncates: 13,
    }
}

/// What came through mappings.
pub(in crate::cli) fn mapped() -> Mapped {
    Mapped { reads: 17, writes: 19, read_bytes: 17 * 65536, write_bytes: 19 * 4096 }
}

/// The object in a line, after all that holds for every line.
pub(in crate::cli) fn parsed(line: &[u8]) -> Value {
    let text = str::from_utf8(line).unwrap();
    let kind = text.strip_prefix(r#"{"type":""#).expect("type is the first key");
    assert_eq!(text.find('\n'), Some(text.len() - 1), "{text:?}");
    assert!(!text.trim_end_matches('\n').bytes().any(|byte| byte < b' '), "{text:?}");
    let value: Value = serde_json::from_str(text).unwrap();
    assert!(kind.starts_with(value["type"].as_str().unwrap()));
    value
}

fn line(append: impl FnOnce(&mut World, &mut Vec<u8>) -> Result<()>) -> String {
    let mut out = Vec::new();
    append(&mut world(Form { json: true, ..Form::default() }), &mut out).unwrap();
    parsed(&out);
    String::from_utf8(out).unwrap()
}

fn value(append: impl FnOnce(&mut World, &mut Vec<u8>) -> Result<()>) -> Value {
    parsed(line(append).as_bytes())
}

#[test]
fn json_of_a_write() {
    insta::assert_snapshot!(line(|world, out| io_line(&write(NGINX, LOG), world, out)));
}

#[test]
fn json_of_a_sync() {
    insta::assert_snapshot!(line(|world, out| io_line(&fsync(APP, LOG, 293_000_000), world, out)));
}

#[test]
fn json_of_an_open() {
    insta::assert_snapshot!(line(|world, out| open_line(&open(NGINX, LOG), world, out)));
}

#[test]
fn json_of_an_open_that_failed() {
    insta::assert_snapshot!(line(|world, out| open_line(&failed_open(APP, b"./gone"), world, out)));
}

#[test]
fn json_of_a_truncate_by_name() {
    insta::assert_snapshot!(line(|world, out| truncate_line(&truncate(APP, b"./app.log"), world, out)));
}

#[test]
fn json_of_a_page_fault() {
    insta::assert_snapshot!(line(|world, out| io_line(&fault(), world, out)));
}

#[test]
fn json_of_a_row_of_top() {
    insta::assert_snapshot!(line(|world, out| {
        let row = Row { mapped: mapped(), ..row(world, NGINX, Some(b"/var/log/app.log"), counters()) };
        top_line(&row, &timestamp(&mut world.clock, 5_000_000_000), true, out)
    }));
}

#[test]
fn json_of_a_row_of_fsync() {
    insta::assert_snapshot!(line(|world, out| {
        let row = row(world, NGINX, Some(b"/var/log/app.log"), counters());
        let sync = SyncRow { row, percentiles: Some((1_000_000, 290_000_000)) };
        fsync_line(&sync, &timestamp(&mut world.clock, 5_000_000_000), 5_000_000_000, out)
    }));
}

#[test]
fn what_is_not_known_is_null() {
    let unknown = value(|world, out| {
        let io = Io { inode: None, offset: None, requested: None, ..write(u32::MAX - 1, 0) };
        io_line(&io, world, out)
    });
    for key in ["container", "path", "dev", "disk", "fs", "ino", "offset", "requested", "errno"] {
        assert_eq!(unknown.get(key), Some(&Value::Null), "{key}");
    }
    let unnamed = value(|world, out| open_line(&Open { name: None, ..failed_open(APP, b"") }, world, out));
    for key in ["name", "path", "fd", "mode", "ino", "dev"] {
        assert_eq!(unnamed.get(key), Some(&Value::Null), "{key}");
    }
}

#[test]
fn a_short_write_has_what_was_asked_for_and_what_was_written() {
    let short = value(|world, out| io_line(&Io { result: Ok(7), ..write(APP, LOG) }, world, out));
    assert_eq!((&short["requested"], &short["bytes"], &short["errno"]), (&58.into(), &7.into(), &Value::Null));
}

#[test]
fn a_failed_write_moved_nothing_and_names_its_error() {
    let failed = value(|world, out| io_line(&Io { result: Err(28), ..write(APP, LOG) }, world, out));
    assert_eq!((&failed["bytes"], &failed["errno"]), (&0.into(), &"ENOSPC".into()));
}

#[test]
fn a_sync_moves_no_bytes() {
    let sync = value(|world, out| io_line(&fsync(APP, LOG, 1), world, out));
    assert_eq!((&sync["type"], &sync["call"], &sync["bytes"]), (&"fsync".into(), &"fsync".into(), &Value::Null));
}

#[test]
fn what_changes_a_file_moves_no_bytes_and_may_fail() {
    for operation in [Operation::Allocate, Operation::Truncate] {
        for (result, errno) in [(Ok(0), Value::Null), (Err(28), "ENOSPC".into())] {
            let change = value(|world, out| io_line(&Io { operation, result, ..write(APP, LOG) }, world, out));
            assert_eq!((&change["requested"], &change["bytes"], &change["errno"]), (&58.into(), &0.into(), &errno));
            assert_eq!(change["latency_ns"], 5210);
        }
    }
    let failed = value(|world, out| truncate_line(&Truncate { result: Err(2), ..truncate(APP, b"a") }, world, out));
    assert_eq!((&failed["bytes"], &failed["errno"], &failed["ino"]), (&0.into(), &"ENOENT".into(), &Value::Null));
}

#[test]
fn a_truncate_of_which_nothing_is_known_has_a_line() {
    let unknown = Truncate { base: 0, name: None, length: None, ..truncate(APP, b"") };
    let unknown = value(|world, out| truncate_line(&unknown, world, out));
    for key in ["path", "dev", "disk", "fs", "ino", "offset", "requested", "errno"] {
        assert_eq!(unknown.get(key), Some(&Value::Null), "{key}");
    }
}

#[test]
fn a_mode_is_given_only_where_something_may_be_created() {
    let mode = |flags: i32| {
        value(|world, out| open_line(&Open { flags: flags as u64, ..open(APP, LOG) }, world, out))["mode"].clone()
    };
    assert_eq!(mode(libc::O_RDONLY), Value::Null);
    assert_eq!(mode(libc::O_DIRECTORY), Value::Null);
    assert_eq!(mode(libc::O_WRONLY | libc::O_CREAT), "0644");
    assert_eq!(mode(libc::O_RDWR | libc::O_TMPFILE), "0644");
}

#[test]
fn a_thread_is_named_only_where_the_row_is_of_one() {
    let top = |tid| {
        value(|world, out| {
            let row = Row { tid, ..row(world, APP, Some(b"/a"), counters()) };
            top_line(&row, "", true, out)
        })
    };
    assert_eq!(top(None).get("tid"), None);
    assert_eq!(top(Some(813))["tid"], 813);
}

#[test]
fn nothing_is_divided_by_zero() {
    let ledger = value(|world, out| {
        let row = row(world, APP, Some(b"/a"), Counters::default());
        fsync_line(&SyncRow { row, percentiles: None }, "", 0, out)
    });
    for key in ["bytes_per_sync", "writes_per_sync", "avg_ns", "wall_pct"] {
        assert_eq!(ledger[key].as_f64(), Some(0.0), "{key}");
    }
    assert_eq!((&ledger["p50_ns"], &ledger["p99_ns"]), (&Value::Null, &Value::Null));
}

#[test]
fn what_is_not_selected_has_no_line() {
    let mut world = world(Form::default());
    world.selection.path = Some(globset::Glob::new("/etc/*").unwrap().compile_matcher());
    let mut out = Vec::new();
    io_line(&write(APP, LOG), &mut world, &mut out).unwrap();
    open_line(&open(APP, LOG), &mut world, &mut out).unwrap();
    truncate_line(&truncate(APP, b"../var/log"), &mut world, &mut out).unwrap();
    let elsewhere = Truncate { base: LOG, ..truncate(APP, b"a") };
    truncate_line(&elsewhere, &mut world, &mut out).unwrap();
    assert_eq!(str::from_utf8(&out).unwrap().matches("/var").count(), 1, "{out:?}");
    assert_eq!(parsed(&std::mem::take(&mut out))["path"], "/etc/../var/log");
    open_line(&failed_open(APP, b"gone"), &mut world, &mut out).unwrap();
    assert_eq!(parsed(&out)["path"], "/etc/gone");
    out.clear();
    world.selection = Selection { container: Some(ID[..12].into()), ..Selection::default() };
    io_line(&write(APP, LOG), &mut world, &mut out).unwrap();
    assert_eq!(out, b"");
    io_line(&write(NGINX, LOG), &mut world, &mut out).unwrap();
    assert_eq!(parsed(&out)["container"]["id"], ID);
}

#[test]
fn exact_bytes_come_only_where_text_loses_some() {
    let usual = value(|world, out| open_line(&open(APP, LOG), world, out));
    assert_eq!((usual.get("path_bytes"), usual.get("name_bytes")), (None, None));
    let evil = value(|world, out| open_line(&failed_open(APP, EVIL), world, out));
    for (key, expected) in [("name_bytes", EVIL.to_vec()), ("path_bytes", [b"/etc", EVIL].concat())] {
        assert_eq!(STANDARD.decode(evil[key].as_str().unwrap()).unwrap(), expected);
    }
    assert!(evil["name"].as_str().unwrap().starts_with("/tmp/a\nb\r\u{1b}[31m\"q\"\t\\'\u{fffd}"));
}

#[test]
fn a_path_that_is_not_known_is_told_from_one_that_is_not_there() {
    assert_eq!(path_cell(Some(b"/a"), true, "-"), "/a");
    assert_eq!(path_cell(None, true, "-"), "?");
    assert_eq!(path_cell(None, false, "-"), "-");
    assert_eq!(name_cell(None), "-");
}

#[test]
fn a_cell_is_one_line_whatever_the_name() {
    for cell in [path_cell(Some(EVIL), true, "-"), name_cell(Some(EVIL))] {
        assert_eq!(cell, r#"/tmp/a\nb\r\x1b[31m"q"\t\\'\xff\u{202e}"#);
    }
}

#[test]
fn every_counter_of_a_sum_is_in_a_line_of_top_or_fsync() {
    let all: Counters = bytemuck::cast(<[u64; 15]>::try_from((1001..1016).collect::<Vec<u64>>()).unwrap());
    let both = line(|world, out| top_line(&row(world, APP, None, all), "", true, out))
        + &line(|world, out| {
            let row = row(world, APP, None, all);
            fsync_line(&SyncRow { row, percentiles: None }, "", 1, out)
        });
    // The time in writes that sync by themselves is in the total of fsync.
    let total = all.sync_ns + all.sync_write_ns;
    for value in (1001..1016).filter(|value| *value != all.sync_write_ns).chain([total]) {
        assert!(both.contains(&format!(":{value},")) || both.contains(&format!(":{value}}}")), "{value}: {both}");
    }
}

thread_local! {
    /// One for all cases: its disks are read from files.
    static WORLD: RefCell<World> = RefCell::new(world(Form::default()));
}

proptest! {
    #[test]
    fn any_name_is_one_line_of_json_and_can_be_read_back(
        path in prop::collection::vec(1..=u8::MAX, 1..40),
        thread in prop::collection::vec(1..=u8::MAX, 0..15),
    ) {
        WORLD.with_borrow_mut(|world| -> Result<(), TestCaseError> {
        world.names.add_file(file(99, Some(&path)));
        let task = task(APP, &thread);
        let mut out = Vec::new();
        let mut lines = Vec::new();
        io_line(&Io { task: task.clone(), ..write(APP, 99) }, world, &mut out).unwrap();
        lines.push(parsed(&std::mem::take(&mut out)));
        open_line(&Open { task, name: Some(&path), ..open(APP, 99) }, world, &mut out).unwrap();
        lines.push(parsed(&std::mem::take(&mut out)));
        let row = Row { comm: Some(comm(&thread)), ..row(world, APP, Some(&path), counters()) };
        top_line(&row, "", true, &mut out).unwrap();
        lines.push(parsed(&std::mem::take(&mut out)));
        fsync_line(&SyncRow { row, percentiles: None }, "", 1, &mut out).unwrap();
        lines.push(parsed(&out));
        for line in lines {
            let bytes = match line.get("path_bytes") {
                Some(exact) => STANDARD.decode(exact.as_str().unwrap()).unwrap(),
                None => line["path"].as_str().unwrap().as_bytes().to_vec(),
            };
            prop_assert_eq!(&bytes, &path);
            prop_assert_eq!(line.get("path_bytes").is_some(), str::from_utf8(&path).is_err());
            prop_assert_eq!(line["comm"].as_str().unwrap(), String::from_utf8_lossy(&thread));
        }
        Ok(())
        })?;
    }
}
