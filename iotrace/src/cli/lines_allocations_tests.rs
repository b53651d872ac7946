//! A line costs no allocation: what is allocated is what is remembered, once per file or process.
#![allow(clippy::unwrap_used)] // a test may panic
use super::{
    tests::{APP, LOG, NGINX, VDA1, comm, world},
    *,
};
use crate::{
    allocations,
    cli::{form::Form, io_lines::io_line},
    event::{Event, decode},
};
use bytemuck::Zeroable;
use iotrace_common::{
    io::{IoRecord, OP_READ, OP_SYNC, OP_WRITE},
    open::OpenRecord,
    record::{self, Header, Task as WireTask},
};

/// Lines that are made at once.
const LINES: usize = 101;

fn wire_task(pid: u32) -> WireTask {
    WireTask { pid, tid: pid + 1, uid: 33, comm: comm(b"app").0, ..WireTask::zeroed() }
}

/// A record as the kernel side sends it.
fn io_record(pid: u32, op: u8, ret: i64) -> Vec<u8> {
    let record = IoRecord {
        header: Header { kind: record::IO, len: size_of::<IoRecord>() as u32 },
        begin_ns: 7_000_000_000,
        latency_ns: 5210,
        task: wire_task(pid),
        file: LOG,
        ino: 1001,
        offset: 58,
        requested: 58,
        ret,
        dev: VDA1,
        file_flags: (libc::O_WRONLY | libc::O_APPEND).cast_unsigned(),
        mode: 0o100_000,
        op,
        call: 6,
        ..IoRecord::zeroed()
    };
    bytemuck::bytes_of(&record).to_vec()
}

fn open_record(pid: u32, ret: i64) -> Vec<u8> {
    let name = b"app.log";
    let record = OpenRecord {
        header: Header { kind: record::OPEN, len: 0 },
        begin_ns: 7_000_000_000,
        latency_ns: 5210,
        task: wire_task(pid),
        file: if ret < 0 { 0 } else { LOG },
        base: 4,
        ino: 1001,
        dev: VDA1,
        ret,
        open_flags: (libc::O_WRONLY | libc::O_CREAT) as u64,
        open_mode: 0o644,
        call: 21,
        name: name.len() as u32,
        mode: if ret < 0 { 0 } else { 0o100_000 },
        ..OpenRecord::zeroed()
    };
    [bytemuck::bytes_of(&record), name].concat()
}

/// Allocations for one line of each record, when all names are known.
fn per_round(records: &[Vec<u8>]) -> u64 {
    let mut world = world(Form::default());
    // As in JSON. What is asked of the reader is asked once a second.
    world.names.wants_host_paths = true;
    let mut out = Vec::with_capacity(1 << 20);
    let mut round = || {
        out.clear();
        for record in records {
            match decode(record).unwrap() {
                Event::Io(io) => io_line(&io, &mut world, &mut out).unwrap(),
                Event::Open(open) => open_line(&open, &mut world, &mut out).unwrap(),
                other => panic!("{other:?}"),
            }
        }
    };
    round();
    // A second may go by in one of them, but not in all.
    let least = (0..7).map(|_| allocations::during(|| (0..LINES).for_each(|_| round()))).min().unwrap();
    assert_eq!(least % LINES as u64, 0, "the same in each round");
    least / LINES as u64
}

#[test]
fn operations_are_written_without_allocations() {
    for pid in [APP, NGINX] {
        for (op, ret) in [(OP_READ, 58), (OP_WRITE, 58), (OP_WRITE, -28), (OP_SYNC, 0)] {
            assert_eq!(per_round(&[io_record(pid, op, ret)]), 0, "{pid} {op} {ret}");
        }
    }
}

#[test]
fn opens_are_written_without_allocations() {
    for ret in [3, -2] {
        assert_eq!(per_round(&[open_record(APP, ret)]), 0, "{ret}");
    }
}
