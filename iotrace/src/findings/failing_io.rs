//! Operations fail for want of room, or because of the disk.

use super::{DiskUse, Facts, Failure, Finding, Proof, Rule, Severity, words};
use crate::{output::errno_name, view::top::Row};
use std::cmp::Reverse;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "failing-io", page: include_str!("../../../docs/findings/failing-io.md"), find };

/// Errors that say something about the disk or file system, what that is, and what to do.
const TELLING: [(i32, &str, &str); 4] = [
    (
        libc::ENOSPC,
        "no room is left",
        "make room: `df` and `df -i` of its mount point, `du -x`; restart who holds deleted files (`lsof +L1`)",
    ),
    (
        libc::EDQUOT,
        "the quota is used up",
        "see `quota -s`, `repquota -a`, `xfs_quota -c report`; a project quota may be that of a container's layer",
    ),
    (
        libc::EROFS,
        "the file system is mounted read-only",
        "`dmesg` says whether the kernel did it after an error (errors=remount-ro): then check the disk and run fsck",
    ),
    (libc::EIO, "the disk failed", "see `dmesg` and `smartctl -a`; save what is there before anything else"),
];

fn find(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = TELLING.iter().flat_map(|telling| by_file(facts, *telling)).collect();
    findings.extend(facts.disks.iter().filter_map(of_disk));
    findings
}

/// A finding for each process and file that got this error.
fn by_file(facts: &Facts, (errno, what, advice): (i32, &str, &str)) -> Vec<Finding> {
    let mut failures: Vec<&Failure> = facts.failures.iter().filter(|failure| failure.errno == errno).collect();
    failures.sort_by_key(|failure| Reverse(failure.count));
    let mut files: Vec<Vec<&Failure>> = Vec::new();
    for failure in failures {
        let same = |row: &Row| row.pid == failure.row.pid && row.path == failure.row.path;
        match files.iter_mut().find(|file| file.first().is_some_and(|first| same(&first.row))) {
            Some(file) => file.push(failure),
            None => files.push(vec![failure]),
        }
    }
    files.into_iter().filter_map(|file| judge(facts, &file, what, advice)).collect()
}

fn judge(facts: &Facts, failures: &[&Failure], what: &str, advice: &str) -> Option<Finding> {
    let first = failures.first()?;
    let row = &first.row;
    let name = errno_name(first.errno.unsigned_abs());
    let counts: Vec<String> = failures.iter().map(|failure| format!("{} {}", failure.count, failure.op)).collect();
    let mut evidence = vec![format!("{} failed with {name}: {what}", counts.join(", "))];
    if let Some(free) = &row.free {
        let per_cent = |part: Option<f64>| part.map_or_else(|| "?".into(), |part| format!("{part:.1} %"));
        evidence.push(format!(
            "free at {}: {} of the bytes, {} of the inodes",
            crate::output::escape(&free.mount),
            per_cent(free.bytes),
            per_cent(free.inodes)
        ));
    }
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: Severity::Critical,
        // What fails is of no use all the time.
        cost: facts.length,
        subject: row.clone(),
        headline: format!("{} cannot {} {}: {what} ({name})", words::who(row), first.op, words::file(row)),
        evidence,
        proof: failures.iter().map(|failure| Proof::Failure((*failure).clone())).collect(),
        advice: advice.into(),
    })
}

/// A disk whose reads or writes failed, though no call may have been told: written later, or read ahead.
fn of_disk(disk: &DiskUse) -> Option<Finding> {
    let errors = |row: &Option<crate::view::latency::Row>| row.as_ref().map_or(0, |row| row.errors);
    let (reads, writes) = (errors(&disk.reads), errors(&disk.writes));
    if reads + writes == 0 {
        return None;
    }
    let name = disk.name().unwrap_or("?");
    Some(Finding {
        rule: RULE.name,
        severity: Severity::Critical,
        cost: std::time::Duration::from_nanos(disk.interval_ns),
        subject: disk.causes.first().cloned().unwrap_or_default(),
        headline: format!("{name} fails"),
        evidence: vec![format!("{reads} reads and {writes} writes of {name} failed")],
        proof: vec![Proof::Disk(disk.row.clone(), disk.interval_ns)],
        advice: "see `dmesg` and `smartctl -a`; save what is there before anything else".into(),
    })
}
