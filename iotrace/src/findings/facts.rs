//! What rules look at: what other commands show, of one stretch of time.

use crate::{
    event::Comm,
    view::{
        block, copyup,
        disk::{self, Counted},
        latency,
        life::LifeRow,
        opens::Opened,
        top::Row,
        wait::WaitRow,
    },
};
use iotrace_common::write_sizes::WriteSizes;
use std::{collections::HashMap, time::Duration};

/// A file's size, as it was seen first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Bytes at first.
    pub first: u64,
    /// Bytes at last.
    pub last: u64,
    /// The time between.
    pub between: Duration,
    /// How often it was larger than the time before. It is looked at once a second.
    pub steps: u32,
}

impl Growth {
    /// Bytes per second; 0 where it shrank, or was seen once.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.between.as_secs_f64();
        if seconds > 0.0 { self.last.saturating_sub(self.first) as f64 / seconds } else { 0.0 }
    }
}

/// A device as `disk` has it.
#[derive(Clone, Debug)]
pub struct DiskUse {
    /// What the kernel counted, what was traced, and who caused most of it.
    pub row: disk::Row,
    /// Between the two looks at the kernel's counters, nanoseconds.
    pub interval_ns: u64,
    /// Traced reads.
    pub reads: Option<latency::Row>,
    /// Traced writes.
    pub writes: Option<latency::Row>,
    /// Traced flushes of the device's cache.
    pub flushes: Option<latency::Row>,
    /// Process and file of each of the causes.
    pub causes: Vec<Row>,
    /// Requests to it that had not ended.
    pub hanging: Option<Hanging>,
}

/// Requests that had not ended when it was looked, as the kernel's own counter says too: the end of one may have been hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hanging {
    /// How many.
    pub requests: u64,
    /// For how long the oldest of them had been in the block layer.
    pub oldest: Duration,
    /// The process that put it there, and the name of the thread.
    pub by: (u32, Comm),
    /// Since the last one ended; `None` where none did.
    pub silence: Option<Duration>,
}

impl DiskUse {
    /// Its name as in `/dev`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.row.name()
    }

    /// Part of the time with a request in flight, of 1.
    #[must_use]
    pub fn busy(&self) -> f64 {
        let busy_ns = self.row.counted.as_ref().and_then(|counted| counted.busy_ns);
        (busy_ns.unwrap_or_default() as f64 / self.interval_ns.max(1) as f64).min(1.0)
    }

    /// Mean number of requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> f64 {
        self.row.counted.as_ref().map_or(0, |counted| counted.queued_ns) as f64 / self.interval_ns.max(1) as f64
    }

    /// What the kernel counted, as so much a second.
    #[must_use]
    pub fn per_second(&self, count: fn(&Counted) -> u64) -> f64 {
        self.row.counted.as_ref().map_or(0, count) as f64 * 1e9 / self.interval_ns.max(1) as f64
    }
}

/// Whether requests are of a row's process and file. Below an overlay they have the path in its layer, which is the one on the host.
#[must_use]
pub fn are_of(requests: &block::Row, row: &Row) -> bool {
    let (Some(path), Some(pid)) = (&requests.path, requests.pid) else { return false };
    let host = row.host.as_ref().map(|host| &host.path);
    row.pid == Some(pid) && (row.path.as_ref() == Some(path) || host == Some(path))
}

/// Reads of a file that reached a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskReads {
    /// Requests.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of the requests, those that begin where the one before ended.
    pub contiguous: u64,
}

/// What a process had copied up by overlayfs.
#[derive(Clone, Debug)]
pub struct CopiedUp {
    /// The file whose copy it waited for longest. Its counters are empty.
    pub longest: Row,
    /// All of it, as `copyup --summary` has it.
    pub sums: copyup::Row,
}

/// Operations of a process on a file that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The process and the file.
    pub row: Row,
    /// `open`, `read`, `write`, `fsync`, `fallocate`, `truncate`.
    pub op: &'static str,
    /// The errno, positive.
    pub errno: i32,
    /// How often.
    pub count: u64,
}

/// A file that was deleted, and takes its room because somebody has it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who has it open.
    pub pid: u32,
    /// Its name.
    pub comm: Vec<u8>,
    /// The path that it had.
    pub path: Vec<u8>,
    /// Bytes that it takes.
    pub bytes: u64,
}

/// Time in which somebody waited for I/O (`/proc/pressure/io`, Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Some task waited.
    pub some: Duration,
    /// All that had something to do waited.
    pub full: Duration,
}

/// All that is known of the time traced. A field for each source.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How long it was.
    pub length: Duration,
    /// Processes and files as `top` has them, each with its place on the host and what is free there.
    pub rows: Vec<Row>,
    /// Sizes of files that were written, by device and inode.
    pub growth: HashMap<(u32, u64), Growth>,
    /// Devices that were not idle, as `disk` has them.
    pub disks: Vec<DiskUse>,
    /// Requests of processes and files, as `block --summary` has them, those with most bytes first.
    pub blocks: Vec<block::Row>,
    /// Reads that reached a disk, by process and path.
    pub reads: HashMap<(u32, Vec<u8>), DiskReads>,
    /// Files that came and went, by process and pattern, as `life` has them.
    pub lives: Vec<LifeRow>,
    /// Opens for writing, by process, device and inode.
    pub opens: HashMap<(u32, u32, u64), Opened>,
    /// Writes of processes to files by their size, by process, device and inode.
    pub write_sizes: HashMap<(u32, u32, u64), WriteSizes>,
    /// What threads were blocked on, as `wait` has it: by process, file, operation and reason, but for what is less than a hundredth
    /// of the time.
    pub waits: Vec<WaitRow>,
    /// What overlayfs copied up, by process.
    pub copy_ups: Vec<CopiedUp>,
    /// Operations that failed, by process, file and errno.
    pub failures: Vec<Failure>,
    /// Deleted files on file systems that are nearly full, by mount point, the largest first.
    pub held: HashMap<Vec<u8>, Vec<Held>>,
    /// Waiting for I/O, of the whole host; `None` where the kernel does not tell.
    pub pressure: Option<Pressure>,
    /// What could not be seen, in words.
    pub unseen: Vec<String>,
}

impl Facts {
    /// How often a second, of a count.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        let seconds = self.length.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }

    /// Which part of the time, of a sum of nanoseconds. More than 1 when several threads took it side by side.
    #[must_use]
    pub fn share(&self, ns: u64) -> f64 {
        let seconds = self.length.as_secs_f64();
        if seconds > 0.0 { ns as f64 / 1e9 / seconds } else { 0.0 }
    }

    /// How the file of a row grew.
    #[must_use]
    pub fn growth(&self, row: &Row) -> Option<&Growth> {
        self.growth.get(&(row.dev?, row.ino?))
    }

    /// Writes of a row's process and file by their size.
    #[must_use]
    pub fn write_sizes(&self, row: &Row) -> Option<&WriteSizes> {
        self.write_sizes.get(&(row.pid?, row.dev?, row.ino?))
    }

    /// Requests of a row's process and file.
    #[must_use]
    pub fn blocks(&self, row: &Row) -> Option<&block::Row> {
        self.blocks.iter().find(|block| are_of(block, row))
    }

    /// Reads of a row's process and file that reached a disk.
    #[must_use]
    pub fn disk_reads(&self, row: &Row) -> Option<&DiskReads> {
        let block = self.blocks(row)?;
        self.reads.get(&(row.pid?, block.path.clone()?))
    }
}
