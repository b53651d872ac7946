//! What the kernel counts of disks and what was traced of them, brought together.

use crate::{
    cli::options::Filters,
    kernel::tracer::monotonic_ns,
    resolve::{Device, Devices, read_diskstats},
    view::{
        disk::{Cause, Row, Snapshot, counted},
        latency::{self, Differences, Histograms, by_disk},
    },
};
use anyhow::{Context, Result};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::Instant,
};

/// Where the kernel counts.
const DISKSTATS: &str = "/proc/diskstats";

/// Devices in an interval.
pub(in crate::cli) struct Look {
    /// All, idle ones included, in the kernel's order.
    pub(in crate::cli) rows: Vec<Row>,
    /// Between the two looks at the kernel's counters, nanoseconds.
    pub(in crate::cli) interval_ns: u64,
    /// When the last of them was, nanoseconds of CLOCK_MONOTONIC.
    pub(in crate::cli) end_ns: u64,
}

/// Looks at devices again and again.
pub(in crate::cli) struct Collector {
    /// The device that `--disk` names.
    pub(super) named: Option<u32>,
    /// The devices that are shown; `None`: all.
    pub(super) wanted: Option<HashSet<u32>>,
    pub(super) before: Snapshot,
    pub(super) devices: Devices,
    /// As they were when they were last read.
    pub(super) known: HashMap<u32, Arc<Device>>,
    pub(super) of_disks: Differences,
    pub(super) of_ops: Differences,
}

/// What the kernel counts, now.
fn snapshot() -> Result<Snapshot> {
    let before_ns = monotonic_ns();
    let lines = read_diskstats(Path::new(DISKSTATS)).with_context(|| format!("reading {DISKSTATS}"))?;
    Ok(Snapshot { at_ns: before_ns + (monotonic_ns() - before_ns) / 2, lines })
}

impl Collector {
    /// For the devices that the filters name.
    ///
    /// # Errors
    ///
    /// When there is no such device, or the kernel's counters cannot be read.
    pub(in crate::cli) fn new(filters: &Filters) -> Result<Self> {
        Ok(Self {
            named: filters.device()?,
            wanted: filters.devices()?.map(HashSet::from_iter),
            before: snapshot()?,
            devices: Devices::default(),
            known: HashMap::new(),
            of_disks: Differences::default(),
            of_ops: Differences::default(),
        })
    }

    /// Now everything is attached.
    pub(in crate::cli) fn begin(&mut self) {
        // Once more; the first look made sure that it can be read.
        if let Ok(now) = snapshot() {
            self.before = now;
        }
        let at = Instant::now();
        for (dev, name, _) in &self.before.lines {
            if let Some(device) = self.devices.read(*dev, name, at) {
                self.known.insert(*dev, Arc::new(device));
            }
        }
    }

    /// What was since the last look. `causes`: who caused it, by disk.
    ///
    /// # Errors
    ///
    /// When the kernel's counters cannot be read.
    pub(in crate::cli) fn look(&mut self, histograms: Histograms, causes: HashMap<u32, Vec<Cause>>) -> Result<Look> {
        let now = snapshot()?;
        let of_disks = self.of_disks.since(by_disk(&histograms));
        let of_ops = self.of_ops.since(histograms);
        let rows = self.rows(&now, of_disks, of_ops, causes);
        let interval_ns = now.at_ns.saturating_sub(self.before.at_ns);
        let end_ns = now.at_ns;
        self.before = now;
        Ok(Look { rows, interval_ns, end_ns })
    }

    /// The rows of an interval, idle ones included, in the kernel's order.
    pub(super) fn rows(
        &mut self,
        now: &Snapshot,
        of_disks: Vec<latency::Row>,
        of_ops: Vec<latency::Row>,
        causes: HashMap<u32, Vec<Cause>>,
    ) -> Vec<Row> {
        let wanted = |dev: u32| self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&dev));
        let counted = counted(&self.before, now).into_iter().filter(|(dev, _)| wanted(*dev));
        let mut rows: Vec<Row> = counted.map(|(dev, counted)| Row::new(dev, counted)).collect();
        // Of a partition that --disk names, the requests come under the number of its disk.
        let place = |dev: u32| if wanted(dev) { dev } else { self.named.unwrap_or(dev) };
        for requests in of_disks {
            let dev = place(requests.key.disk);
            row_of(&mut rows, dev).all = Some(requests);
        }
        for requests in of_ops {
            let dev = place(requests.key.disk);
            row_of(&mut rows, dev).by_op.push(requests);
        }
        for (disk, causes) in causes {
            let dev = place(disk);
            // Without requests there was nothing to cause: these completed after the last look.
            if let Some(row) = rows.iter_mut().find(|row| row.dev == dev) {
                row.causes = causes;
            }
        }
        let names: HashMap<u32, &str> =
            self.before.lines.iter().chain(&now.lines).map(|(dev, name, _)| (*dev, name.as_str())).collect();
        for (dev, name, _) in &self.before.lines {
            if names.get(dev).is_some_and(|now| now != name) {
                self.known.remove(dev);
            }
        }
        let at = Instant::now();
        for row in &mut rows {
            if let Some(name) = names.get(&row.dev).filter(|_| !row.is_idle() || !self.known.contains_key(&row.dev))
                && let Some(device) = self.devices.read(row.dev, name, at)
            {
                self.known.insert(row.dev, Arc::new(device));
            }
            row.device = self.known.get(&row.dev).cloned();
            if row.device.is_none() {
                row.counted_as = names.get(&row.dev).map(|name| (*name).to_owned());
            }
        }
        // A device that is gone and did nothing that was seen has nothing to show.
        rows.retain(|row| row.counted.is_some() || row.all.is_some());
        let present: HashSet<u32> = now.lines.iter().map(|(dev, _, _)| *dev).collect();
        self.known.retain(|dev, _| present.contains(dev));
        rows
    }
}

/// The row of a device; a new one when the kernel counts nothing of it.
fn row_of(rows: &mut Vec<Row>, dev: u32) -> &mut Row {
    let position = rows.iter().position(|row| row.dev == dev).unwrap_or(rows.len());
    if position == rows.len() {
        rows.push(Row::new(dev, None));
    }
    &mut rows[position]
}
