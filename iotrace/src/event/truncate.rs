//! A truncate by name.

use super::{
    Task,
    io::{known, result},
    open::absolute,
};
use iotrace_common::open::OpenRecord;

/// One finished `truncate`. The file itself is not known, only its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncate {
    /// Name of the system call.
    pub call: &'static str,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From entry to return, nanoseconds.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// Number of the directory from which the name counts, 0 when not known.
    pub base: u64,
    /// 0, or the errno.
    pub result: Result<u64, i32>,
    /// The length asked for.
    pub length: Option<u64>,
    /// The name asked for; `None` when it could not be read.
    pub name: Option<Vec<u8>>,
}

impl Truncate {
    pub(super) fn new(call: &'static str, wire: &OpenRecord, name: Option<&[u8]>) -> Self {
        Self {
            call,
            begin_ns: wire.begin_ns,
            latency_ns: wire.latency_ns,
            task: wire.task.into(),
            base: wire.base,
            result: result(wire.ret),
            length: known(wire.open_flags),
            name: name.map(<[u8]>::to_vec),
        }
    }

    /// The path that was asked for, made absolute with the path of the directory from which it counts.
    pub fn absolute(&self, base: Option<&[u8]>) -> Option<Vec<u8>> {
        absolute(self.name.as_deref(), base)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{Event, decode};
    use iotrace_common::{
        io::UNKNOWN,
        open::NO_NAME,
        record::{self, Header, Task as WireTask},
    };

    fn wire() -> OpenRecord {
        OpenRecord {
            header: Header { kind: record::OPEN, len: 0 },
            begin_ns: 1,
            latency_ns: 2,
            task: WireTask { pid: 3, tid: 4, uid: 5, ..WireTask::default() },
            base: 6,
            ret: -27,
            open_flags: 1 << 60,
            call: 27,
            name: 9,
            ..OpenRecord::default()
        }
    }

    fn decoded(wire: &OpenRecord) -> Truncate {
        match decode(&[bytemuck::bytes_of(wire), b"log/a.log"].concat()).unwrap() {
            Event::Truncate(truncate) => truncate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_field_finds_its_place() {
        let truncate = Truncate {
            call: "truncate",
            begin_ns: 1,
            latency_ns: 2,
            task: Task { pid: 3, tid: 4, uid: 5, ..Task::default() },
            base: 6,
            result: Err(27),
            length: Some(1 << 60),
            name: Some(b"log/a.log".to_vec()),
        };
        assert_eq!(decoded(&wire()), truncate);
        assert_eq!(truncate.absolute(Some(b"/var")).as_deref(), Some(&b"/var/log/a.log"[..]));
        assert_eq!(decoded(&OpenRecord { ret: 0, ..wire() }).result, Ok(0));
    }

    #[test]
    fn what_the_kernel_side_does_not_know_is_none() {
        let truncate = decoded(&OpenRecord { open_flags: UNKNOWN, state: NO_NAME, ..wire() });
        assert_eq!((truncate.length, truncate.absolute(Some(b"/"))), (None, None));
    }

    #[test]
    fn an_open_is_none() {
        let open = OpenRecord { call: 21, ..wire() };
        let bytes = [bytemuck::bytes_of(&open), b"log/a.log"].concat();
        let event = decode(&bytes).unwrap();
        assert!(matches!(event, Event::Open(_)), "{event:?}");
    }

    #[test]
    fn a_name_that_is_announced_and_missing_is_an_error() {
        assert!(decode(bytemuck::bytes_of(&wire())).is_err());
    }
}
