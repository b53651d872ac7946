//! Findings to JSON lines.

use crate::resolve::names::ProcessInfo;
use crate::{
    cli::{
        block_lines::block_sum,
        command::World,
        copyup_lines::copy_up_sum,
        disk::line,
        life_lines::life_of,
        lines::{owner, row_place, top_of},
        wait_lines::{processes, wait_of},
    },
    findings::{Finding, Proof},
    output::{
        errno_name,
        json::{EvidenceLine, FailureLine, FindingLine, SizeBucket, WriteSizesLine, append},
    },
};
use anyhow::Result;
use iotrace_common::write_sizes::{WriteSizes, most};
use std::sync::Arc;

/// Appends a finding. `rank`: 1 for the first.
///
/// # Errors
///
/// See [`append`].
pub(super) fn finding_line(
    finding: &Finding,
    rank: usize,
    ts: &str,
    wall_ns: u64,
    world: &mut World,
    out: &mut Vec<u8>,
) -> Result<()> {
    let row = &finding.subject;
    let peers: Vec<Vec<_>> = finding
        .proof
        .iter()
        .map(|proof| match proof {
            Proof::Wait(wait) => processes(wait, world),
            _ => Vec::new(),
        })
        .collect();
    let line = FindingLine {
        kind: "finding",
        ts,
        rank,
        rule: finding.rule,
        severity: finding.severity.name(),
        owner: owner(row),
        place: row_place(row),
        headline: &finding.headline,
        details: &finding.evidence,
        cost_ns: u64::try_from(finding.cost.as_nanos()).unwrap_or(u64::MAX),
        evidence: finding
            .proof
            .iter()
            .zip(&peers)
            .map(|(proof, peers)| proof_line(proof, peers, ts, wall_ns, world))
            .collect(),
        advice: &finding.advice,
    };
    Ok(append(out, &line)?)
}

fn proof_line<'a>(
    proof: &'a Proof,
    peers: &'a [Option<Arc<ProcessInfo>>],
    ts: &'a str,
    wall_ns: u64,
    world: &mut World,
) -> EvidenceLine<'a> {
    match proof {
        Proof::Top(row) => EvidenceLine::Top(top_of(row, ts, true)),
        Proof::Disk(row, interval_ns) => EvidenceLine::Disk(line::line(row, ts, *interval_ns, world)),
        Proof::Block(row) => EvidenceLine::Block(block_sum(row, ts, world)),
        Proof::Life(life) => EvidenceLine::Life(life_of(life, ts)),
        Proof::Wait(row) => EvidenceLine::Wait(wait_of(row, peers, ts, wall_ns)),
        Proof::CopyUp(row) => EvidenceLine::CopyUp(copy_up_sum(row, ts)),
        Proof::Failure(failure) => EvidenceLine::Failure(FailureLine {
            kind: "failure",
            owner: owner(&failure.row),
            place: row_place(&failure.row),
            op: failure.op,
            errno: errno_name(failure.errno.unsigned_abs()),
            count: failure.count,
        }),
        Proof::WriteSizes(row, sizes) => EvidenceLine::WriteSizes(WriteSizesLine {
            kind: "write_sizes",
            owner: owner(row),
            place: row_place(row),
            buckets: buckets(sizes),
        }),
    }
}

/// From the smallest size to the largest.
fn buckets(sizes: &WriteSizes) -> Vec<SizeBucket> {
    let last = sizes.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let first = sizes.counts.iter().position(|count| *count > 0).unwrap_or(last);
    let bucket =
        |class| SizeBucket { le_bytes: Some(most(class)).filter(|most| *most != u64::MAX), count: sizes.counts[class] };
    (first..last).map(bucket).collect()
}
