//! A process is blocked because nobody reads what it writes to a pipe: a container's stdout, mostly.

use super::{Facts, Finding, Proof, Rule, Severity, words};
use crate::{
    kernel::reasons::Reason,
    output::{escape, nanos},
    view::wait::{Peer, WaitRow},
};
use std::time::Duration;

/// The rule.
pub(super) const RULE: Rule =
    Rule { name: "stdout-not-drained", page: include_str!("../../../docs/findings/stdout-not-drained.md"), find };

/// Share of the time blocked from which it is noticed, and from which the process does nothing else.
const SHARE: f64 = 0.5;
const SHARE_CRITICAL: f64 = 0.9;
/// A single wait of this part of the time is no pipe that is drained slowly.
const STUCK: f64 = 0.5;

fn find(facts: &Facts) -> Vec<Finding> {
    facts
        .waits
        .iter()
        .filter(|wait| wait.reason == Some(Reason::PipeFull))
        .filter_map(|wait| judge(facts, wait))
        .collect()
}

fn judge(facts: &Facts, wait: &WaitRow) -> Option<Finding> {
    let share = facts.share(wait.ns);
    let peers = wait.peers.as_deref().unwrap_or_default();
    // A reader that works is slower than the writer: that is what pipes are for.
    let works = peers.iter().any(|peer| peer.state == "running");
    if share < SHARE || works || facts.share(wait.max_ns) < STUCK {
        return None;
    }
    let row = &wait.row;
    let who = words::who(row);
    let mut evidence = vec![format!(
        "blocked in {} {} of the time, longest {}: the pipe is full",
        wait.op,
        words::per_cent(share),
        nanos(wait.max_ns)
    )];
    evidence.push(match peers {
        [] => "who should read it is not known".to_owned(),
        peers => format!("at the other end: {}", peers.iter().map(peer_text).collect::<Vec<_>>().join(", ")),
    });
    let reader = peers.first().map_or_else(
        || "nobody drains".to_owned(),
        |peer| format!("{} ({}) does not drain", escape(&peer.comm), peer.pid),
    );
    Some(Finding {
        rule: RULE.name,
        severity: if share >= SHARE_CRITICAL { Severity::Critical } else { Severity::Warning },
        cost: Duration::from_nanos(wait.ns),
        subject: row.clone(),
        headline: format!("{who} is blocked on a pipe that {reader}"),
        evidence,
        proof: vec![Proof::Wait(wait.clone())],
        advice:
            "see why its reader stopped, or who that one writes to; for a container a log driver that cannot block \
                 (Docker: mode=non-blocking)"
                .into(),
    })
}

fn peer_text(peer: &Peer) -> String {
    format!("{} ({}), {}", escape(&peer.comm), peer.pid, peer.state)
}
