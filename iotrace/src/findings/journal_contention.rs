//! One process's syncs make others wait for the journal of their file system.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    kernel::reasons::Reason,
    output::nanos,
    view::{top::Row, wait::WaitRow},
};
use std::{collections::BTreeMap, time::Duration};

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "journal-contention", page: include_str!("../../../docs/findings/journal-contention.md"), find };

/// Fewer syncs a second hold up nobody for long.
const SYNCS_PER_SECOND: f64 = 2.0;
/// So many times as many syncs as those that wait make, one process is the cause.
const MORE: u64 = 4;
/// Share of the time that others are blocked from which it matters, and from which they do little else.
const SHARE: f64 = 0.2;
const SHARE_CRITICAL: f64 = 0.6;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut disks: BTreeMap<u32, Vec<&WaitRow>> = BTreeMap::new();
    for wait in facts.waits.iter().filter(|wait| wait.reason == Some(Reason::Journal)) {
        if let Some(disk) = &wait.row.disk {
            disks.entry(disk.whole).or_default().push(wait);
        }
    }
    disks.into_iter().filter_map(|(disk, waits)| judge(facts, disk, &waits)).collect()
}

fn judge(facts: &Facts, disk: u32, waits: &[&WaitRow]) -> Option<Finding> {
    let on_disk = |row: &&Row| row.disk.as_ref().is_some_and(|known| known.whole == disk);
    let cause = facts.rows.iter().filter(on_disk).max_by_key(|row| row.counters.all_syncs())?;
    let own = |pid| {
        facts.rows.iter().filter(on_disk).filter(|row| row.pid == pid).map(|row| row.counters.all_syncs()).sum::<u64>()
    };
    if facts.per_second(cause.counters.all_syncs()) < SYNCS_PER_SECOND {
        return None;
    }
    let others =
        waits.iter().filter(|wait| wait.row.pid != cause.pid && own(wait.row.pid) * MORE <= cause.counters.all_syncs());
    let worst = others.max_by_key(|wait| wait.ns)?;
    let share = facts.share(worst.ns);
    if share < SHARE {
        return None;
    }
    let (who, victim) = (words::who(cause), words::who(&worst.row));
    let evidence = vec![
        format!(
            "{victim} is blocked in {} {} of the time by the journal, longest {}, on {}",
            worst.op,
            words::per_cent(share),
            nanos(worst.max_ns),
            words::file(&worst.row)
        ),
        format!(
            "{who} syncs {} {} times, {victim} {} times",
            words::file(cause),
            cause.counters.all_syncs(),
            own(worst.row.pid)
        ),
    ];
    Some(Finding {
        rule: RULE.name,
        severity: if share >= SHARE_CRITICAL { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(worst.ns),
        subject: cause.clone(),
        headline: format!("{who} makes {victim} wait for the journal of their file system"),
        evidence,
        proof: vec![Proof::Wait((*worst).clone()), Proof::Top(cause.clone())],
        advice: "a file system of its own for who syncs, or fewer syncs (group commit)".into(),
    })
}
