//! Block requests, added up by who and what caused them.

use super::charges::{Charge, What};
use crate::{
    event::{Comm, block::Block},
    kernel::block::BlockOp,
    resolve::{
        Container, HostPath,
        names::{FileInfo, ProcessInfo},
    },
};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// Most rows of an interval; what comes then is added to one without names.
const ROWS_MAX: usize = 1 << 16;

/// What a row is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// A process and a file, on one disk.
    #[default]
    ProcessFile,
    /// A process, all its files together.
    Process,
    /// A file, all processes together.
    File,
    /// A container or service: all its processes and their files together.
    Container,
    /// A disk: everything on it together.
    Disk,
}

/// What rows are sorted by, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Requests of all kinds.
    Requests,
    /// Bytes read.
    ReadBytes,
    /// Bytes written.
    WriteBytes,
    /// Bytes of all requests.
    #[default]
    Bytes,
    /// Time in the queue.
    Queue,
    /// Time in the device.
    Device,
    /// Requests that failed.
    Errors,
}

/// What was done. A request counts in the row of the charge with most of its bytes; its bytes and times are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that read.
    pub reads: u64,
    /// Requests that write, zeroes too.
    pub writes: u64,
    /// Flushes of the device's cache.
    pub flushes: u64,
    /// Requests of any other kind: discards, zones.
    pub others: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Bytes of requests of any other kind.
    pub other_bytes: u64,
    /// Until given to the device, nanoseconds: the sum of all requests.
    pub queue_ns: u64,
    /// In the device, nanoseconds: the same.
    pub device_ns: u64,
    /// Longest single request, nanoseconds.
    pub max_ns: u64,
    /// Requests that failed.
    pub errors: u64,
}

impl Totals {
    /// Requests of all kinds.
    pub fn requests(&self) -> u64 {
        self.reads + self.writes + self.flushes + self.others
    }

    /// Bytes of all requests.
    pub fn bytes(&self) -> u64 {
        self.read_bytes + self.write_bytes + self.other_bytes
    }

    fn value(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Requests => self.requests(),
            Sort::ReadBytes => self.read_bytes,
            Sort::WriteBytes => self.write_bytes,
            Sort::Bytes => self.bytes(),
            Sort::Queue => self.queue_ns,
            Sort::Device => self.device_ns,
            Sort::Errors => self.errors,
        }
    }

    fn count(&mut self, op: BlockOp, failed: bool) {
        *match op {
            BlockOp::Read => &mut self.reads,
            BlockOp::Flush => &mut self.flushes,
            _ if is_write(op) => &mut self.writes,
            _ => &mut self.others,
        } += 1;
        self.errors += u64::from(failed);
    }

    fn carry(&mut self, op: BlockOp, bytes: u64) {
        *match op {
            BlockOp::Read => &mut self.read_bytes,
            _ if is_write(op) => &mut self.write_bytes,
            _ => &mut self.other_bytes,
        } += bytes;
    }
}

/// What `/sys/block/DISK/stat` counts as writes.
fn is_write(op: BlockOp) -> bool {
    matches!(op, BlockOp::Write | BlockOp::WriteZeroes | BlockOp::WriteSame | BlockOp::ZoneAppend)
}

/// Sums of one kind. What a row is not of is `None` in it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The whole disk.
    pub disk: Option<u32>,
    /// Process id; `None` too where nobody is known.
    pub pid: Option<u32>,
    /// Name of the thread that was charged first; of the row's only process.
    pub comm: Option<Comm>,
    /// What is known of the process.
    pub process: Option<Arc<ProcessInfo>>,
    /// What the bytes are.
    pub what: Option<What>,
    /// The file, or what stands in its place.
    pub path: Option<Vec<u8>>,
    /// What is known of the file.
    pub file: Option<Arc<FileInfo>>,
    /// Where it lies on the host; looked up only for what is printed.
    pub host: Option<Arc<HostPath>>,
    /// What was done.
    pub totals: Totals,
}

impl Row {
    /// The container or service of the row's process, or that the row is of.
    pub fn container(&self) -> Option<&Container> {
        self.process.as_deref()?.container()
    }
}

/// What makes a row another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    disk: Option<u32>,
    process: Option<(u32, u64)>,
    what: Option<What>,
    path: Option<Vec<u8>>,
    on_host: Option<Vec<u8>>,
    container: Option<String>,
}

/// Adds requests up.
#[derive(Debug, Default)]
pub struct Sums {
    by: By,
    rows: HashMap<Key, Row>,
}

impl Sums {
    /// With rows of this kind.
    pub fn new(by: By) -> Self {
        Self { by, rows: HashMap::new() }
    }

    /// Adds those charges of a request that `passes` picks.
    pub fn add(
        &mut self,
        block: &Block,
        op: BlockOp,
        failed: bool,
        charges: &[Charge],
        passes: impl Fn(&Charge) -> bool,
    ) {
        let mut counted = false;
        for (charge, [queue_ns, device_ns]) in charges.iter().zip(divided(block, charges)) {
            if !passes(charge) {
                continue;
            }
            let totals = &mut self.row(block, charge).totals;
            if !counted {
                totals.count(op, failed);
                counted = true;
            }
            totals.carry(op, charge.bytes);
            totals.queue_ns += queue_ns;
            totals.device_ns += device_ns;
            totals.max_ns = totals.max_ns.max(block.queue_ns + block.device_ns);
        }
    }

    /// The rows since the last call.
    pub fn take(&mut self, sort: Sort) -> Vec<Row> {
        let mut rows: Vec<Row> = std::mem::take(&mut self.rows).into_values().collect();
        rows.sort_by_key(|row| {
            (Reverse(row.totals.value(sort)), Reverse(row.totals.requests()), row.pid, row.path.clone(), row.disk)
        });
        rows
    }

    fn row(&mut self, block: &Block, charge: &Charge) -> &mut Row {
        let mut key = self.key(block, charge);
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&key) {
            key = Key::default();
        }
        let nameless = key == Key::default();
        let by = self.by;
        self.rows.entry(key).or_insert_with_key(|key| {
            let payer = charge.payer.as_ref().filter(|_| key.process.is_some());
            let process = charge.payer.as_ref().filter(|_| key.process.is_some() || by == By::Container);
            Row {
                disk: key.disk,
                pid: payer.map(|payer| payer.agent.task.pid),
                comm: payer.map(|payer| payer.agent.task.comm),
                process: process.filter(|_| !nameless).and_then(|payer| payer.process.clone()),
                what: key.what,
                path: key.path.clone(),
                file: charge.file.clone().filter(|_| key.path.is_some()),
                host: None,
                totals: Totals::default(),
            }
        })
    }

    fn key(&self, block: &Block, charge: &Charge) -> Key {
        let process = charge.payer.as_ref().map(|payer| (payer.agent.task.pid, payer.agent.start_ns));
        let container = || charge.process().and_then(|process| process.container()).map(|found| found.id.clone());
        let on_host = || charge.file.as_ref().and_then(|file| file.on_host.clone());
        let none = Key::default();
        match self.by {
            By::ProcessFile => {
                let (what, path) = (charge.what, charge.path.clone());
                Key { disk: Some(block.disk), process, what, path, on_host: on_host(), ..none }
            }
            By::Process => Key { process, ..none },
            By::File => Key { what: charge.what, path: charge.path.clone(), on_host: on_host(), ..none },
            By::Container => Key { container: container(), ..none },
            By::Disk => Key { disk: Some(block.disk), ..none },
        }
    }
}

/// Queue and device time of each charge, by its bytes; what division leaves over is the first one's.
fn divided<'a>(block: &'a Block, charges: &'a [Charge]) -> impl Iterator<Item = [u64; 2]> + 'a {
    let part = |whole: u64, bytes: u64| {
        let part = u128::from(whole) * u128::from(bytes) / u128::from(block.bytes.max(1));
        u64::try_from(part).unwrap_or(whole)
    };
    let rest = move |whole: u64| {
        whole - charges.iter().skip(1).map(|charge| part(whole, charge.bytes)).sum::<u64>().min(whole)
    };
    charges.iter().enumerate().map(move |(index, charge)| {
        [block.queue_ns, block.device_ns].map(|whole| if index == 0 { rest(whole) } else { part(whole, charge.bytes) })
    })
}

#[cfg(test)]
#[path = "sums_tests.rs"]
mod tests;
