//! A file system is nearly full, of bytes or of inodes.

use super::{Facts, Finding, Held, Proof, Rule, Severity, words};
use crate::{
    output::{bytes, escape},
    view::top::Row,
};
use std::{collections::HashMap, time::Duration};

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "file-system-full", page: include_str!("../../../docs/findings/file-system-full.md"), find };

/// Deleted files that take less in all are not worth a line.
const HELD: u64 = 1 << 20;
/// Per cent that are free.
pub const WARNING: f64 = 5.0;
const CRITICAL: f64 = 2.0;

fn find(facts: &Facts) -> Vec<Finding> {
    // Who writes most to each.
    let mut writers: HashMap<u32, &Row> = HashMap::new();
    for row in facts.rows.iter().filter(|row| row.counters.write_bytes > 0) {
        let Some(dev) = row.dev else { continue };
        let first = writers.entry(dev).or_insert(row);
        if row.counters.write_bytes > first.counters.write_bytes {
            *first = row;
        }
    }
    writers.into_values().filter_map(|row| judge(facts, row)).collect()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let free = row.free.as_ref()?;
    let (what, left) = [("bytes", free.bytes), ("inodes", free.inodes)]
        .into_iter()
        .filter_map(|(what, left)| Some((what, left?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    if left > WARNING {
        return None;
    }
    let written = facts.per_second(row.counters.write_bytes);
    let mut evidence = vec![
        format!("{left:.1} % of its {what} are free"),
        format!("most is written by {}: {} to {}", words::who(row), words::rate(written), words::file(row)),
    ];
    evidence.extend(words::place(row));
    evidence.extend(facts.held.get(&free.mount).and_then(|held| deleted(held)));
    let mount = escape(&free.mount);
    let fs = row.fs.clone().unwrap_or_else(|| "?".into());
    Some(Finding {
        rule: RULE.name,
        severity: if left <= CRITICAL { Severity::Critical } else { Severity::Warning },
        cost: Duration::ZERO,
        subject: row.clone(),
        headline: format!("the {fs} at {mount} is nearly full: {left:.1} % of its {what} are left"),
        evidence,
        proof: vec![Proof::Top(row.clone())],
        advice: "make room: `du -x`, old logs and images; end or restart who holds deleted files (`lsof +L1`)".into(),
    })
}

/// What deleted files take that somebody has open.
fn deleted(held: &[Held]) -> Option<String> {
    let all: u64 = held.iter().map(|file| file.bytes).sum();
    let first = held.first().filter(|_| all >= HELD)?;
    Some(format!(
        "{} in {} deleted files that are still open, most of it: {} ({}) has {}",
        bytes(all),
        held.len(),
        escape(&first.comm),
        first.pid,
        escape(&first.path)
    ))
}
