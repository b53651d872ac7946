use super::*;
use crate::kernel::doctor::sample::{
    all_refused, distribution, hardened, ordinary_user, preempting, refused, without_io_uring, without_trampolines,
    words,
};

/// The row for a mechanism that was refused on a machine.
fn row(mechanism: Mechanism, refusal: Refusal, facts: &Facts) -> Attempt {
    let trial = Trial { mechanism, subject: Subject::Files, outcome: Err(refusal) };
    let mut facts = facts.clone();
    facts.trials.retain(|other| (other.mechanism, other.subject) != (mechanism, Subject::Files));
    facts.trials.push(trial.clone());
    attempt(&trial, &facts)
}

fn detail(mechanism: Mechanism, refusal: Refusal, facts: &Facts) -> (State, String) {
    let row = row(mechanism, refusal, facts);
    assert!(!row.used);
    (row.state, row.detail)
}

/// What a machine's rows for files say: fentry, kprobe, tracepoint.
fn files(facts: &Facts) -> Vec<Attempt> {
    let trials = facts.trials.iter().filter(|trial| trial.subject == Subject::Files);
    trials.map(|trial| attempt(trial, facts)).collect()
}

#[test]
fn of_what_works_the_first_is_used() {
    let rows = files(&distribution());
    let said: Vec<_> = rows.iter().map(|row| (row.mechanism, row.used, row.detail.as_str())).collect();
    assert_eq!(
        said,
        [
            (Mechanism::Fentry, true, "used"),
            (Mechanism::Kprobe, false, "works"),
            (Mechanism::Tracepoint, false, "works")
        ]
    );
    assert!(rows.iter().all(|row| row.state == State::Ok && row.errno.is_none()));
}

#[test]
fn where_programs_are_preempted_kprobes_are_used() {
    let rows = files(&preempting());
    assert_eq!(rows[0].state, State::Refused);
    assert!(rows[0].detail.contains("preempt: lazy"), "{}", rows[0].detail);
    assert_eq!(rows.iter().map(|row| row.used).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn an_architecture_without_trampolines_uses_kprobes() {
    let rows = files(&without_trampolines());
    assert_eq!((rows[0].state, rows[0].errno), (State::Missing, Some(524)));
    assert_eq!(rows[0].detail, "the kernel has no trampolines on this architecture");
    assert!(rows[1].used);
}

#[test]
fn io_uring_may_be_missing_or_of_another_form() {
    let facts = without_io_uring();
    let uring = |facts: &Facts| {
        let trial = facts.trials.iter().find(|trial| trial.subject == Subject::Uring);
        trial.map(|trial| attempt(trial, facts)).map(|row| (row.state, row.detail))
    };
    let none = "the kernel has no tracepoint io_uring_complete: built without CONFIG_IO_URING";
    assert_eq!(uring(&facts), Some((State::Missing, none.into())));
    let names = &["io_uring_submit_req", "io_uring_submit_sqe"];
    let row = attempt(
        &Trial {
            mechanism: Mechanism::Tracepoint,
            subject: Subject::Uring,
            outcome: Err(Refusal::NoTracepoint { names, known: true }),
        },
        &facts,
    );
    assert!(row.detail.contains("io_uring_submit_req or io_uring_submit_sqe"), "{}", row.detail);
    assert_eq!(row.state, State::Missing);
}

#[test]
fn eperm_names_missing_capabilities_first() {
    let facts = ordinary_user();
    let row = row(Mechanism::Fentry, Refusal::Object(words(libc::EPERM)), &facts);
    assert_eq!((row.state, row.errno), (State::Refused, Some(libc::EPERM)));
    assert_eq!(row.detail, "needs CAP_BPF and CAP_PERFMON");
}

#[test]
fn eperm_in_spite_of_working_tracepoints_is_the_mechanisms_own() {
    let eperm = |mechanism| detail(mechanism, refused("call_fentry", Step::Load, libc::EPERM), &hardened()).1;
    assert_eq!(eperm(Mechanism::Fentry), "this kernel allows no trampolines on its functions");
    assert_eq!(eperm(Mechanism::Kprobe), "this kernel allows no probes on its functions");
    assert!(eperm(Mechanism::Tracepoint).contains("in spite of the capabilities"), "one subject alone");
}

#[test]
fn kprobes_refused_to_cap_perfmon_name_the_setting() {
    let mut facts = distribution();
    facts.rights.capabilities = Some(1 << 39 | 1 << 38);
    let attach = |facts: &Facts| row(Mechanism::Kprobe, refused("call_kprobe", Step::Attach, libc::EACCES), facts);
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
    facts.trials = all_refused(&eperm);
    assert!(detail(Mechanism::Tracepoint, eperm.clone(), &facts).1.contains("security module"));
    facts.rights.seccomp = true;
    assert!(detail(Mechanism::Tracepoint, eperm.clone(), &facts).1.contains("seccomp"));
    facts.rights.user_namespace = true;
    assert_eq!(detail(Mechanism::Tracepoint, eperm, &facts).1, "capabilities of a user namespace are not enough");
}

#[test]
fn what_a_kernel_does_not_have_is_missing_and_not_refused() {
    let facts = distribution();
    for (mechanism, refusal, part) in [
        (Mechanism::Kprobe, Refusal::NoProbes, "CONFIG_KPROBE"),
        (Mechanism::Kprobe, refused("call_kprobe", Step::Load, libc::EINVAL), "CONFIG_BPF_EVENTS"),
        (Mechanism::Fentry, refused("call_fentry", Step::Attach, ENOTSUPP), "no trampolines on this architecture"),
        (Mechanism::Tracepoint, Refusal::Object(words(libc::ENOSYS)), "CONFIG_BPF_SYSCALL"),
        (Mechanism::Tracepoint, Refusal::NoTypes, "see layout"),
    ] {
        let (state, detail) = detail(mechanism, refusal, &facts);
        assert_eq!(state, State::Missing, "{detail}");
        assert!(detail.contains(part), "{detail}");
    }
}

#[test]
fn other_errors_keep_the_kernels_words_and_name_program_and_step() {
    let facts = distribution();
    let loaded = refused("call_fexit", Step::Load, libc::EINVAL);
    assert_eq!(detail(Mechanism::Fentry, loaded, &facts).1, "call_fexit cannot be loaded: Invalid argument");
    let busy = refused("call_fentry", Step::Attach, libc::EBUSY);
    assert_eq!(detail(Mechanism::Fentry, busy, &facts).1, "another tracer or a live patch holds the function");
    let words = Words { errno: None, text: "no such type".into() };
    let unknown = Refusal::Program { program: "sys_enter", step: None, words };
    assert_eq!(detail(Mechanism::Tracepoint, unknown, &facts), (State::Missing, "sys_enter: no such type".into()));
}
