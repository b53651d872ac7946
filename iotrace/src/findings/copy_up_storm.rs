//! Files of an image are copied into a container's own layer.

use super::{CopiedUp, Facts, Finding, Proof, Rule, Severity, words};
use crate::output::{bytes, escape, nanos};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "copy-up-storm", page: include_str!("../../../docs/findings/copy-up-storm.md"), find };

/// Share of the time in calls that wait for copies from which it matters, and from which it is what the process does.
const SHARE: f64 = 0.1;
const SHARE_CRITICAL: f64 = 0.5;
/// So much is a lot whatever time it takes.
const BYTES: u64 = 64 << 20;

fn find(facts: &Facts) -> Vec<Finding> {
    facts.copy_ups.iter().filter_map(|copied| judge(facts, copied)).collect()
}

fn judge(facts: &Facts, copied: &CopiedUp) -> Option<Finding> {
    let (row, totals) = (&copied.longest, &copied.sums.totals);
    let share = facts.share(totals.time_ns);
    if share < SHARE && totals.bytes < BYTES {
        return None;
    }
    let who = words::who(row);
    let files = match totals.files {
        1 => "a file".to_owned(),
        files => format!("{files} files"),
    };
    let mut evidence = vec![
        format!(
            "{files} and {} directories, {}: it waits for that {} of the time",
            totals.directories,
            bytes(totals.bytes),
            words::per_cent(share)
        ),
        format!("{} of it in {} syncs of the copies", nanos(totals.sync_ns), totals.syncs),
        format!("longest {}, {}", nanos(totals.max_ns), row.path.as_deref().map_or("?".into(), escape)),
    ];
    evidence.extend(words::place(row));
    Some(Finding {
        rule: RULE.name,
        severity: if share >= SHARE_CRITICAL { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(totals.time_ns),
        subject: row.clone(),
        headline: format!("{who} changes {files} of its image, and waits while overlayfs copies all of each"),
        evidence,
        proof: vec![Proof::CopyUp(Box::new(copied.sums.clone()))],
        advice:
            "keep what is changed in a volume or tmpfs; chown -R and chmod -R belong into the Dockerfile, where the \
                 image is built; metacopy=on of overlayfs"
                .into(),
    })
}
