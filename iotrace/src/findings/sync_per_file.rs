//! Many small files are synced one by one.

use super::{Facts, Finding, Proof, Rule, Severity, runtime, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "sync-per-file", page: include_str!("../../../docs/findings/sync-per-file.md"), find };

/// Fewer files a second are soon done.
const FILES_PER_SECOND: f64 = 20.0;
/// Fewer files in all are no series.
const FILES: usize = 20;
/// More syncs for each file on average are of another kind: `sync-per-write`.
const SYNCS_PER_FILE: f64 = 2.0;
/// More bytes for each sync are worth one.
const BYTES_PER_SYNC: u64 = 256 << 10;
/// Share of the time in syncs from which it matters, and from which it is what the program does.
const SHARE: f64 = 0.1;
const SHARE_CRITICAL: f64 = 0.5;
/// Rows that prove it.
const PROOF: usize = 5;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut processes: BTreeMap<Option<u32>, Vec<&Row>> = BTreeMap::new();
    for row in
        facts.rows.iter().filter(|row| row.counters.all_syncs() > 0 && !row.everything && !runtime::is_metadata(row))
    {
        processes.entry(row.pid).or_default().push(row);
    }
    processes.into_values().filter_map(|rows| judge(facts, rows)).collect()
}

/// The files that one process syncs.
fn judge(facts: &Facts, mut rows: Vec<&Row>) -> Option<Finding> {
    rows.sort_by_key(|row| Reverse(row.counters.all_syncs_ns()));
    let first = *rows.first()?;
    let (files, all) = (rows.len(), rows.iter().map(|row| row.counters.all_syncs()).sum::<u64>());
    let ns: u64 = rows.iter().map(|row| row.counters.all_syncs_ns()).sum();
    let written: u64 = rows.iter().map(|row| row.counters.write_bytes).sum();
    let share = facts.share(ns);
    let many = files >= FILES && facts.per_second(files as u64) >= FILES_PER_SECOND;
    let once = all as f64 <= SYNCS_PER_FILE * files as f64 && written / all <= BYTES_PER_SYNC;
    if !many || !once || share < SHARE {
        return None;
    }
    let mut evidence = vec![
        format!("{files} files, {all} syncs of {} each; the slowest: {}", bytes(written / all), words::file(first)),
        format!("{} of the time in syncs, {} each", words::per_cent(share), nanos(ns / all)),
    ];
    evidence.extend(words::place(first));
    Some(Finding {
        rule: RULE.name,
        severity: if share >= SHARE_CRITICAL { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(ns),
        subject: first.clone(),
        headline: format!("{} syncs small files one by one", words::who(first)),
        evidence,
        proof: rows.into_iter().take(PROOF).cloned().map(Proof::Top).collect(),
        advice:
            "write them all, then sync once (`sync -f DIRECTORY`); dpkg: --force-unsafe-io where it can be repeated"
                .into(),
    })
}
