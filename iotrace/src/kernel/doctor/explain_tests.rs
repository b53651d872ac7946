use super::*;
use crate::kernel::doctor::sample::{distribution, hardened, ordinary_user, refused, trials, words};
use crate::kernel::mechanism::Subject;

/// The row for a mechanism that was refused on a machine.
fn row(way: Way, refusal: Refusal, facts: &Facts) -> Attempt {
    attempt(&Trial { way, subject: Subject::Files, outcome: Err(refusal) }, facts)
}

fn detail(way: Way, refusal: Refusal, facts: &Facts) -> (State, String) {
    let row = row(way, refusal, facts);
    assert!(!row.used);
    (row.state, row.detail)
}

#[test]
fn what_works_is_used_or_will_be() {
    let facts = distribution();
    let rows: Vec<_> = facts.trials.iter().map(|trial| attempt(trial, &facts)).collect();
    assert!(rows.iter().all(|row| row.state == State::Ok && row.errno.is_none()));
    for row in rows {
        let detail = if row.way == Way::Tracepoint { "used" } else { "works, not used yet" };
        assert_eq!((row.detail.as_str(), row.used), (detail, row.way == Way::Tracepoint));
    }
}

#[test]
fn eperm_names_missing_capabilities_first() {
    let facts = ordinary_user();
    let row = row(Way::Fentry, Refusal::Object(words(libc::EPERM)), &facts);
    assert_eq!((row.state, row.errno), (State::Refused, Some(libc::EPERM)));
    assert_eq!(row.detail, "needs CAP_BPF and CAP_PERFMON");
}

#[test]
fn eperm_in_spite_of_working_tracepoints_is_the_mechanisms_own() {
    let eperm = |way| detail(way, refused("trial_fentry", Step::Load, libc::EPERM), &hardened()).1;
    assert_eq!(eperm(Way::Fentry), "this kernel allows no trampolines on its functions");
    assert_eq!(eperm(Way::Kprobe), "this kernel allows no probes on its functions");
}

#[test]
fn kprobes_refused_to_cap_perfmon_name_the_setting() {
    let mut facts = distribution();
    facts.rights.capabilities = Some(1 << 39 | 1 << 38);
    let attach = |facts: &Facts| row(Way::Kprobe, refused("trial_kprobe", Step::Attach, libc::EACCES), facts);
    let row = attach(&facts);
    assert!(row.detail.contains("kernel.perf_event_paranoid is above 2"), "{}", row.detail);
    assert!(row.advice.is_some());
    facts.settings.perf_event_paranoid = Ok(2);
    assert!(!attach(&facts).detail.contains("paranoid"));
}

#[test]
fn eperm_for_everything_looks_for_who_forbids_it() {
    let mut facts = distribution();
    let eperm = Refusal::Object(words(libc::EPERM));
    facts.trials = trials(Err(eperm.clone()), Err(eperm.clone()), Err(eperm.clone()));
    assert!(detail(Way::Tracepoint, eperm.clone(), &facts).1.contains("security module"));
    facts.rights.seccomp = true;
    assert!(detail(Way::Tracepoint, eperm.clone(), &facts).1.contains("seccomp"));
    facts.rights.user_namespace = true;
    assert_eq!(detail(Way::Tracepoint, eperm, &facts).1, "capabilities of a user namespace are not enough");
}

#[test]
fn what_a_kernel_does_not_have_is_missing_and_not_refused() {
    let facts = distribution();
    for (way, refusal, part) in [
        (Way::Kprobe, Refusal::NoProbes, "CONFIG_KPROBE"),
        (Way::Kprobe, refused("trial_kprobe", Step::Load, libc::EINVAL), "CONFIG_BPF_EVENTS"),
        (Way::Fentry, refused("trial_fentry", Step::Attach, ENOTSUPP), "no trampolines on this architecture"),
        (Way::Tracepoint, Refusal::Object(words(libc::ENOSYS)), "CONFIG_BPF_SYSCALL"),
        (Way::Tracepoint, Refusal::NoTypes, "see layout"),
    ] {
        let (state, detail) = detail(way, refusal, &facts);
        assert_eq!(state, State::Missing, "{detail}");
        assert!(detail.contains(part), "{detail}");
    }
}

#[test]
fn other_errors_keep_the_kernels_words_and_name_program_and_step() {
    let facts = distribution();
    let loaded = refused("trial_fexit", Step::Load, libc::EINVAL);
    assert_eq!(detail(Way::Fentry, loaded, &facts).1, "trial_fexit cannot be loaded: Invalid argument");
    let busy = refused("trial_fentry", Step::Attach, libc::EBUSY);
    assert_eq!(detail(Way::Fentry, busy, &facts).1, "another tracer or a live patch holds the function");
    let words = Words { errno: None, text: "no such type".into() };
    let unknown = Refusal::Program { program: "sys_enter", step: None, words };
    assert_eq!(detail(Way::Tracepoint, unknown, &facts), (State::Refused, "sys_enter: no such type".into()));
}
