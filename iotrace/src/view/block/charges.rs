//! What the bytes of a block request are, and whose.

use crate::{
    event::block::{Agent, Block, Dirtied, Inode, Share},
    kernel::{
        block::{BlockFacts, BlockOp},
        endings::{Ending, Endings},
    },
    resolve::{
        HostPath,
        names::{FileInfo, Names, ProcessInfo},
    },
};
use std::sync::Arc;

/// File type bits of a block device.
const BLOCK_DEVICE: u32 = libc::S_IFBLK;

/// What bytes on a disk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// Of a file.
    File,
    /// Of a file system itself.
    Metadata,
    /// Of the journal of ext4.
    Ext4Journal,
    /// Of the log of xfs.
    XfsLog,
    /// Memory that was swapped out.
    Swap,
    /// Of a block device that is used as a file.
    Device,
    /// Room that is given back: of what files, the request does not say.
    Discard,
    /// Zeroes that the device writes by itself: likewise.
    Zeroes,
}

impl What {
    /// Stable name: part of the output formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Metadata => "metadata",
            Self::Ext4Journal | Self::XfsLog => "journal",
            Self::Swap => "swap",
            Self::Device => "device",
            Self::Discard => "discard",
            Self::Zeroes => "zeroes",
        }
    }

    /// What stands in place of a path; `None` for what has one.
    fn label(self) -> Option<&'static str> {
        match self {
            Self::File | Self::Device => None,
            Self::Metadata => Some("[metadata]"),
            Self::Ext4Journal => Some("[ext4 journal]"),
            Self::XfsLog => Some("[xfs log]"),
            Self::Swap => Some("[swap]"),
            Self::Discard => Some("[discard]"),
            Self::Zeroes => Some("[zeroes]"),
        }
    }
}

/// How it is known whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargedBy {
    /// It made the first page of a bio dirty.
    Page,
    /// It last made a page of the file dirty: likely, where not every page is remembered.
    Inode,
    /// It asked for the request itself: a read, direct I/O, a discard, a flush.
    Submitter,
    /// It had pages written that were dirty before tracing began: a guess.
    Issuer,
}

impl ChargedBy {
    /// Stable name: part of the output formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Inode => "inode",
            Self::Submitter => "submitter",
            Self::Issuer => "issuer",
        }
    }
}

/// Who is charged.
#[derive(Clone, Debug, PartialEq)]
pub struct Payer {
    /// Thread and process.
    pub agent: Agent,
    /// What is known of the process.
    pub process: Option<Arc<ProcessInfo>>,
    /// How it is known.
    pub by: ChargedBy,
}

/// Bytes of a request, and whose they are. The charges of a request add up to its bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Charge {
    /// How many.
    pub bytes: u64,
    /// What they are; `None` when that is not known, or there are none (a flush).
    pub what: Option<What>,
    /// The file, or what stands in its place.
    pub path: Option<Vec<u8>>,
    /// What is known of the file, as the payer sees it.
    pub file: Option<Arc<FileInfo>>,
    /// Where the file lies on the host; looked up only for what is printed.
    pub host: Option<Arc<HostPath>>,
    /// The inode.
    pub inode: Option<Inode>,
    /// Who; `None` when nobody is known.
    pub payer: Option<Payer>,
    /// It passes the filters of threads.
    pub wanted: bool,
}

impl Charge {
    /// The process.
    pub fn process(&self) -> Option<&ProcessInfo> {
        self.payer.as_ref()?.process.as_deref()
    }
}

/// Finds out whose bytes requests carry.
pub struct Charger<'a> {
    /// How this kernel numbers operations.
    pub facts: &'a BlockFacts,
    /// What the ends of bios say.
    pub endings: &'a Endings,
    /// Files, processes, disks.
    pub names: &'a mut Names,
}

impl Charger<'_> {
    /// The charges of a request, the one with most bytes first; at least one, of nothing for a request without bytes.
    pub fn charges(&mut self, block: &Block) -> Vec<Charge> {
        let mut left = block.bytes;
        let mut charges = Vec::new();
        for share in &block.shares {
            // A request that fails may complete fewer bytes than were issued.
            let bytes = share.bytes.min(left);
            left -= bytes;
            charges.push(Charge { bytes, ..self.charge(block, share) });
        }
        if charges.is_empty() {
            let nothing = Share { bytes: left, ..Share::default() };
            charges.push(self.charge(block, &nothing));
        } else if left > 0 {
            charges.push(Charge { bytes: left, wanted: block.issuer.wanted, ..Charge::default() });
        }
        charges.sort_by_key(|charge| std::cmp::Reverse(charge.bytes));
        charges
    }

    fn charge(&mut self, block: &Block, share: &Share) -> Charge {
        let what = self.what(block, share);
        let payer = self.payer(block, share, what);
        let process = payer.as_ref().and_then(|payer| payer.process.as_deref());
        let file = self.names.file(share.file).cloned().map(|file| self.names.as_seen(file, process));
        let path = match what {
            Some(What::Device) => self.device_path(share.inode.map_or(block.part, |inode| inode.dev)),
            Some(what) => what.label().map(Into::into).or_else(|| file.as_ref()?.file.path.clone()),
            None => None,
        };
        let wanted = payer.as_ref().map_or(block.issuer.wanted, |payer| payer.agent.wanted);
        Charge { bytes: share.bytes, what, path, file, host: None, inode: share.inode, payer, wanted }
    }

    fn what(&mut self, block: &Block, share: &Share) -> Option<What> {
        let ending = self.endings.of(share.end);
        let flag = |wanted| self.facts.flag_names(block.cmd_flags).any(|flag| flag == wanted);
        match ending {
            Some(Ending::Ext4Journal) => return Some(What::Ext4Journal),
            Some(Ending::XfsLog) => return Some(What::XfsLog),
            Some(Ending::Metadata) => return Some(What::Metadata),
            Some(Ending::Device) => return Some(What::Device),
            _ if ending == Some(Ending::Swap) || share.swap || flag("swap") => return Some(What::Swap),
            Some(Ending::Waited) if share.anonymous => return Some(What::Device),
            _ => {}
        }
        match share.inode {
            Some(Inode { mode: BLOCK_DEVICE, .. }) if self.writes_journal(block) => Some(What::Ext4Journal),
            // The pages are a process's: it uses the device itself, mounted or not.
            Some(Inode { mode: BLOCK_DEVICE, .. }) if share.anonymous => Some(What::Device),
            Some(Inode { mode: BLOCK_DEVICE, dev, .. }) if !flag("meta") && !self.names.is_mounted(dev) => {
                Some(What::Device)
            }
            Some(Inode { mode: BLOCK_DEVICE | 0, .. }) => Some(What::Metadata),
            // The inode in which btrfs has its trees is a regular file since 6.16.
            Some(_) if share.file == 0 && flag("meta") => Some(What::Metadata),
            Some(_) => Some(What::File),
            None => match self.facts.operation(block.cmd_flags) {
                BlockOp::Discard | BlockOp::SecureErase => Some(What::Discard),
                BlockOp::WriteZeroes => Some(What::Zeroes),
                _ => flag("meta").then_some(What::Metadata),
            },
        }
    }

    /// Whether it is the journal's thread that writes; asked only where the ends of bios do not tell.
    fn writes_journal(&self, block: &Block) -> bool {
        self.endings.address(Ending::Ext4Journal) == 0
            && self.facts.operation(block.cmd_flags) == BlockOp::Write
            && block.issuer.task.comm.bytes().starts_with(b"jbd2/")
    }

    fn device_path(&mut self, dev: u32) -> Option<Vec<u8>> {
        Some(format!("/dev/{}", self.names.disks.of(dev)?.name).into_bytes())
    }

    fn payer(&mut self, block: &Block, share: &Share, what: Option<What>) -> Option<Payer> {
        let (agent, by) = match &share.dirtier {
            Some((agent, Dirtied::Page)) => (agent, ChargedBy::Page),
            Some((agent, Dirtied::File)) => (agent, ChargedBy::Inode),
            // The kernel's threads ask for others.
            Some((_, Dirtied::Asked)) if share.by_kernel => return None,
            Some((agent, Dirtied::Asked)) => (agent, ChargedBy::Submitter),
            Some((agent, Dirtied::Sent)) => (agent, self.submission(block, share, what, share.by_kernel)?),
            None => (&block.issuer, self.submission(block, share, what, block.by_kernel)?),
        };
        let process = self.names.process(agent.task.pid, Some(agent.start_ns));
        Some(Payer { agent: agent.clone(), process, by })
    }

    /// What the thread that put the request into the queue, or sent it to a mapped device, has to do with it, when nobody made its
    /// pages dirty. `by_kernel`: it is one of the kernel's own.
    fn submission(&self, block: &Block, share: &Share, what: Option<What>, by_kernel: bool) -> Option<ChargedBy> {
        match self.facts.operation(block.cmd_flags) {
            BlockOp::Read => Some(ChargedBy::Submitter),
            // Whoever happens to run the queue sends it: who asked for it is not known.
            BlockOp::Flush => None,
            // The kernel's own threads write for others; of memory that is swapped out, it is not known whose it is.
            _ if by_kernel || what == Some(What::Swap) => None,
            BlockOp::Write if self.is_somebodys(share, what) => Some(ChargedBy::Issuer),
            _ => Some(ChargedBy::Submitter),
        }
    }

    /// Whether somebody may have made the pages dirty whom nobody saw.
    fn is_somebodys(&self, share: &Share, what: Option<What>) -> bool {
        let direct = share.anonymous || matches!(self.endings.of(share.end), Some(Ending::Direct | Ending::Device));
        let metadata = matches!(what, Some(What::Metadata | What::Ext4Journal | What::XfsLog));
        metadata || (share.inode.is_some() && !direct)
    }
}
