//! A file is synced after (nearly) every write: the program waits for the disk each time.

use super::{Facts, Finding, Proof, Rule, Severity, runtime, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "sync-per-write", page: include_str!("../../../docs/findings/sync-per-write.md"), find };

/// Fewer syncs a second are what a careful program does.
const SYNCS_PER_SECOND: f64 = 2.0;
/// With more writes for each sync, somebody thought about it. One record may take some: a header, a page, its checksum.
const WRITES_PER_SYNC: f64 = 5.0;
/// With fewer, it is a sync after every write.
const EVERY: f64 = 1.5;
/// More bytes for each sync are worth one.
const BYTES_PER_SYNC: u64 = 64 << 10;
/// Share of the time in syncs from which it matters, and from which it is what the program does.
const SHARE: f64 = 0.05;
const SHARE_CRITICAL: f64 = 0.5;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.rows.iter().filter_map(|row| judge(facts, row)).collect()
}

/// Whether that is what happens.
pub(super) fn is_cause(facts: &Facts, row: &Row) -> bool {
    judge(facts, row).is_some()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let counters = &row.counters;
    let syncs = counters.all_syncs();
    if facts.per_second(syncs) < SYNCS_PER_SECOND || counters.writes == 0 || row.everything || runtime::is_metadata(row)
    {
        return None;
    }
    let writes_per_sync = counters.writes as f64 / syncs as f64;
    let bytes_per_sync = counters.write_bytes / syncs;
    let ns = counters.all_syncs_ns();
    let share = facts.share(ns);
    if writes_per_sync > WRITES_PER_SYNC || bytes_per_sync > BYTES_PER_SYNC || share < SHARE {
        return None;
    }
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![
        format!(
            "{} writes, {syncs} syncs: {writes_per_sync:.1} writes and {} for each",
            counters.writes,
            bytes(bytes_per_sync)
        ),
        format!(
            "{} of the time in syncs, {} each, longest {}",
            words::per_cent(share),
            nanos(ns / syncs),
            nanos(counters.sync_max_ns)
        ),
    ];
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: if share >= SHARE_CRITICAL { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(ns),
        subject: row.clone(),
        headline: format!(
            "{who} syncs {file} after every {}",
            if writes_per_sync <= EVERY { "write" } else { "few writes" }
        ),
        evidence,
        proof: vec![Proof::Top(row.clone())],
        advice:
            "sync once for many records: a buffer and a timer, or group commit; for logs that may lose a second, none"
                .into(),
    })
}
