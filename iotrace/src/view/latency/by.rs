//! Block latency by who and what caused the requests: added up here, from their records.

use super::{Differences, Histograms, Row};
use crate::{
    event::{Comm, block::Block},
    resolve::names::ProcessInfo,
    view::block::Charge,
};
use bytemuck::Zeroable;
use iotrace_common::latency::{Distribution, Extremes, Histogram, HistogramKey, Range, bucket_of};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// Most subjects of an interval: each has some histograms of 50 KB. What comes then is added to one without names.
const SUBJECTS_MAX: usize = 256;

/// What else tells histograms apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The file whose bytes a request carries.
    File,
    /// The process that caused it.
    Process,
    /// The container or service of that process.
    Container,
}

/// Whose requests: what is `None` is not known, or not asked for.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Process id.
    pub pid: Option<u32>,
    /// Name of the thread that was charged last: a program that has just been started has another name at first.
    pub comm: Option<Comm>,
    /// What is known of the process; of a container, of one of its processes.
    pub process: Option<Arc<ProcessInfo>>,
    /// The file, or what stands in its place.
    pub path: Option<Vec<u8>>,
    /// All that found no room.
    pub others: bool,
}

/// What makes a subject another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Identity {
    process: Option<(u32, u64)>,
    container: Option<String>,
    path: Option<Vec<u8>>,
    others: bool,
}

/// A subject's requests.
#[derive(Debug, Default)]
struct Group {
    subject: Subject,
    histograms: HashMap<HistogramKey, (Box<Histogram>, Extremes)>,
}

/// Adds requests up.
#[derive(Debug)]
pub struct Sums {
    by: Option<By>,
    /// Which part of `cmd_flags` tells histograms apart.
    mask: u32,
    groups: HashMap<Identity, Group>,
}

impl Sums {
    /// `by`: `None` for all together. `mask`: which part of `cmd_flags` tells histograms apart.
    pub fn new(by: Option<By>, mask: u32) -> Self {
        Self { by, mask, groups: HashMap::new() }
    }

    /// Adds a request; `charge` is the one that it is of.
    pub fn add(&mut self, block: &Block, failed: bool, charge: &Charge) {
        let mut identity = self.identity(charge);
        if self.groups.len() >= SUBJECTS_MAX && !self.groups.contains_key(&identity) {
            identity = Identity { others: true, ..Identity::default() };
        }
        let subject = subject(self.by, charge, identity.others);
        let group = self.groups.entry(identity).or_default();
        group.subject = subject;
        let key = HistogramKey { disk: block.disk, cmd_flags: block.cmd_flags & self.mask };
        let (histogram, extremes) =
            group.histograms.entry(key).or_insert_with(|| (Box::new(Histogram::zeroed()), Extremes::default()));
        histogram.count += 1;
        histogram.bytes += block.bytes;
        histogram.errors += u64::from(failed);
        let (queue_ns, device_ns) = (block.queue_ns, block.device_ns);
        count(&mut histogram.total, queue_ns + device_ns);
        count(&mut histogram.queue, queue_ns);
        count(&mut histogram.device, device_ns);
        let only = |ns| Range { min_ns: ns, max_ns: ns };
        extremes.merge(&Extremes {
            count: 1,
            total: only(queue_ns + device_ns),
            queue: only(queue_ns),
            device: only(device_ns),
        });
    }

    fn identity(&self, charge: &Charge) -> Identity {
        let none = Identity::default();
        match self.by {
            None => none,
            Some(By::File) => Identity { path: charge.path.clone(), ..none },
            Some(By::Process) => {
                let process = charge.payer.as_ref().map(|payer| (payer.agent.task.pid, payer.agent.start_ns));
                Identity { process, ..none }
            }
            Some(By::Container) => {
                let container = charge.process().and_then(ProcessInfo::container).map(|found| found.id.clone());
                Identity { container, ..none }
            }
        }
    }

    /// What came since the last call: the subjects with most time in the device first.
    pub fn take(&mut self) -> Vec<(Subject, Vec<Row>)> {
        let of_group = |group: Group| {
            let histograms: Histograms =
                group.histograms.into_iter().map(|(key, (histogram, extremes))| (key, histogram, extremes)).collect();
            (group.subject, Differences::default().since(histograms))
        };
        let mut all: Vec<_> = std::mem::take(&mut self.groups).into_values().map(of_group).collect();
        let device_ns = |rows: &[Row]| rows.iter().map(|row| row.device.distribution.sum_ns).sum::<u64>();
        all.sort_by_key(|(subject, rows)| (Reverse(device_ns(rows)), subject.pid, subject.path.clone()));
        all
    }
}

fn subject(by: Option<By>, charge: &Charge, others: bool) -> Subject {
    let payer = charge.payer.as_ref().filter(|_| !others);
    let process = payer.filter(|_| by == Some(By::Process));
    let known = payer.filter(|_| matches!(by, Some(By::Process | By::Container)));
    Subject {
        pid: process.map(|payer| payer.agent.task.pid),
        comm: process.map(|payer| payer.agent.task.comm),
        process: known.and_then(|payer| payer.process.clone()),
        path: charge.path.clone().filter(|_| by == Some(By::File) && !others),
        others,
    }
}

fn count(distribution: &mut Distribution, ns: u64) {
    distribution.sum_ns += ns;
    distribution.buckets[bucket_of(ns)] += 1;
}

#[cfg(test)]
#[path = "by_tests.rs"]
mod tests;
