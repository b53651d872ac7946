//! A disk does not answer: requests to it do not end.

use super::{DiskUse, Facts, Finding, Hanging, Proof, Rule, Severity, words};
use crate::{
    output::{escape, nanos},
    view::{top::Row, wait::WaitRow},
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "disk-hangs", page: include_str!("../../../docs/findings/disk-hangs.md"), find };

/// No disk that works takes so long for a request, even behind a long queue.
const LONG: Duration = Duration::from_secs(2);
/// Who waits for it is named one by one, up to so many.
const WAITING: usize = 3;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.disks.iter().filter_map(|disk| judge(facts, disk)).collect()
}

/// Whether a disk hangs: then it is not busy.
pub(super) fn hangs(disk: &DiskUse) -> bool {
    disk.hanging.is_some_and(|hanging| hanging.oldest >= LONG)
}

fn judge(facts: &Facts, disk: &DiskUse) -> Option<Finding> {
    let hanging = disk.hanging.filter(|_| hangs(disk))?;
    let name = disk.name().unwrap_or("?");
    let oldest = nanos_of(hanging.oldest);
    let what = match hanging.requests {
        1 => format!("a request has not ended for {oldest}"),
        requests => format!("{requests} requests have not ended, the oldest for {oldest}"),
    };
    let mut waits: Vec<&WaitRow> = facts.waits.iter().filter(|wait| is_on(&wait.row, disk)).collect();
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.ns));
    let mut evidence = vec![since(facts, &hanging)];
    evidence.push(format!("the oldest request is of {} ({})", escape(hanging.by.1.bytes()), hanging.by.0));
    let backing = disk.row.device.as_ref().and_then(|device| device.backing.as_deref());
    evidence.extend(backing.map(|path| format!("its bytes are in {}", escape(path))));
    evidence.extend(waits.iter().take(WAITING).map(|wait| {
        format!("{} waits in {} of {}, {}", words::who(&wait.row), wait.op, words::file(&wait.row), nanos(wait.ns))
    }));
    let waited = Duration::from_nanos(waits.iter().map(|wait| wait.ns).sum());
    let mut proof = vec![Proof::Disk(disk.row.clone(), disk.interval_ns)];
    proof.extend(waits.iter().take(WAITING).map(|wait| Proof::Wait((*wait).clone())));
    Some(Finding {
        rule: RULE.name,
        severity: if is_silent(&hanging) { Severity::Critical } else { Severity::Warning },
        cost: waited.max(hanging.oldest),
        subject: waits.first().map_or_else(Row::default, |wait| wait.row.clone()),
        headline: format!("{name} hangs: {what}"),
        evidence,
        proof,
        advice: "look into the kernel's log (dmesg) for what is between here and the disk: cable, path, network, the cloud's volume; \
                 for a loop device, whether the file system below is frozen or hangs itself"
            .into(),
    })
}

/// Nothing has ended since the oldest request began.
fn is_silent(hanging: &Hanging) -> bool {
    hanging.silence.is_none_or(|silence| silence >= hanging.oldest)
}

fn since(facts: &Facts, hanging: &Hanging) -> String {
    match hanging.silence {
        None => format!("no request to it has ended in {}", nanos_of(facts.length)),
        Some(silence) if is_silent(hanging) => format!("no request to it has ended for {}", nanos_of(silence)),
        Some(silence) => format!("others end meanwhile, the last one {} ago", nanos_of(silence)),
    }
}

/// Whether a row's file is on the disk.
fn is_on(row: &Row, disk: &DiskUse) -> bool {
    row.disk.as_ref().is_some_and(|of_file| of_file.whole == disk.row.dev)
}

fn nanos_of(length: Duration) -> String {
    nanos(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
}
