//! Many small writes without a buffer: a system call for each record.

use super::{Facts, Finding, Proof, Rule, Severity, reopened_per_write, sync_per_write, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "small-writes", page: include_str!("../../../docs/findings/small-writes.md"), find };

/// Larger writes on average are worth a system call.
const BYTES: u64 = 512;
/// Fewer a second cost nothing that anybody would notice.
const PER_SECOND: f64 = 1000.0;
/// Share of the time in them from which it matters.
const SHARE: f64 = 0.02;

fn find(facts: &Facts) -> Vec<Finding> {
    // Of the same writes these say more.
    let told = |row: &Row| reopened_per_write::is_cause(facts, row) || sync_per_write::is_cause(facts, row);
    let others = facts.rows.iter().filter(|row| !told(row));
    others.filter_map(|row| judge(facts, row)).collect()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let counters = &row.counters;
    // What a container prints is written by its runtime: `container-output` tells of that.
    if row.role.is_some() {
        return None;
    }
    // Those that sync by themselves cost what a sync does: `sync-per-write` tells of them.
    let writes = counters.writes.saturating_sub(counters.sync_writes);
    let ns = counters.write_ns.saturating_sub(counters.sync_write_ns);
    let (rate, share) = (facts.per_second(writes), facts.share(ns));
    if rate < PER_SECOND || share < SHARE || counters.write_bytes / counters.writes > BYTES {
        return None;
    }
    let average = counters.write_bytes / counters.writes;
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![
        format!("{writes} writes, {rate:.0} a second, {} each on average", bytes(average)),
        format!(
            "{} of the time in them, {} each, for {}",
            words::per_cent(share),
            nanos(ns / writes),
            words::rate(facts.per_second(counters.write_bytes))
        ),
    ];
    let mut proof = vec![Proof::Top(row.clone())];
    if let Some(sizes) = facts.write_sizes(row) {
        evidence.push(words::sizes(sizes));
        proof.push(Proof::WriteSizes(row.clone(), *sizes));
    }
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: Severity::Warning,
        cost: Duration::from_nanos(ns),
        subject: row.clone(),
        headline: format!("{who} writes {file} in pieces of {}, without a buffer", bytes(average)),
        evidence,
        proof,
        advice: "write through a buffer: `access_log ... buffer=64k flush=1s` of nginx, BufWriter, setvbuf, a logger's queue".into(),
    })
}
