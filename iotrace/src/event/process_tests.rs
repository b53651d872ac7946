#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::event::{Event, decode};
use iotrace_common::record::{COMM_LEN, Header};

fn decoded(names: &[u8]) -> Process {
    let head = ProcessRecord {
        header: Header { kind: record::PROCESS, len: 0 },
        start_ns: 1,
        cgroup: 2,
        pid: 3,
        ppid: 4,
        uid: 5,
        names: u32::try_from(names.len()).unwrap(),
        comm: [b'x'; COMM_LEN],
    };
    match decode(&[bytemuck::bytes_of(&head), names].concat()).unwrap() {
        Event::Process(process) => process,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_finds_its_place() {
    let process = decoded(b"");
    assert_eq!((process.start_ns, process.cgroup_id, process.pid, process.ppid, process.uid), (1, 2, 3, 4, 5));
    assert_eq!(process.comm.bytes(), [b'x'; COMM_LEN]);
}

#[test]
fn the_control_groups_names_come_from_the_leaf_up() {
    assert_eq!(decoded(b"nginx.service\0system.slice\0").cgroup, "/system.slice/nginx.service");
    assert_eq!(decoded(b"").cgroup, "/");
    assert_eq!(decoded(b"a\xff\0").cgroup, "/a\u{fffd}");
}

#[test]
fn names_that_are_announced_and_missing_are_an_error() {
    let head = ProcessRecord { header: Header { kind: record::PROCESS, len: 0 }, names: 9, ..ProcessRecord::default() };
    let error = decode(&[bytemuck::bytes_of(&head), b"short\0"].concat()).unwrap_err();
    assert_eq!(error, DecodeError::Short { kind: record::PROCESS, needed: 9, len: 6 });
}
