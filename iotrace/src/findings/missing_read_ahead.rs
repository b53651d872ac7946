//! A file is read in order, in small pieces, and each piece goes to the disk.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    output::{bytes, nanos},
    view::top::Row,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "missing-read-ahead", page: include_str!("../../../docs/findings/missing-read-ahead.md"), find };

/// Fewer requests a second are soon done.
const PER_SECOND: f64 = 50.0;
/// Larger requests on average are read ahead, or need not be.
const BYTES: u64 = 32 << 10;
/// Part of the requests that begin where the one before ended.
const CONTIGUOUS: f64 = 0.8;
/// Requests for each read: with fewer, most reads find in memory what was read ahead.
const REQUESTS_PER_READ: f64 = 0.5;
/// Share of the time in reads from which it matters.
const SHARE: f64 = 0.1;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.rows.iter().filter_map(|row| judge(facts, row)).collect()
}

fn judge(facts: &Facts, row: &Row) -> Option<Finding> {
    let counters = &row.counters;
    let disk = facts.disk_reads(row)?;
    let share = facts.share(counters.read_ns);
    let in_order = disk.contiguous as f64 >= CONTIGUOUS * disk.requests as f64;
    let each = disk.requests as f64 >= REQUESTS_PER_READ * counters.reads.max(1) as f64;
    if facts.per_second(disk.requests) < PER_SECOND || !in_order || !each || share < SHARE {
        return None;
    }
    let size = disk.bytes / disk.requests.max(1);
    if size > BYTES {
        return None;
    }
    let (who, file) = (words::who(row), words::file(row));
    let mut evidence = vec![
        format!("{} reads, {} requests to the disk of {} each, in order", counters.reads, disk.requests, bytes(size)),
        format!(
            "{} of the time in reads, {} each, for {}",
            words::per_cent(share),
            nanos(counters.read_ns / counters.reads.max(1)),
            words::rate(facts.per_second(counters.read_bytes))
        ),
    ];
    evidence.extend(words::place(row));
    let blocks = facts.blocks(row).cloned().map(Proof::Block);
    Some(Finding {
        rule: RULE.name,
        severity: Severity::Warning,
        cost: Duration::from_nanos(counters.read_ns),
        subject: row.clone(),
        headline: format!(
            "{who} reads {file} from the disk in pieces of {}, in order but without read-ahead",
            bytes(size)
        ),
        evidence,
        proof: [Proof::Top(row.clone())].into_iter().chain(blocks).collect(),
        advice: "read larger pieces, above all with O_DIRECT; posix_fadvise(SEQUENTIAL); `blockdev --setra`".into(),
    })
}
