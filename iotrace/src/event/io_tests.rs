#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::event::{Comm, Event, decode};
use bytemuck::Zeroable;
use iotrace_common::{io::OP_SYNC, record::Header};
use proptest::prelude::*;

fn wire() -> IoRecord {
    let mut comm = [0; record::COMM_LEN];
    comm[..3].copy_from_slice(b"app");
    IoRecord {
        header: Header { kind: record::IO, len: size_of::<IoRecord>() as u32 },
        begin_ns: 1,
        latency_ns: 2,
        task: record::Task { pid: 3, tid: 4, uid: 5, _pad: 0, comm },
        file: 6,
        ino: 7,
        offset: 8,
        requested: 58,
        ret: 9,
        dev: 10,
        file_flags: 11,
        mode: 0o100_644,
        call: 7,
        op: OP_WRITE,
        flags: IO_SYNC,
        _pad: [0; 3],
    }
}

fn decoded(wire: &IoRecord) -> Io {
    match decode(bytemuck::bytes_of(wire)).unwrap() {
        Event::Io(io) => io,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_finds_its_place() {
    let io = Io {
        operation: Operation::Write,
        call: "pwrite64",
        begin_ns: 1,
        latency_ns: 2,
        task: Task { pid: 3, tid: 4, uid: 5, comm: Comm(wire().task.comm) },
        file: 6,
        inode: Some((7, 10)),
        offset: Some(8),
        requested: Some(58),
        result: Ok(9),
        file_flags: 11,
        sync: true,
    };
    assert_eq!(decoded(&wire()), io);
    assert_eq!(io.task.comm.bytes(), b"app");
}

#[test]
fn operations_have_their_names() {
    for (op, name) in [
        (OP_READ, "read"),
        (OP_WRITE, "write"),
        (OP_SYNC, "fsync"),
        (OP_ALLOCATE, "fallocate"),
        (OP_TRUNCATE, "truncate"),
        (OP_MMAP_READ, "mmap_read"),
        (OP_MMAP_WRITE, "mmap_write"),
    ] {
        assert_eq!(decoded(&IoRecord { op, ..wire() }).operation.name(), name);
    }
}

#[test]
fn calls_that_are_no_moves_have_their_names() {
    for (call, name) in [(25, "fallocate"), (26, "ftruncate"), (28, "io_submit"), (31, "io_uring"), (32, "fault")] {
        assert_eq!(decoded(&IoRecord { call, ..wire() }).call, name);
    }
}

#[test]
fn of_a_page_fault_nobody_asked_for_a_number_of_bytes() {
    for (op, requested) in [(OP_MMAP_READ, None), (OP_MMAP_WRITE, None), (OP_ALLOCATE, Some(58))] {
        let io = decoded(&IoRecord { op, ret: 4096, ..wire() });
        assert_eq!((io.requested, io.result, io.offset), (requested, Ok(4096), Some(8)));
    }
}

#[test]
fn a_short_write_is_what_the_kernel_returned() {
    let io = decoded(&wire());
    assert_eq!((io.requested, io.result), (Some(58), Ok(9)));
}

#[test]
fn a_negative_return_value_is_an_errno() {
    for (ret, result) in [(0, Ok(0)), (-28, Err(28)), (i64::MAX, Ok(i64::MAX as u64)), (i64::MIN, Err(i32::MAX))] {
        assert_eq!(decoded(&IoRecord { ret, ..wire() }).result, result);
    }
}

#[test]
fn what_the_kernel_side_does_not_know_is_none() {
    let io = decoded(&IoRecord { offset: UNKNOWN, requested: UNKNOWN, mode: 0, flags: 0, ..wire() });
    assert_eq!((io.offset, io.requested, io.inode, io.sync), (None, None, None, false));
}

#[test]
fn too_few_bytes_are_an_error_that_says_so() {
    let wire = wire();
    let bytes = bytemuck::bytes_of(&wire);
    for length in 0..bytes.len() {
        let error = decode(&bytes[..length]).unwrap_err();
        assert!(matches!(error, DecodeError::Short { len, .. } if len == length), "{error}");
    }
    let unknown = IoRecord { header: Header { kind: 99, len: 0 }, ..IoRecord::zeroed() };
    assert_eq!(decode(bytemuck::bytes_of(&unknown)), Err(DecodeError::Unknown(99)));
}

proptest! {
    #[test]
    fn any_return_value_is_a_number_or_an_errno(ret in any::<i64>()) {
        prop_assert_eq!(result(ret).is_ok(), ret >= 0);
    }
}
