//! Writers are held back: too many dirty pages, or a control group's limit.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{kernel::reasons::Reason, output::nanos, view::wait::WaitRow};
use std::time::Duration;

/// Too many dirty pages.
pub(super) const DIRTY: Rule =
    Rule { name: "dirty-throttling", page: include_str!("../../../docs/findings/dirty-throttling.md"), find: dirty };
/// A control group's limit.
pub(super) const LIMIT: Rule =
    Rule { name: "io-limit", page: include_str!("../../../docs/findings/io-limit.md"), find: limit };

/// Share of the time blocked from which it matters, and from which it is what the process does.
const SHARE: f64 = 0.1;
const SHARE_CRITICAL: f64 = 0.5;
/// A disk that is busier than this is what is waited for, not the limit.
const DISK_BUSY: f64 = 0.8;

fn dirty(facts: &Facts) -> Vec<Finding> {
    let of = |wait: &&WaitRow| wait.reason == Some(Reason::DirtyThrottle) && facts.share(wait.ns) >= SHARE;
    let judge = |wait: &WaitRow| {
        let row = &wait.row;
        let (who, file) = (words::who(row), words::file(row));
        let written = facts.rows.iter().find(|known| known.pid == row.pid && known.path == row.path);
        let rate = written.map(|row| words::rate(facts.per_second(row.counters.write_bytes)));
        let mut evidence = vec![time(facts, wait)];
        evidence.extend(rate.map(|rate| format!("it writes {rate}, and that is more than the disk takes")));
        evidence.extend(words::place(row));
        Finding {
            rule: DIRTY.name,
            severity: severity(facts, wait),
            cost: Duration::from_nanos(wait.ns),
            subject: row.clone(),
            headline: format!("{who} is held back until what it wrote is on the disk, {file}"),
            evidence,
            proof: proof(wait, written),
            advice: "write less or to a faster disk; vm.dirty_background_bytes lower, so that writing begins sooner"
                .into(),
        }
    };
    facts.waits.iter().filter(of).map(judge).collect()
}

fn limit(facts: &Facts) -> Vec<Finding> {
    facts.waits.iter().filter_map(|wait| judge_limit(facts, wait)).collect()
}

fn judge_limit(facts: &Facts, wait: &WaitRow) -> Option<Finding> {
    let disk_bound = [
        Reason::Read,
        Reason::Write,
        Reason::Writeback,
        Reason::Journal,
        Reason::DeviceQueue,
        Reason::Io,
        Reason::PageFault,
    ];
    let reason = wait.reason?;
    let told = reason == Reason::CgroupThrottle;
    if facts.share(wait.ns) < SHARE || !(told || disk_bound.contains(&reason)) {
        return None;
    }
    let row = &wait.row;
    let disk = row.disk.as_ref();
    // Bios that a limit holds back have not come to the disk: it has little to do meanwhile.
    let busy = disk
        .and_then(|disk| facts.disks.iter().find(|used| used.row.dev == disk.whole))
        .map_or(0.0, |used| used.busy());
    let limit = wait.limit.as_ref();
    if !told && (limit.is_none() || busy >= DISK_BUSY) {
        return None;
    }
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![time(facts, wait)];
    evidence.extend(limit.map(|limit| format!("control group {} has a limit: {}", limit.cgroup, limit.text())));
    evidence.push(format!("its disk is busy {} of the time", words::per_cent(busy)));
    evidence.extend(words::place(row));
    Some(Finding {
        rule: LIMIT.name,
        severity: severity(facts, wait),
        cost: Duration::from_nanos(wait.ns),
        subject: row.clone(),
        headline: format!("{who} waits because of the limit of its control group, {file}"),
        evidence,
        proof: proof(wait, None),
        advice: "raise the limit (io.max, blkio.throttle.*, Docker's --device-*-bps), or let it do less".into(),
    })
}

fn time(facts: &Facts, wait: &WaitRow) -> String {
    let (share, waits) = (words::per_cent(facts.share(wait.ns)), wait.waits);
    format!("blocked in {} {share} of the time, {waits} times, longest {}", wait.op, nanos(wait.max_ns))
}

fn severity(facts: &Facts, wait: &WaitRow) -> Severity {
    if facts.share(wait.ns) >= SHARE_CRITICAL { Severity::Critical } else { Severity::Warning }
}

fn proof(wait: &WaitRow, row: Option<&crate::view::top::Row>) -> Vec<Proof> {
    [Proof::Wait(wait.clone())].into_iter().chain(row.cloned().map(Proof::Top)).collect()
}
