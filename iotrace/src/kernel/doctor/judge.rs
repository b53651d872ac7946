//! From facts to a verdict: pure.

use super::{
    checks, explain,
    facts::{Facts, Rights},
    report::{Attempt, Check, Report, State},
};
use crate::kernel::mechanism::{Mechanism, Subject};

/// Subjects without which `iotrace top` cannot run.
const MAIN: [Subject; 2] = [Subject::Files, Subject::Processes];

/// Subjects that a kernel may not have.
const OPTIONAL: [Subject; 6] =
    [Subject::Uring, Subject::Mmap, Subject::Dirtiers, Subject::Flushes, Subject::CopyUps, Subject::Waits];

/// What is made of the facts.
pub fn report(facts: &Facts) -> Report {
    let checks = checks::all(facts);
    let attempts: Vec<Attempt> = facts.trials.iter().map(|trial| explain::attempt(trial, facts)).collect();
    let used = |subject| attempts.iter().any(|attempt| attempt.subject == subject && attempt.used);
    // The trials have the last word: a check that fails though the programs run is none that matters here.
    let ok = facts.maps.ring_buffer == Ok(true) && MAIN.into_iter().all(used);
    let failed: Vec<&Check> = checks.iter().filter(|check| !ok && check.needed && check.state != State::Ok).collect();
    let wanted = |attempt: &&Attempt| attempt.state != State::Missing || !OPTIONAL.contains(&attempt.subject);
    // Each subject can be traced with tracepoints, so one row of each is looked at.
    let unused = attempts.iter().filter(|attempt| attempt.mechanism == Mechanism::Tracepoint && !used(attempt.subject));
    let unused: Vec<&Attempt> = unused.filter(wanted).collect();

    let mut problems = if ok { Vec::new() } else { denied(facts.rights) };
    let is_told =
        |check: &&&Check| matches!(check.state, State::Missing | State::Refused) && !check.name.starts_with("CAP_");
    problems.extend(failed.iter().filter(is_told).map(|check| check.detail.clone()));
    if problems.is_empty() {
        problems = untraced(&unused);
    }
    let mut advice: Vec<String> = failed.iter().filter_map(|check| check.advice.clone()).collect();
    advice.extend(unused.iter().filter_map(|attempt| attempt.advice.clone()));
    // Where nothing that is needed failed, what is only harmful may be the reason.
    if !ok && advice.is_empty() {
        advice.extend(checks.iter().filter_map(|check| check.advice.clone()));
    }
    dedup(&mut problems);
    dedup(&mut advice);
    Report { checks, attempts, ok, problems, advice }
}

/// The first thing that is needed and not there, in one sentence; `None` where all of it is, or tracepoints work all the same.
pub fn cause(facts: &Facts) -> Option<String> {
    let ring_buffer = facts.maps.ring_buffer == Ok(true);
    if ring_buffer && facts.tracepoints_work() {
        return None;
    }
    let checks = checks::all(facts);
    let failed = |check: &&Check| check.needed && matches!(check.state, State::Missing | State::Refused);
    let Some(check) = checks.iter().find(failed) else { return nothing_works(facts) };
    let what = denied(facts.rights).into_iter().next().unwrap_or_else(|| check.detail.clone());
    Some(check.advice.iter().fold(what, |what, advice| format!("{what}; {advice}")))
}

/// Why a mechanism is kept from this user, though others are not, in one sentence.
pub fn denial(facts: &Facts, wanted: Mechanism) -> Option<String> {
    let mut trials = facts.trials.iter().filter(|trial| trial.subject == Subject::Files);
    let attempt = explain::attempt(trials.find(|trial| trial.mechanism == wanted)?, facts);
    let denied = matches!(attempt.errno, Some(libc::EPERM | libc::EACCES));
    let what = denied.then(|| format!("{wanted} cannot be used: {}", attempt.detail))?;
    Some(attempt.advice.iter().fold(what, |what, advice| format!("{what}; {advice}")))
}

/// Why each mechanism is refused, where that is so for all.
fn nothing_works(facts: &Facts) -> Option<String> {
    let files = facts.trials.iter().filter(|trial| trial.subject == Subject::Files);
    let tried: Vec<Attempt> = files.map(|trial| explain::attempt(trial, facts)).collect();
    if tried.is_empty() || tried.iter().any(|attempt| attempt.state == State::Ok) {
        return None;
    }
    let reasons: Vec<String> =
        tried.iter().map(|attempt| format!("{}: {}", attempt.mechanism, attempt.detail)).collect();
    let mut advice: Vec<String> = tried.into_iter().filter_map(|attempt| attempt.advice).collect();
    dedup(&mut advice);
    Some(
        [format!("no mechanism works here: {}", reasons.join(", "))]
            .into_iter()
            .chain(advice)
            .collect::<Vec<_>>()
            .join("; "),
    )
}

/// What of this user's rights stops everything.
fn denied(rights: Rights) -> Vec<String> {
    let missing = checks::missing_capabilities(rights);
    match missing.as_slice() {
        [] if rights.user_namespace => vec!["the capabilities hold in this user namespace only".into()],
        [] => Vec::new(),
        missing => vec![format!("needs {}, which this user does not have", missing.join(" and "))],
    }
}

/// What cannot be traced, said once for each reason.
fn untraced(attempts: &[&Attempt]) -> Vec<String> {
    let mut reasons: Vec<&str> = attempts.iter().map(|attempt| attempt.detail.as_str()).collect();
    reasons.dedup();
    let line = |reason: &str| {
        let with_it = attempts.iter().filter(|attempt| attempt.detail == reason);
        let subjects: Vec<String> = with_it.map(|attempt| attempt.subject.to_string()).collect();
        format!("{} cannot be traced: {reason}", subjects.join(", "))
    };
    reasons.into_iter().map(line).collect()
}

/// Removes what was said before.
fn dedup(lines: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    lines.retain(|line| seen.insert(line.clone()));
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
