//! `/sys/block/DISK/stat` (Documentation/block/stat.rst).

use std::ops::{Add, Sub};

/// The counters that the tests compare. A sector is 512 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockStat {
    /// Completed reads.
    pub reads: u64,
    /// Sectors read.
    pub read_sectors: u64,
    /// Completed writes; a request that only flushes, and one that writes zeroes, is one of them.
    pub writes: u64,
    /// Sectors written.
    pub write_sectors: u64,
    /// Completed discards, secure erases included.
    pub discards: u64,
    /// Sectors discarded.
    pub discard_sectors: u64,
    /// Flushes sent to the device by the block layer's flush machine: several requests may share one.
    pub flushes: u64,
}

impl BlockStat {
    /// The counters now; `disk` as in /sys/block.
    pub fn of(disk: &str) -> Self {
        let path = format!("/sys/block/{disk}/stat");
        let text = std::fs::read_to_string(&path).expect(&path);
        let field: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let at = |index: usize| field.get(index).copied().unwrap_or(0); // discards since 4.18, flushes since 5.5
        Self {
            reads: at(0),
            read_sectors: at(2),
            writes: at(4),
            write_sectors: at(6),
            discards: at(11),
            discard_sectors: at(13),
            flushes: at(15),
        }
    }
}

impl Sub for BlockStat {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            read_sectors: self.read_sectors - before.read_sectors,
            writes: self.writes - before.writes,
            write_sectors: self.write_sectors - before.write_sectors,
            discards: self.discards - before.discards,
            discard_sectors: self.discard_sectors - before.discard_sectors,
            flushes: self.flushes - before.flushes,
        }
    }
}

impl Add for BlockStat {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            read_sectors: self.read_sectors + other.read_sectors,
            writes: self.writes + other.writes,
            write_sectors: self.write_sectors + other.write_sectors,
            discards: self.discards + other.discards,
            discard_sectors: self.discard_sectors + other.discard_sectors,
            flushes: self.flushes + other.flushes,
        }
    }
}
