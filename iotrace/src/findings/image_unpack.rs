//! A container runtime fetches or unpacks images.

use super::{Facts, Finding, Proof, Rule, Severity, runtime, words};
use crate::{output::bytes, view::top::Row};
use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "image-unpack", page: include_str!("../../../docs/findings/image-unpack.md"), find };

/// Share of the time in writes and syncs from which it costs others something.
const SHARE: f64 = 0.25;
/// Rows that prove it.
const PROOF: usize = 5;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut runtimes: BTreeMap<Option<u32>, Vec<&Row>> = BTreeMap::new();
    for row in facts.rows.iter().filter(|row| row.counters.writes > 0 && runtime::is_image(row)) {
        runtimes.entry(row.pid).or_default().push(row);
    }
    runtimes.retain(|pid, _| runtime::unpacks(facts, *pid));
    runtimes.into_values().filter_map(|rows| judge(facts, rows)).collect()
}

/// The files that one process writes for images.
fn judge(facts: &Facts, mut rows: Vec<&Row>) -> Option<Finding> {
    rows.sort_by_key(|row| Reverse(row.counters.write_bytes));
    let first = *rows.first()?;
    let written: u64 = rows.iter().map(|row| row.counters.write_bytes).sum();
    let databases = facts.rows.iter().filter(|row| row.pid == first.pid && runtime::is_metadata(row));
    let (database_syncs, database_ns) =
        databases.fold((0, 0), |(count, ns), row| (count + row.counters.all_syncs(), ns + row.counters.all_syncs_ns()));
    // A write that syncs by itself has its time in `write_ns`.
    let ns = rows.iter().map(|row| row.counters.write_ns + row.counters.sync_ns).sum::<u64>() + database_ns;
    let share = facts.share(ns);
    let databases = if database_syncs > 0 {
        let part = words::per_cent(facts.share(database_ns));
        format!(", {part} in {database_syncs} syncs of its own databases")
    } else {
        String::new()
    };
    let mut evidence = vec![
        format!(
            "{} to {} files, {}; the largest: {}",
            bytes(written),
            rows.len(),
            words::rate(facts.per_second(written)),
            words::file(first)
        ),
        format!("{} of the time in writes and syncs{databases}", words::per_cent(share)),
    ];
    evidence.extend(words::place(first));
    Some(Finding {
        rule: RULE.name,
        severity: if share >= SHARE { Severity::Warning } else { Severity::Info },
        cost: Duration::from_nanos(ns),
        subject: first.clone(),
        headline: format!("{} fetches or unpacks images", words::who(first)),
        evidence,
        proof: rows.into_iter().take(PROOF).cloned().map(Proof::Top).collect(),
        advice: "pull images ahead of time, smaller ones, fewer at once (max_concurrent_downloads); their root on a disk of its own"
            .into(),
    })
}
