//! A file that is opened, appended to and closed for each record.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "reopened-per-write", page: include_str!("../../../docs/findings/reopened-per-write.md"), find };

/// Fewer opens a second cost nothing that anybody would notice.
const PER_SECOND: f64 = 10.0;
/// Fewer opens in all neither.
const OPENS: u64 = 100;
/// More writes for each open are worth the open.
const WRITES: f64 = 2.0;
/// Larger ones too.
const BYTES: u64 = 16 << 10;
/// Share of the time in opens and writes from which it matters.
const SHARE: f64 = 0.02;
/// With less, it is worth knowing from so many opens a second on.
const MANY_PER_SECOND: f64 = 200.0;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.rows.iter().filter_map(|row| judge(facts, row)).collect()
}

/// Whether a row is of a file that is opened anew for each write: then its writes are small for that reason.
pub(super) fn is_cause(facts: &Facts, row: &Row) -> bool {
    judge(facts, row).is_some()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let opens = facts.opens.get(&(row.pid?, row.dev?, row.ino?))?;
    let counters = &row.counters;
    let (writes, rate) = (counters.writes, facts.per_second(opens.count));
    let each = writes as f64 / opens.count.max(1) as f64;
    let size = counters.write_bytes.checked_div(writes)?;
    if opens.count < OPENS || rate < PER_SECOND || each > WRITES || each * WRITES < 1.0 || size > BYTES {
        return None;
    }
    let ns = opens.ns + counters.write_ns;
    let share = facts.share(ns);
    let severity = match (share >= SHARE, rate >= MANY_PER_SECOND) {
        (true, _) => Severity::Warning,
        (false, true) => Severity::Info,
        (false, false) => return None,
    };
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![
        format!("{} opens for writing, {rate:.0} a second, and {writes} writes of {}", opens.count, bytes(size)),
        format!(
            "{} of the time in them: {} for an open, {} for a write",
            words::per_cent(share),
            nanos(opens.ns / opens.count.max(1)),
            nanos(counters.write_ns / writes)
        ),
    ];
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity,
        cost: Duration::from_nanos(ns),
        subject: row.clone(),
        headline: format!("{who} opens {file} anew for each write"),
        evidence,
        proof: vec![Proof::Top(row.clone())],
        advice: "open the file once and keep it open, and reopen it on a signal when it is rotated; in a shell, redirect the loop and not each command"
            .into(),
    })
}
