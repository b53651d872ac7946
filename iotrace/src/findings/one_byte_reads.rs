//! Many reads of a few bytes without a buffer.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "one-byte-reads", page: include_str!("../../../docs/findings/one-byte-reads.md"), find };

/// Larger reads on average are worth a system call.
const BYTES: u64 = 16;
/// Fewer a second cost nothing that anybody would notice.
const PER_SECOND: f64 = 1000.0;
/// Share of the time in them from which it matters.
const SHARE: f64 = 0.02;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.rows.iter().filter_map(|row| judge(facts, row)).collect()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let counters = &row.counters;
    let (rate, share) = (facts.per_second(counters.reads), facts.share(counters.read_ns));
    // Reads at the end of a file, and failed ones, bring nothing: a file that is polled is another matter.
    if rate < PER_SECOND || share < SHARE || counters.read_bytes < counters.reads {
        return None;
    }
    let average = counters.read_bytes / counters.reads;
    if average > BYTES {
        return None;
    }
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![
        format!("{} reads, {rate:.0} a second, {} each on average", counters.reads, bytes(average)),
        format!("{} of the time in them, {} each", words::per_cent(share), nanos(counters.read_ns / counters.reads)),
    ];
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: Severity::Warning,
        cost: Duration::from_nanos(counters.read_ns),
        subject: row.clone(),
        headline: format!("{who} reads {file} in pieces of {}, without a buffer", bytes(average)),
        evidence,
        proof: vec![Proof::Top(row.clone())],
        advice: "read through a buffer of some KiB: BufReader, fread, io.BufferedReader".into(),
    })
}
