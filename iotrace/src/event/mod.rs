//! Bytes from the ring buffer to typed events. Decoding is total: any bytes give an event or an error.

pub mod block;
pub mod file;
pub mod io;
pub mod naming;
pub mod open;
pub mod process;
pub mod truncate;

use bytemuck::AnyBitPattern;
use iotrace_common::record::{self, Header, Task as WireTask};
use std::sync::Arc;
use thiserror::Error;

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Fewer bytes than the record has.
    #[error("a record of kind {kind} needs {needed} bytes and has {len}")]
    Short {
        /// Kind in the header, 0 when not even that was there.
        kind: u32,
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        len: usize,
    },
    /// A kind that this version does not know.
    #[error("no record has kind {0}")]
    Unknown(u32),
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The path of a file.
    File(file::File),
    /// A process.
    Process(process::Process),
    /// An operation on an open or mapped file.
    Io(io::Io),
    /// An open.
    Open(open::Open),
    /// A truncate by name.
    Truncate(truncate::Truncate),
    /// An unlink, rename or link.
    Naming(naming::Naming),
    /// A block request.
    Block(block::Block),
    /// A part of a block request's shares.
    BlockPart(block::Part),
}

/// Decodes a record.
///
/// # Errors
///
/// When the bytes are too few or of an unknown kind.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let (header, _) = split::<Header>(0, bytes)?;
    Ok(match header.kind {
        record::FILE => Event::File(file::File::decode(bytes)?),
        record::PROCESS => Event::Process(process::Process::decode(bytes)?),
        record::IO => Event::Io(io::Io::decode(bytes)?),
        record::OPEN => open::decode(bytes)?,
        record::NAMING => Event::Naming(naming::Naming::decode(bytes)?),
        record::BLOCK => Event::Block(block::Block::decode(bytes)?),
        record::BLOCK_PART => Event::BlockPart(block::Part::decode(bytes)?),
        kind => return Err(DecodeError::Unknown(kind)),
    })
}

/// The fixed part of a record, and the bytes after it.
fn split<T: AnyBitPattern>(kind: u32, bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    let short = DecodeError::Short { kind, needed: size_of::<T>(), len: bytes.len() };
    let (head, rest) = bytes.split_at_checked(size_of::<T>()).ok_or(short)?;
    Ok((bytemuck::pod_read_unaligned(head), rest))
}

/// The first `length` bytes after a record's fixed part.
fn tail(kind: u32, rest: &[u8], length: u32) -> Result<&[u8], DecodeError> {
    let length = length as usize;
    rest.get(..length).ok_or(DecodeError::Short { kind, needed: length, len: rest.len() })
}

/// Names from the leaf up, each ended by NUL.
fn names(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.strip_suffix(&[0]).map_or_else(Vec::new, |bytes| bytes.split(|byte| *byte == 0).collect())
}

/// Bytes up to the first NUL.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Who did something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// Name of the thread.
    pub comm: Comm,
}

impl From<WireTask> for Task {
    fn from(wire: WireTask) -> Self {
        Self { pid: wire.pid, tid: wire.tid, uid: wire.uid, comm: Comm(wire.comm) }
    }
}

/// A thread's name: at most 15 bytes of any kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Comm(pub [u8; record::COMM_LEN]);

impl Comm {
    /// The name.
    pub fn bytes(&self) -> &[u8] {
        until_nul(&self.0)
    }
}

/// A path: bytes of any kind but NUL.
pub type PathBytes = Arc<[u8]>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_give_an_event_or_an_error(kind in 0u32..9, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&bytes);
            let mut known = kind.to_le_bytes().to_vec();
            known.extend(bytes);
            let _ = decode(&known);
        }
    }

    #[test]
    fn names_come_apart_at_nul() {
        assert_eq!(names(b""), Vec::<&[u8]>::new());
        assert_eq!(names(b"log\0var\0"), [&b"log"[..], b"var"]);
    }
}
