//! Nothing is wrong with the I/O: with what that follows from, and what could not be seen.

use super::{DiskUse, Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    kernel::reasons::Reason,
    output::nanos,
    view::{top::Row, wait::WaitRow},
};
use std::time::Duration;

/// The rule. It finds nothing by itself: it is what is left when all others do not.
pub(super) const RULE: Rule =
    Rule { name: "nothing-wrong", page: include_str!("../../../docs/findings/nothing-wrong.md"), find: |_| Vec::new() };

/// Says that nothing is wrong.
#[must_use]
pub fn finding(facts: &Facts) -> Finding {
    let busiest = facts.disks.iter().max_by(|a, b| a.busy().total_cmp(&b.busy()));
    let slowest = facts.rows.iter().filter(|row| row.pid.is_some()).max_by_key(|row| row.counters.total_ns());
    let longest = facts.waits.iter().filter(|wait| wait.reason != Some(Reason::PipeEmpty)).max_by_key(|wait| wait.ns);
    let lines = [
        busiest.map(disk),
        slowest.map(|row| process(facts, row)),
        longest.map(|row| wait(facts, row)),
        pressure(facts),
    ];
    let mut evidence: Vec<String> = lines.into_iter().flatten().collect();
    evidence.extend(facts.unseen.iter().map(|what| format!("not seen: {what}")));
    let rows = slowest.cloned().map(Proof::Top);
    let disks = busiest.map(|disk| Proof::Disk(disk.row.clone(), disk.interval_ns));
    let waits = longest.cloned().map(Proof::Wait);
    Finding {
        rule: RULE.name,
        severity: Severity::Info,
        cost: Duration::ZERO,
        subject: Row::default(),
        headline: format!(
            "nothing wrong found in {:.0} s: {} pairs of process and file",
            facts.length.as_secs_f64(),
            facts.rows.len()
        ),
        evidence,
        proof: rows.into_iter().chain(disks).chain(waits).collect(),
        advice: "look elsewhere: CPU (top), memory (vmstat), network (ss), locks; or watch while it is slow, with -d"
            .into(),
    }
}

fn disk(disk: &DiskUse) -> String {
    let all = disk.row.all.as_ref();
    let each = all.map(|all| all.total.distribution.sum_ns / all.count.max(1));
    format!(
        "busiest disk: {}, {} of the time{}",
        disk.name().unwrap_or("?"),
        words::per_cent(disk.busy()),
        each.map(|each| format!(", {} a request", nanos(each))).unwrap_or_default()
    )
}

fn process(facts: &Facts, row: &Row) -> String {
    let share = facts.share(row.counters.total_ns());
    format!("most time in calls: {}, {} of it, on {}", words::who(row), words::per_cent(share), words::file(row))
}

fn wait(facts: &Facts, wait: &WaitRow) -> String {
    let reason = wait.reason.map_or("?", Reason::name);
    let share = words::per_cent(facts.share(wait.ns));
    format!("longest blocked: {}, {share} of it in {}, by {reason}", words::who(&wait.row), wait.op)
}

fn pressure(facts: &Facts) -> Option<String> {
    let pressure = facts.pressure?;
    let share = |time: Duration| time.as_secs_f64() / facts.length.as_secs_f64().max(1e-9);
    Some(format!(
        "some task waited for I/O {} of the time, all that had work {}",
        words::per_cent(share(pressure.some)),
        words::per_cent(share(pressure.full))
    ))
}
