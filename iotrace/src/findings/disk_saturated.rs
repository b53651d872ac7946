//! A disk has more to do than it can: by whom, of what kind, and whether it is the disk that is slow.

use super::{DiskUse, Facts, Finding, Proof, Rule, Severity, copy_up_storm, disk_hangs, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "disk-saturated", page: include_str!("../../../docs/findings/disk-saturated.md"), find };

/// Part of the time with a request in flight.
const BUSY: f64 = 0.8;
/// With fewer requests in flight, and a shorter time for each, a disk could do more: it is who asks that waits for each answer.
const IN_FLIGHT: f64 = 2.0;
const LATENCY_NS: u64 = 5_000_000;
/// From so many in flight, or so long for each, others wait noticeably.
const IN_FLIGHT_CRITICAL: f64 = 8.0;
const LATENCY_CRITICAL_NS: u64 = 50_000_000;
/// Part of the time in the device that flushes take from which they are what it does.
const FLUSHES: f64 = 0.5;
/// Larger requests on average are worth their way: bytes are what the disk is short of.
const LARGE: u64 = 64 << 10;
/// So many times as long in the queue as in the device: more is sent than it can take.
const QUEUE: u64 = 2;
/// Longer in the device on average is slow for any disk.
const SLOW_NS: u64 = 20_000_000;

fn find(facts: &Facts) -> Vec<Finding> {
    let works = |disk: &&DiskUse| !disk_hangs::hangs(disk) && !is_below(facts, disk);
    facts.disks.iter().filter(works).filter_map(judge).collect()
}

/// Whether a disk only has to do what a loop device above it has, whose file it holds: that one is named.
fn is_below(facts: &Facts, disk: &DiskUse) -> bool {
    let path = disk.row.causes.first().and_then(|cause| cause.row.path.as_deref());
    facts.disks.iter().any(|above| {
        let device = above.row.device.as_ref();
        let backing = device.and_then(|device| device.backing.as_deref());
        backing.is_some() && backing == path && judge(above).is_some()
    })
}

/// What a disk is short of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Flushes,
    Bytes,
    Requests,
}

fn judge(disk: &DiskUse) -> Option<Finding> {
    let all = disk.row.all.as_ref()?;
    let count = all.count.max(1);
    let (queue, device) = (all.queue.distribution.sum_ns / count, all.device.distribution.sum_ns / count);
    let (busy, in_flight) = (disk.busy(), disk.in_flight());
    if busy < BUSY || (in_flight < IN_FLIGHT && queue + device < LATENCY_NS) {
        return None;
    }
    let cause = disk.row.causes.first()?;
    let subject = disk.causes.first()?.clone();
    let bound = bound(disk);
    let name = disk.name().unwrap_or("?");
    let critical = in_flight >= IN_FLIGHT_CRITICAL || queue + device >= LATENCY_CRITICAL_NS;
    let mut evidence = vec![
        format!(
            "{name}: busy {} of the time, {in_flight:.1} requests in flight; {:.0} reads, {:.0} writes and {:.0} flushes \
             a second, {}",
            words::per_cent(busy),
            disk.per_second(|counted| counted.reads.requests),
            disk.per_second(|counted| counted.writes.requests),
            disk.per_second(|counted| counted.flushes.requests),
            words::rate(disk.per_second(|counted| counted.reads.bytes + counted.writes.bytes)),
        ),
        format!("a request waits {} and takes the disk {}: {}", nanos(queue), nanos(device), verdict(queue, device)),
        format!(
            "{} of the disk's time for {}, {}",
            words::per_cent(cause.share),
            words::who(&subject),
            match bound {
                Bound::Flushes => "most of all for flushes of its cache".to_owned(),
                Bound::Bytes | Bound::Requests =>
                    format!("{} a request", bytes(cause.row.totals.bytes() / cause.row.totals.requests().max(1))),
            }
        ),
    ];
    evidence.extend(words::place(&subject));
    let reads = cause.row.totals.read_bytes > cause.row.totals.write_bytes;
    Some(Finding {
        rule: RULE.name,
        severity: if critical { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(cause.row.totals.queue_ns + cause.row.totals.device_ns),
        headline: headline(name, &subject, bound, reads),
        proof: vec![Proof::Disk(disk.row.clone(), disk.interval_ns), Proof::Block(cause.row.clone())],
        subject,
        evidence,
        advice: advice(bound, reads).into(),
    })
}

/// Which of flushes, bytes and requests there are too many of.
fn bound(disk: &DiskUse) -> Bound {
    let device_ns = |row: &Option<_>| {
        let row: Option<&crate::view::latency::Row> = row.as_ref();
        row.map_or(0, |row| row.device.distribution.sum_ns)
    };
    let flushes = device_ns(&disk.flushes);
    let all = flushes + device_ns(&disk.reads) + device_ns(&disk.writes);
    if flushes as f64 >= FLUSHES * all.max(1) as f64 {
        return Bound::Flushes;
    }
    let of = |value: fn(&crate::view::latency::Row) -> u64| -> u64 {
        [&disk.reads, &disk.writes].into_iter().flatten().map(value).sum()
    };
    if of(|row| row.bytes) / of(|row| row.count).max(1) >= LARGE { Bound::Bytes } else { Bound::Requests }
}

fn verdict(queue: u64, device: u64) -> &'static str {
    if queue >= QUEUE * device.max(1) {
        "more is sent than it can take"
    } else if device >= SLOW_NS {
        "the disk is slow"
    } else {
        "it is busy, not slow"
    }
}

fn headline(disk: &str, subject: &Row, bound: Bound, reads: bool) -> String {
    let (who, file) = (words::who(subject), words::file(subject));
    let what = match bound {
        Bound::Flushes => "flushes its cache",
        Bound::Bytes if reads => "reads too much",
        Bound::Bytes => "writes too much",
        Bound::Requests if reads => "reads in too many small requests",
        Bound::Requests => "writes in too many small requests",
    };
    format!("{disk} is saturated: {who} {what}, {file}")
}

fn advice(bound: Bound, reads: bool) -> &'static str {
    match (bound, reads) {
        (Bound::Flushes, _) => "sync less often (group commit), or have a disk whose write cache survives a power cut",
        (Bound::Bytes, true) => "read less: a larger page cache, another time or disk; limit it with io.max rbps",
        (Bound::Bytes, false) => "write less, at another time or to another disk; limit it with io.max wbps",
        (Bound::Requests, true) => "larger reads: read-ahead, indexes, more page cache; limit it with io.max riops",
        (Bound::Requests, false) => "larger writes: buffers, batches; limit it with io.max wiops",
    }
}

/// Tells what saturates a disk together with what else is known of it: a finding that has the same process and file is the
/// better name for it.
pub(super) fn fold(found: Vec<Finding>) -> Vec<Finding> {
    let (saturated, mut found): (Vec<_>, Vec<_>) = found.into_iter().partition(|finding| finding.rule == RULE.name);
    for disk in saturated {
        let same = |other: &&mut Finding| {
            let (a, b) = (&other.subject, &disk.subject);
            // Copies of other files than the longest are of the same cause.
            a.pid.is_some() && a.pid == b.pid && (a.path == b.path || other.rule == copy_up_storm::RULE.name)
        };
        match found.iter_mut().find(same) {
            Some(other) => {
                other.evidence.extend(disk.evidence.into_iter().take(2));
                other.proof.extend(disk.proof);
                other.severity = other.severity.max(disk.severity);
                other.cost = other.cost.max(disk.cost);
            }
            None => found.push(disk),
        }
    }
    found
}
