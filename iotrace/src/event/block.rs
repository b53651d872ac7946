//! A block request.

use super::{DecodeError, Task, split};
use iotrace_common::{
    block::{self, BlockRecord, BlockShare},
    record,
};
use std::collections::HashMap;

/// Most requests whose shares wait.
const PARTS_MAX: usize = 1 << 14;

/// One completed request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Its number, that of its [`Part`]s.
    pub id: u64,
    /// When it entered the block layer, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// Until it was given to the device, nanoseconds.
    pub queue_ns: u64,
    /// In the device, nanoseconds.
    pub device_ns: u64,
    /// Who put it into the queue.
    pub issuer: Agent,
    /// That is one of the kernel's own threads.
    pub by_kernel: bool,
    /// First sector of 512 bytes.
    pub sector: u64,
    /// Bytes completed.
    pub bytes: u64,
    /// Operation and flags: see `kernel::block::BlockFacts`.
    pub cmd_flags: u32,
    /// The whole disk.
    pub disk: u32,
    /// The partition, else the disk.
    pub part: u32,
    /// What the driver reported: see `kernel::block::BlockFacts::errno`.
    pub error: i32,
    /// Whose bytes it carries, as far as that was looked at.
    pub shares: Vec<Share>,
}

/// A thread and its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The thread.
    pub task: Task,
    /// Start of the process, nanoseconds since boot.
    pub start_ns: u64,
    /// It passes the filters.
    pub wanted: bool,
}

/// Bytes of a request that belong to one file and one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many, when the request was issued.
    pub bytes: u64,
    /// Number of the file's record, 0 when it has none.
    pub file: u64,
    /// What the pages belong to; `None` when they are no file's.
    pub inode: Option<Inode>,
    /// Address of the function at the end: see `kernel::endings::Endings`.
    pub end: u64,
    /// Who made the pages dirty, and how that is known.
    pub dirtier: Option<(Agent, Dirtied)>,
    /// Pages of the swap cache.
    pub swap: bool,
    /// Memory of a process.
    pub anonymous: bool,
    /// The dirtier is one of the kernel's own threads.
    pub by_kernel: bool,
}

/// What pages belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub ino: u64,
    /// Device of the file system; of a block device its own number.
    pub dev: u32,
    /// S_IFMT bits of its mode; 0 for those that file systems have for themselves.
    pub mode: u32,
}

/// How it is known who made pages dirty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dirtied {
    /// Seen for the first page of the bio.
    Page,
    /// Seen for another page of the file, the last that became dirty.
    File,
    /// None: it asked for a flush.
    Asked,
    /// None is known: it sent the bio to a mapped device, which has another thread send what that makes of it.
    Sent,
}

impl Block {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (wire, shares) = record(bytes)?;
        Ok(Self {
            id: wire.id,
            begin_ns: wire.begin_ns,
            queue_ns: wire.queue_ns,
            device_ns: wire.device_ns,
            issuer: Agent { task: wire.task.into(), start_ns: wire.start_ns, wanted: wire.flags & block::WANTED != 0 },
            by_kernel: wire.flags & block::KERNEL != 0,
            sector: wire.sector,
            bytes: wire.bytes,
            cmd_flags: wire.cmd_flags,
            disk: wire.disk,
            part: wire.part,
            error: wire.error,
            shares,
        })
    }
}

/// Shares of a request that came ahead of it, because it has many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Number of the request.
    pub id: u64,
    /// Some of its shares.
    pub shares: Vec<Share>,
}

impl Part {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (wire, shares) = record(bytes)?;
        Ok(Self { id: wire.id, shares })
    }
}

/// Shares that wait for their requests.
#[derive(Debug, Default)]
pub struct Parts(HashMap<u64, Vec<Share>>);

impl Parts {
    /// Keeps shares.
    pub fn add(&mut self, part: Part) {
        if self.0.len() >= PARTS_MAX {
            // Of requests that the kernel side left out for a filter.
            self.0.clear();
        }
        self.0.entry(part.id).or_default().extend(part.shares);
    }

    /// Gives a request those that came ahead of it.
    pub fn complete(&mut self, block: &mut Block) {
        if !self.0.is_empty()
            && let Some(shares) = self.0.remove(&block.id)
        {
            block.shares.splice(0..0, shares);
        }
    }
}

fn record(bytes: &[u8]) -> Result<(BlockRecord, Vec<Share>), DecodeError> {
    let (wire, mut rest) = split::<BlockRecord>(record::BLOCK, bytes)?;
    let mut shares = Vec::new();
    for _ in 0..wire.shares {
        let (share, behind) = split::<BlockShare>(record::BLOCK, rest)?;
        shares.push(share.into());
        rest = behind;
    }
    Ok((wire, shares))
}

impl From<BlockShare> for Share {
    fn from(wire: BlockShare) -> Self {
        let agent =
            || Agent { task: wire.task.into(), start_ns: wire.start_ns, wanted: wire.flags & block::SHARE_WANTED != 0 };
        Self {
            bytes: wire.bytes,
            file: wire.file,
            inode: (wire.inode != 0).then_some(Inode { ino: wire.ino, dev: wire.dev, mode: wire.mode }),
            end: wire.end,
            dirtier: match wire.charged {
                block::BY_PAGE => Some((agent(), Dirtied::Page)),
                block::BY_FILE => Some((agent(), Dirtied::File)),
                block::BY_ASKER => Some((agent(), Dirtied::Asked)),
                block::BY_SENDER => Some((agent(), Dirtied::Sent)),
                _ => None,
            },
            swap: wire.flags & block::SHARE_SWAP != 0,
            anonymous: wire.flags & block::SHARE_ANONYMOUS != 0,
            by_kernel: wire.flags & block::SHARE_KERNEL != 0,
        }
    }
}
