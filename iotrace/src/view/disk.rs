//! Disks: what the kernel counted and what was traced in an interval, as rows of a tree.

use crate::{
    resolve::{Completed, Device, DiskLine, DiskStat},
    view::latency::Row as Requests,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

mod causes;
mod tree;
pub use causes::{Cause, causes};
pub use tree::{Place, tree};

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;
/// Bytes in a sector, of any disk.
const SECTOR: u64 = 512;

/// Requests of one kind in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Completed requests.
    pub requests: u64,
    /// Requests that were merged into others before.
    pub merged: u64,
    /// Bytes.
    pub bytes: u64,
    /// From start to completion, all added up, nanoseconds; the kernel gives whole milliseconds.
    pub ns: u64,
}

impl Sum {
    fn of(now: Completed, before: Completed) -> Self {
        Self {
            requests: now.requests.wrapping_sub(before.requests),
            merged: now.merged.wrapping_sub(before.merged),
            bytes: now.sectors.wrapping_sub(before.sectors).saturating_mul(SECTOR),
            ns: u64::from(now.ms.wrapping_sub(before.ms)) * MS,
        }
    }

    /// Mean time of a request, nanoseconds; `None` without requests.
    pub fn mean_ns(&self) -> Option<u64> {
        self.ns.checked_div(self.requests)
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.merged += other.merged;
        self.bytes += other.bytes;
        self.ns += other.ns;
    }
}

/// What the kernel counted of a device in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Reads.
    pub reads: Sum,
    /// Writes, those too that only flush.
    pub writes: Sum,
    /// Discards.
    pub discards: Sum,
    /// Flushes that the device was sent.
    pub flushes: Sum,
    /// Requests in flight at the end.
    pub in_flight: u64,
    /// Time with a request in flight, nanoseconds; `None` for several devices together.
    pub busy_ns: Option<u64>,
    /// Time of all requests added up, nanoseconds.
    pub queued_ns: u64,
}

impl Counted {
    fn of(now: &DiskStat, before: &DiskStat) -> Self {
        let ms = |now: u32, before: u32| u64::from(now.wrapping_sub(before)) * MS;
        Self {
            reads: Sum::of(now.reads, before.reads),
            writes: Sum::of(now.writes, before.writes),
            discards: Sum::of(now.discards, before.discards),
            flushes: Sum::of(now.flushes, before.flushes),
            in_flight: now.in_flight,
            busy_ns: Some(ms(now.busy_ms, before.busy_ms)),
            queued_ns: ms(now.queued_ms, before.queued_ms),
        }
    }

    fn is_idle(&self) -> bool {
        *self == Self { busy_ns: Some(0), ..Self::default() }
    }

    fn add(&mut self, other: &Self) {
        self.reads.add(&other.reads);
        self.writes.add(&other.writes);
        self.discards.add(&other.discards);
        self.flushes.add(&other.flushes);
        self.in_flight += other.in_flight;
        self.queued_ns += other.queued_ns;
    }
}

/// Whether a number stands for another device by now, one that began to count later.
fn began_anew(now: &DiskStat, before: &DiskStat) -> bool {
    let fell = |kind: fn(&DiskStat) -> Completed| {
        let (now, before) = (kind(now), kind(before));
        now.requests < before.requests || now.sectors < before.sectors
    };
    fell(|stat| stat.reads) || fell(|stat| stat.writes) || fell(|stat| stat.discards) || fell(|stat| stat.flushes)
}

/// The kernel's counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When, nanoseconds of CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// All devices, in the kernel's order.
    pub lines: Vec<DiskLine>,
}

/// What the kernel counted of each device between two snapshots, in the order of the later one; `None` for devices that are gone, which
/// come last: what they did since the earlier one is not known. A number that has another name is another device.
pub fn counted(before: &Snapshot, now: &Snapshot) -> Vec<(u32, Option<Counted>)> {
    let earlier: HashMap<(u32, &str), &DiskStat> =
        before.lines.iter().map(|(dev, name, stat)| ((*dev, name.as_str()), stat)).collect();
    let present: HashSet<u32> = now.lines.iter().map(|(dev, _, _)| *dev).collect();
    let none = DiskStat::default();
    let counted = now.lines.iter().map(|(dev, name, stat)| {
        let before =
            earlier.get(&(*dev, name.as_str())).copied().filter(|before| !began_anew(stat, before)).unwrap_or(&none);
        (*dev, Some(Counted::of(stat, before)))
    });
    let gone = before.lines.iter().map(|(dev, _, _)| *dev).filter(|dev| !present.contains(dev)).map(|dev| (dev, None));
    counted.chain(gone).collect()
}

/// A device in an interval.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number in the kernel's encoding.
    pub dev: u32,
    /// What it is; `None` when it was gone before anybody looked.
    pub device: Option<Arc<Device>>,
    /// Its name where the kernel counts, when nothing else is known of it.
    pub counted_as: Option<String>,
    /// What the kernel counted; `None` when the device was gone at the end.
    pub counted: Option<Counted>,
    /// Traced requests of all operations together. Only disks that queue requests have them: partitions, device-mapper and md pass on
    /// what they get.
    pub all: Option<Requests>,
    /// The same by operation.
    pub by_op: Vec<Requests>,
    /// Who caused most of it, of disks that queue requests.
    pub causes: Vec<Cause>,
}

impl Row {
    /// Of a device of which nothing is known yet.
    pub fn new(dev: u32, counted: Option<Counted>) -> Self {
        Self { dev, device: None, counted_as: None, counted, all: None, by_op: Vec::new(), causes: Vec::new() }
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.device.as_ref().map(|device| device.name.as_str()).or(self.counted_as.as_deref())
    }

    /// Whether nothing happened.
    pub fn is_idle(&self) -> bool {
        self.all.is_none() && self.counted.as_ref().is_none_or(Counted::is_idle)
    }

    /// Whether it stands on no other device, so that its requests are counted nowhere else.
    pub fn is_bottom(&self) -> bool {
        self.device.as_ref().is_some_and(|device| device.on.as_ref().is_some_and(Vec::is_empty))
    }
}

/// All devices together, each request once: those that stand on no other. `None` unless there are several.
pub fn total(rows: &[Row]) -> Option<Row> {
    let bottom: Vec<&Row> = rows.iter().filter(|row| row.is_bottom()).collect();
    if bottom.len() < 2 {
        return None;
    }
    let mut sum = Counted::default();
    bottom.iter().filter_map(|row| row.counted.as_ref()).for_each(|counted| sum.add(counted));
    Some(Row::new(0, Some(sum)))
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
