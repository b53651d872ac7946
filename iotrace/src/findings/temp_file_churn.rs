//! Files that are made, written, read once and removed: work for the file system that leaves nothing.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    output::{bytes, nanos},
    view::life::LifeRow,
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "temp-file-churn", page: include_str!("../../../docs/findings/temp-file-churn.md"), find };

/// Fewer files a second are no churn.
const PER_SECOND: f64 = 10.0;
/// Fewer files in all neither.
const FILES: u64 = 100;
/// Files that live longer on average are no passing ones.
const LIFE: Duration = Duration::from_secs(10);
/// Share of the time in calls on them from which it matters.
const SHARE: f64 = 0.03;
/// With less, it is worth knowing from so many files a second on.
const MANY_PER_SECOND: f64 = 100.0;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.lives.iter().filter_map(|life| judge(facts, life)).collect()
}

fn judge(facts: &Facts, life: &LifeRow) -> Option<Finding> {
    let stats = &life.stats;
    let mean_ns = stats.mean_ns()?;
    // A file that takes the place of another is what it is for.
    let passing = stats.lives.saturating_sub(stats.replaced);
    let (rate, share) = (facts.per_second(passing), facts.share(stats.time_ns));
    if passing < FILES || rate < PER_SECOND || Duration::from_nanos(mean_ns) > LIFE {
        return None;
    }
    // What is synced is to outlive a crash (a database's journal): not for memory. That it is synced is told by itself.
    if stats.bytes.syncs >= passing {
        return None;
    }
    let severity = match (share >= SHARE, rate >= MANY_PER_SECOND) {
        (true, _) => Severity::Warning,
        (false, true) => Severity::Info,
        (false, false) => return None,
    };
    let (who, files) = (words::who(&life.row), words::file(&life.row));
    let span = stats.length_ns().map(|ns| format!(" within {}", nanos(ns))).unwrap_or_default();
    let mut evidence = vec![
        format!("{passing} files made and removed{span}, {} old on average", nanos(mean_ns)),
        format!(
            "{} written, {} read, {:.1} opens each; {} of the time in these calls",
            bytes(stats.bytes.written),
            bytes(stats.bytes.read),
            stats.opens as f64 / stats.files.max(1) as f64,
            words::per_cent(share)
        ),
    ];
    evidence.extend(life.example.as_deref().map(|path| format!("for example {}", crate::output::escape(path))));
    Some(Finding {
        rule: RULE.name,
        severity,
        cost: Duration::from_nanos(stats.time_ns),
        subject: life.row.clone(),
        headline: format!("{who} makes and removes {passing} files {files}"),
        evidence,
        proof: vec![Proof::Life(Box::new(life.clone()))],
        advice: "keep the data in memory, or in one file; else put the directory on tmpfs (TMPDIR, `PrivateTmp` on tmpfs, an emptyDir with `medium: Memory`)"
            .into(),
    })
}
