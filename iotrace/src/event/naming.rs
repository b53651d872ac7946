//! A call that takes a name from a file, or gives it another: unlink, rename, link.

use super::{DecodeError, Task, io::result, open::absolute, split, tail};
use crate::kernel::calls;
use iotrace_common::{
    call,
    naming::{NameSpot, NamingRecord, UNREADABLE},
    record,
};

/// RENAME_EXCHANGE of include/uapi/linux/fs.h.
const RENAME_EXCHANGE: u32 = 2;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A name was taken away, or a directory removed.
    Unlink,
    /// A file got another name.
    Rename,
    /// A file got one name more.
    Link,
}

impl Change {
    /// The `type` of its events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unlink => "unlink",
            Self::Rename => "rename",
            Self::Link => "link",
        }
    }
}

/// A name as it was asked for, and the directory from which it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Number of the directory, 0 when not known.
    pub base: u64,
    /// What tells the directory apart from others, 0 when not known.
    pub directory: u64,
    /// The name; `None` when it could not be read.
    pub name: Option<Vec<u8>>,
}

impl Spot {
    fn new(wire: &NameSpot, name: &[u8]) -> Self {
        let readable = wire.state & UNREADABLE == 0;
        Self { base: wire.base, directory: wire.directory, name: readable.then(|| name.to_vec()) }
    }

    /// The path that was asked for, made absolute with the path of the directory from which it counts.
    pub fn absolute(&self, base: Option<&[u8]>) -> Option<Vec<u8>> {
        absolute(self.name.as_deref(), base)
    }

    /// The directory and the name in it, where no other directory is on the way.
    pub fn in_directory(&self) -> Option<(u64, &[u8])> {
        let name = self.name.as_deref().filter(|name| self.directory != 0 && is_leaf(name))?;
        Some((self.directory, name))
    }
}

/// Whether a name is that of an entry of a directory.
fn is_leaf(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'/') && name != b"." && name != b".."
}

/// One finished call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// What.
    pub change: Change,
    /// Name of the system call.
    pub call: &'static str,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From entry to return, nanoseconds.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// The name that is taken away, or is there already.
    pub name: Spot,
    /// The new name, of a rename or link.
    pub other: Option<Spot>,
    /// Which mount namespace: paths of one can be compared.
    pub namespace: u64,
    /// 0, or the errno.
    pub result: Result<u64, i32>,
    /// The flags asked for.
    pub flags: u32,
}

impl Naming {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (wire, rest) = split::<NamingRecord>(record::NAMING, bytes)?;
        let call = calls::name(wire.call);
        let change = match calls::action(wire.call) {
            call::UNLINK => Change::Unlink,
            call::LINK => Change::Link,
            _ => Change::Rename,
        };
        let name = tail(record::NAMING, rest, wire.name.length)?;
        let behind = rest.get(name.len()..).unwrap_or_default();
        let other = tail(record::NAMING, behind, wire.other.length)?;
        Ok(Self {
            change,
            call,
            begin_ns: wire.begin_ns,
            latency_ns: wire.latency_ns,
            task: wire.task.into(),
            name: Spot::new(&wire.name, name),
            other: (change != Change::Unlink).then(|| Spot::new(&wire.other, other)),
            namespace: wire.namespace,
            result: result(wire.ret),
            flags: wire.flags,
        })
    }

    /// Whether two files change their names.
    pub fn is_exchange(&self) -> bool {
        self.change == Change::Rename && self.flags & RENAME_EXCHANGE != 0
    }

    /// Whether what is removed is a directory.
    pub fn is_of_directory(&self) -> bool {
        self.call == "rmdir" || (self.change == Change::Unlink && self.flags & libc::AT_REMOVEDIR as u32 != 0)
    }

    /// When it had returned.
    pub fn end_ns(&self) -> u64 {
        self.begin_ns + self.latency_ns
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{Event, decode};
    use iotrace_common::record::Header;

    fn bytes(call: u32, names: [&str; 2], state: u32) -> Vec<u8> {
        let spot = |name: &str| NameSpot { base: 3, directory: 4, length: u32::try_from(name.len()).unwrap(), state };
        let wire = NamingRecord {
            header: Header { kind: record::NAMING, len: 0 },
            begin_ns: 1,
            latency_ns: 2,
            name: spot(names[0]),
            other: spot(names[1]),
            namespace: 5,
            flags: 2,
            call,
            ..NamingRecord::default()
        };
        [bytemuck::bytes_of(&wire), names[0].as_bytes(), names[1].as_bytes()].concat()
    }

    fn decoded(bytes: &[u8]) -> Naming {
        match decode(bytes).unwrap() {
            Event::Naming(naming) => naming,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rename_has_two_names() {
        let naming = decoded(&bytes(38, ["a.tmp", "sub/a"], 0));
        assert_eq!((naming.change, naming.call, naming.end_ns()), (Change::Rename, "renameat2", 3));
        assert_eq!(naming.name.in_directory(), Some((4, &b"a.tmp"[..])));
        let other = naming.other.clone().unwrap();
        assert_eq!((other.in_directory(), other.absolute(Some(b"/d"))), (None, Some(b"/d/sub/a".to_vec())));
        assert!(naming.is_exchange());
    }

    #[test]
    fn an_unlink_has_one() {
        let naming = decoded(&bytes(33, ["a", ""], 0));
        assert_eq!((naming.change, naming.call, naming.other), (Change::Unlink, "unlink", None));
        assert!(decoded(&bytes(35, ["a", ""], 0)).is_of_directory());
    }

    #[test]
    fn a_name_that_could_not_be_read_is_none() {
        assert_eq!(decoded(&bytes(33, ["", ""], UNREADABLE)).name.name, None);
    }

    #[test]
    fn a_name_that_is_announced_and_missing_is_an_error() {
        let mut short = bytes(36, ["a", "b"], 0);
        short.pop();
        assert!(decode(&short).is_err());
    }
}
