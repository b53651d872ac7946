//! What was read and written of each file.

use super::Inode;
use iotrace_common::sum::{Sum, SumKey, WAY_MAPPED};
use std::collections::HashMap;

/// Most files whose bytes are kept before those go that nobody asks for.
const KEPT_MAX: usize = 1 << 18;

/// Bytes that calls returned, and the time in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Of reads.
    pub read: u64,
    /// Of writes.
    pub written: u64,
    /// Time in these calls, and in syncs that are traced, nanoseconds.
    pub ns: u64,
    /// Syncs that are traced, and writes that sync by themselves.
    pub syncs: u64,
}

/// Bytes of a file, and at which look it was first seen.
#[derive(Clone, Copy, Debug)]
struct Total {
    bytes: Bytes,
    first: u64,
}

/// Bytes by file.
#[derive(Debug, Default)]
pub(super) struct Totals {
    before: HashMap<u32, (SumKey, Bytes)>,
    files: HashMap<Inode, Total>,
    /// How often was looked.
    looks: u64,
}

impl Totals {
    /// Adds what came since the last call. `is_followed`: whether a file may be asked for. One that is new may be followed soon: the
    /// record of its open may be on its way.
    pub(super) fn add(&mut self, sums: impl Iterator<Item = (u32, Sum)>, is_followed: impl Fn(&Inode) -> bool) {
        let look = self.looks;
        if self.files.len() > KEPT_MAX {
            self.files.retain(|inode, total| total.first + 1 >= look || is_followed(inode));
        }
        self.looks += 1;
        for (slot, sum) in sums.filter(|(_, sum)| sum.key.way & WAY_MAPPED == 0) {
            let counters = &sum.counters;
            let now = Bytes {
                read: counters.read_bytes,
                written: counters.write_bytes,
                ns: counters.total_ns(),
                syncs: counters.syncs + counters.sync_writes,
            };
            let before = self.before.insert(slot, (sum.key, now)).filter(|(key, _)| *key == sum.key);
            let before = before.map(|(_, before)| before).unwrap_or_default();
            let more = Bytes {
                read: now.read.saturating_sub(before.read),
                written: now.written.saturating_sub(before.written),
                ns: now.ns.saturating_sub(before.ns),
                syncs: now.syncs.saturating_sub(before.syncs),
            };
            if more == Bytes::default() {
                continue;
            }
            let new = Total { bytes: Bytes::default(), first: look };
            let total = &mut self.files.entry(Inode::of(&sum.key.file)).or_insert(new).bytes;
            total.read += more.read;
            total.written += more.written;
            total.ns += more.ns;
            total.syncs += more.syncs;
        }
    }

    /// All bytes of a file.
    pub(super) fn of(&self, inode: Inode) -> Bytes {
        self.files.get(&inode).map_or_else(Bytes::default, |total| total.bytes)
    }

    /// A file is followed no more.
    pub(super) fn forget(&mut self, inode: Inode) {
        self.files.remove(&inode);
    }
}
