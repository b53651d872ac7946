use super::*;
use crate::kernel::doctor::{
    facts::Memlock,
    outcome::{Refusal, Step},
    sample::{
        all_refused, distribution, hardened, ordinary_user, preempting, refused, trials, without_btf, without_io_uring,
        without_trampolines, words,
    },
};

#[test]
fn the_best_mechanism_that_works_is_used() {
    for (facts, mechanism) in [
        (distribution(), Mechanism::Fentry),
        (preempting(), Mechanism::Kprobe),
        (without_trampolines(), Mechanism::Kprobe),
        (hardened(), Mechanism::Tracepoint),
    ] {
        let report = report(&facts);
        assert!(report.ok);
        assert_eq!(report.mechanism(), Some(mechanism));
        assert!(report.problems.is_empty() && report.advice.is_empty(), "{:?} {:?}", report.problems, report.advice);
        for subject in Subject::ALL {
            let only_tracepoints = subject.mechanisms(false).len() == 1;
            let expected = if only_tracepoints { Mechanism::Tracepoint } else { mechanism };
            assert_eq!(report.used(subject), Some(expected), "{subject}");
        }
    }
}

#[test]
fn a_kernel_without_io_uring_can_trace_and_has_no_problem() {
    let report = report(&without_io_uring());
    assert!(report.ok);
    assert_eq!(report.used(Subject::Uring), None);
    assert!(report.problems.is_empty() && report.advice.is_empty(), "{:?} {:?}", report.problems, report.advice);
}

#[test]
fn what_a_subject_cannot_see_is_unseen() {
    let unseen = |facts: &Facts| report(facts).unseen().join("\n");
    let all = unseen(&distribution());
    for limit in ["IOSQE_CQE_SKIP_SUCCESS", "AIO of 32-bit programs", "overlayfs", "writeback, readahead, swap"] {
        assert!(all.contains(limit), "{limit} is not in {all}");
    }
    assert!(unseen(&without_io_uring()).contains("requests of io_uring (their block requests"));
    let mut facts = distribution();
    for trial in facts.trials.iter_mut().filter(|trial| trial.subject == Subject::Mmap) {
        trial.outcome = Err(refused("writeback_dirty_folio", Step::Load, libc::EACCES));
    }
    assert!(unseen(&facts).contains("page faults of mapped files (their msync"));
    let problems = report(&facts).problems;
    assert!(problems.len() == 1 && problems.iter().all(|problem| problem.starts_with("mmap cannot be traced: ")));
    assert_eq!(unseen(&ordinary_user()), "");
}

#[test]
fn an_ordinary_user_is_told_once_what_is_missing_and_what_to_do() {
    let report = report(&ordinary_user());
    assert!(!report.ok);
    assert_eq!(report.mechanism(), None);
    assert_eq!(report.problems, ["needs CAP_BPF and CAP_PERFMON, which this user does not have"]);
    assert_eq!(report.advice, ["run it as root: sudo iotrace top"]);
}

#[test]
fn without_btf_one_sentence_says_why() {
    let report = report(&without_btf());
    assert!(!report.ok);
    assert_eq!(report.problems, ["no BTF at /sys/kernel/btf/vmlinux: kernel built without CONFIG_DEBUG_INFO_BTF"]);
    assert_eq!(report.advice.len(), 1);
}

#[test]
fn capabilities_of_a_user_namespace_do_not_count() {
    let mut facts = distribution();
    facts.rights.user_namespace = true;
    facts.maps.ring_buffer = Err(Some(libc::EPERM));
    facts.trials = all_refused(&Refusal::Object(words(libc::EPERM)));
    let report = report(&facts);
    assert_eq!(report.problems, ["the capabilities hold in this user namespace only"]);
    assert_eq!(report.advice.len(), 1);
}

#[test]
fn a_low_limit_of_locked_memory_is_the_problem_and_not_security() {
    let mut facts = distribution();
    facts.maps.memlock = Memlock::Counted(Some(65536));
    facts.trials = all_refused(&Refusal::Object(words(libc::EPERM)));
    let report = report(&facts);
    assert_eq!(report.problems, ["maps count as locked memory, as before Linux 5.11, and the limit is 64KiB"]);
    assert!(report.attempts.iter().all(|attempt| attempt.detail == "the limit of locked memory is too low"));
}

#[test]
fn block_alone_may_fail_but_is_told() {
    let mut facts = distribution();
    for trial in facts.trials.iter_mut().filter(|trial| trial.subject == Subject::Block) {
        trial.outcome = Err(refused("block_rq_issue", Step::Load, libc::EACCES));
    }
    let report = report(&facts);
    assert!(report.ok);
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems.iter().all(|problem| problem.starts_with("block cannot be traced: ")));
}

#[test]
fn the_trial_has_the_last_word_over_the_checks() {
    let mut facts = distribution();
    facts.rights.capabilities = Some(0);
    assert!(report(&facts).ok, "rights by other means, such as a BPF token");
    let mut facts = distribution();
    facts.trials.retain(|trial| trial.subject != Subject::Processes);
    assert!(!report(&facts).ok);
    let mut facts = distribution();
    facts.maps.ring_buffer = Ok(false);
    assert!(!report(&facts).ok);
}

#[test]
fn when_nothing_needed_is_missing_the_refusals_are_the_problem() {
    let mut facts = distribution();
    facts.trials = all_refused(&Refusal::Object(words(libc::EPERM)));
    let report = report(&facts);
    let reason = "forbidden in spite of the capabilities: by lockdown or a security module";
    assert_eq!(
        report.problems,
        [format!(
            "process, children, dirty pages, flushes, block, copy-up, read/write/fsync/open, io_uring, mmap, waits cannot be traced: {reason}"
        )]
    );
    assert_eq!(report.advice, ["look for the refusal in the kernel's log: dmesg, or the audit log"]);
}

#[test]
fn the_cause_is_one_sentence_and_none_where_it_works() {
    assert_eq!(cause(&distribution()), None);
    assert_eq!(cause(&hardened()), None);
    let sentence = cause(&without_btf()).unwrap_or_default();
    assert!(
        sentence.starts_with("no BTF at /sys/kernel/btf/vmlinux: ") && sentence.contains("; run a kernel"),
        "{sentence}"
    );
    let mut facts = distribution();
    facts.maps.ring_buffer = Ok(false);
    let sentence = "the kernel has no ring buffers: they came with Linux 5.8; run Linux 5.10 or newer";
    assert_eq!(cause(&facts).as_deref(), Some(sentence));
    assert!(cause(&ordinary_user()).is_some_and(|sentence| sentence.starts_with("needs CAP_BPF and CAP_PERFMON, ")));
}

#[test]
fn a_mechanism_that_is_kept_from_the_user_is_denied_with_the_setting() {
    let mut facts = distribution();
    assert_eq!(denial(&facts, Mechanism::Kprobe), None);
    facts.rights.capabilities = Some(1 << 39 | 1 << 38);
    facts.rights.root = false;
    facts.trials = trials(Ok(()), Err(refused("call_kprobe", Step::Attach, libc::EACCES)), Ok(()));
    let sentence = "kprobe cannot be used: kernel.perf_event_paranoid is above 2: this kernel keeps perf events to CAP_SYS_ADMIN; \
                    sysctl kernel.perf_event_paranoid=2";
    assert_eq!(denial(&facts, Mechanism::Kprobe).as_deref(), Some(sentence));
    assert_eq!(denial(&facts, Mechanism::Fentry), None);
    facts.trials = trials(Ok(()), Err(Refusal::NoProbes), Ok(()));
    assert_eq!(denial(&facts, Mechanism::Kprobe), None, "nobody may use what is not there");
}

#[test]
fn where_no_mechanism_works_the_cause_has_the_reason_of_each() {
    let mut facts = distribution();
    let eperm = Err(refused("sys_exit", Step::Attach, libc::EPERM));
    facts.trials = trials(eperm.clone(), Err(Refusal::NoProbes), eperm);
    let forbidden = "forbidden in spite of the capabilities: by lockdown or a security module";
    let none = "the kernel has none: built without CONFIG_KPROBES, or CONFIG_KPROBE_EVENTS";
    let sentence = cause(&facts).unwrap_or_default();
    let reasons =
        format!("no mechanism works here: fentry: {forbidden}, kprobe: {none}, tracepoint: {forbidden}; look for");
    assert!(sentence.starts_with(&reasons), "{sentence}");
    facts.trials = trials(Ok(()), Err(Refusal::NoProbes), Err(Refusal::NoProbes));
    assert_eq!(cause(&facts), None, "one works: the program that was refused says more");
}
