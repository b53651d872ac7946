//! The same file is read again and again.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "read-again", page: include_str!("../../../docs/findings/read-again.md"), find };

/// Read so many times over, it is worth keeping.
const TIMES: f64 = 10.0;
/// Share of the time in reads from which it matters.
const SHARE: f64 = 0.1;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.rows.iter().filter_map(|row| judge(facts, row)).collect()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let counters = &row.counters;
    let size = facts.growth(row).map(|growth| growth.last).filter(|size| *size > 0)?;
    let (times, share) = (counters.read_bytes as f64 / size as f64, facts.share(counters.read_ns));
    if times < TIMES || share < SHARE {
        return None;
    }
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![
        format!("{} read from a file of {}", bytes(counters.read_bytes), bytes(size)),
        format!(
            "{} of the time in {} reads, {} each",
            words::per_cent(share),
            counters.reads,
            nanos(counters.read_ns / counters.reads.max(1))
        ),
    ];
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: Severity::Warning,
        cost: Duration::from_nanos(counters.read_ns),
        subject: row.clone(),
        headline: format!("{who} reads {file} {times:.0} times over"),
        evidence,
        proof: vec![Proof::Top(row.clone())],
        advice: "keep what was read, and look with inotify or the file's mtime whether it has changed".into(),
    })
}
