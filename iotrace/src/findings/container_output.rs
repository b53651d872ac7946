//! A container prints so much that its runtime is busy writing it down.

use super::{Facts, Finding, Proof, Rule, Severity, runtime, words};
use crate::{output::bytes, view::top::Row};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "container-output", page: include_str!("../../../docs/findings/container-output.md"), find };

/// Less a second is an ordinary log.
const PER_SECOND: f64 = 256.0 * 1024.0;
/// Lines a second that cost the runtime something whatever their length.
const WRITES_PER_SECOND: f64 = 1000.0;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.rows.iter().filter(|row| runtime::is_output(row)).filter_map(|row| judge(facts, row)).collect()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let counters = &row.counters;
    let (rate, writes) = (facts.per_second(counters.write_bytes), facts.per_second(counters.writes));
    if rate < PER_SECOND && writes < WRITES_PER_SECOND {
        return None;
    }
    let mut evidence = vec![
        format!("{} writes, {writes:.0} a second, {}", counters.writes, words::rate(rate)),
        format!("{} of the time in them, {} each", words::per_cent(facts.share(counters.write_ns)), {
            bytes(counters.write_bytes / counters.writes.max(1))
        }),
    ];
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: Severity::Warning,
        cost: Duration::from_nanos(counters.write_ns + counters.sync_ns),
        subject: row.clone(),
        headline: format!("{} writes down what is printed there: {}", words::who(row), words::file(row)),
        evidence,
        proof: vec![Proof::Top(row.clone())],
        advice: "print less; limit it (kubelet's containerLogMaxSize, Docker's max-size, log driver local or none)"
            .into(),
    })
}
