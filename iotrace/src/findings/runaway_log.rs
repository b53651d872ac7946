//! A file that only grows, fast, and will fill its file system.

use super::{Facts, Finding, Growth, Proof, Rule, Severity, words};
use crate::{output::bytes, view::top::Row};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "runaway-log", page: include_str!("../../../docs/findings/runaway-log.md"), find };

/// Slower growth is for a disk's own monitoring.
const PER_SECOND: f64 = 256.0 * 1024.0;
/// A file system that is full sooner is full before somebody looks, or before the day is over.
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
/// What grew in a smaller part of the time is being made, and will be finished.
const STEADY: f64 = 0.5;
/// What is written at other places than the end is no log.
const APPENDED: f64 = 0.9;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.rows.iter().filter_map(|row| judge(facts, row, facts.growth(row)?)).collect()
}

fn judge(facts: &Facts, row: &Row, growth: &Growth) -> Option<Finding> {
    let counters = &row.counters;
    let written = facts.per_second(counters.write_bytes);
    let rate = growth.rate();
    let only_grows = counters.reads == 0 && counters.truncates == 0 && rate >= APPENDED * written;
    let between = growth.between.as_secs_f64();
    let steady = between >= STEADY * facts.length.as_secs_f64() && f64::from(growth.steps) >= STEADY * between;
    if !only_grows || !steady || rate < PER_SECOND {
        return None;
    }
    let left = row.free.as_ref().map(|free| free.available as f64 / rate)?;
    if left > DAY {
        return None;
    }
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![
        format!("{} and growing by {}; nothing was read or cut off", bytes(growth.last), words::rate(rate)),
        format!("the file system is full in {} at this rate", words::span(left)),
    ];
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: if left < HOUR { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(counters.write_ns),
        subject: row.clone(),
        headline: format!("{who} writes {file} without end"),
        evidence,
        proof: vec![Proof::Top(row.clone())],
        advice: "rotate it (logrotate with size and copytruncate, kubelet's containerLogMaxSize), and log less".into(),
    })
}
