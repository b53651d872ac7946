//! A container runtime syncs its own databases all the time.

use super::{Facts, Finding, Proof, Rule, Severity, runtime, words};
use crate::output::nanos;
use crate::view::top::Row;
use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "runtime-metadata", page: include_str!("../../../docs/findings/runtime-metadata.md"), find };

/// Fewer syncs a second are a container now and then.
const SYNCS_PER_SECOND: f64 = 2.0;
/// Share of the time in syncs from which it matters, and from which it is what the runtime does.
const SHARE: f64 = 0.05;
const SHARE_CRITICAL: f64 = 0.5;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut runtimes: BTreeMap<Option<u32>, Vec<&Row>> = BTreeMap::new();
    for row in facts.rows.iter().filter(|row| runtime::is_metadata(row)) {
        runtimes.entry(row.pid).or_default().push(row);
    }
    runtimes.retain(|pid, _| !runtime::unpacks(facts, *pid));
    runtimes.into_values().filter_map(|rows| judge(facts, rows)).collect()
}

/// The databases of one process, together.
fn judge(facts: &Facts, mut rows: Vec<&Row>) -> Option<Finding> {
    rows.sort_by_key(|row| Reverse(row.counters.all_syncs_ns()));
    let first = *rows.first()?;
    let syncs: u64 = rows.iter().map(|row| row.counters.all_syncs()).sum();
    let ns: u64 = rows.iter().map(|row| row.counters.all_syncs_ns()).sum();
    let (rate, share) = (facts.per_second(syncs), facts.share(ns));
    if rate < SYNCS_PER_SECOND || share < SHARE {
        return None;
    }
    let others = match rows.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let mut evidence = vec![
        format!("{syncs} syncs of {}{others}, {rate:.0} a second", words::file(first)),
        format!("{} of the time in them, {} each", words::per_cent(share), nanos(ns / syncs.max(1))),
    ];
    evidence.extend(words::place(first));
    Some(Finding {
        rule: RULE.name,
        severity: if share >= SHARE_CRITICAL { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(ns),
        subject: first.clone(),
        headline: format!("{} is busy with its own metadata, not with that of containers", words::who(first)),
        evidence,
        proof: rows.into_iter().cloned().map(Proof::Top).collect(),
        advice: "start fewer containers (exec probes, cron jobs), or give the runtime's root a disk of its own".into(),
    })
}
