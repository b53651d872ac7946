#![allow(clippy::unwrap_used)]
use super::*;
use crate::kernel::doctor::sample::{ALL, distribution, ordinary_user, preempting};

fn check(facts: &Facts, name: &str) -> Check {
    all(facts).into_iter().find(|check| check.name == name).unwrap()
}

fn with_capabilities(mask: u64) -> Facts {
    let mut facts = distribution();
    facts.rights.capabilities = Some(mask);
    facts
}

#[test]
fn on_a_distributions_kernel_root_has_all_that_is_needed() {
    for check in all(&distribution()) {
        assert_eq!((check.state, check.advice), (State::Ok, None), "{}: {}", check.name, check.detail);
    }
}

#[test]
fn each_missing_capability_is_named() {
    let missing = |mask| missing_capabilities(with_capabilities(mask).rights);
    assert_eq!(missing(0), ["CAP_BPF", "CAP_PERFMON"]);
    assert_eq!(missing(1 << 39), ["CAP_PERFMON"]);
    assert!(missing(1 << 39 | 1 << 38).is_empty());
    assert!(missing(SYS_ADMIN).is_empty());
}

#[test]
fn advice_depends_on_what_the_user_can_do() {
    let advice = |facts: &Facts| check(facts, "CAP_BPF").advice.unwrap();
    assert!(advice(&ordinary_user()).contains("sudo iotrace"));
    assert!(advice(&with_capabilities(0)).contains("--cap-add BPF"));
    let mut facts = distribution();
    facts.rights.user_namespace = true;
    assert!(advice(&facts).contains("outside of the user namespace"));
    assert_eq!(check(&facts, "CAP_BPF").state, State::Refused);
}

#[test]
fn capabilities_that_are_not_needed_say_so() {
    let facts = with_capabilities(1 << 39 | 1 << 38);
    for name in ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"] {
        let check = check(&facts, name);
        assert!(!check.needed && check.detail.starts_with("not needed"), "{name}: {}", check.detail);
    }
    let check = check(&with_capabilities(SYS_ADMIN), "CAP_BPF");
    assert!(!check.needed && check.detail.starts_with("not needed"), "{}", check.detail);
}

#[test]
fn the_limit_of_locked_memory_shows_only_where_it_matters() {
    let mut facts = distribution();
    assert!(all(&facts).iter().all(|check| check.name != "locked memory"));
    facts.maps.memlock = Memlock::Counted(None);
    assert_eq!(check(&facts, "locked memory").state, State::Ok);
    facts.maps.memlock = Memlock::Counted(Some(65536));
    assert_eq!(check(&facts, "locked memory").state, State::Ok, "it is enough");
    facts.trials.clear();
    let counted = check(&facts, "locked memory");
    assert_eq!(counted.state, State::Refused);
    assert!(counted.detail.ends_with("the limit is 64KiB"), "{}", counted.detail);
    assert!(counted.advice.unwrap().contains("ulimit -l"));
}

#[test]
fn a_ring_buffer_is_missing_refused_or_not_known() {
    let mut facts = with_capabilities(ALL);
    facts.maps.ring_buffer = Ok(false);
    assert_eq!(check(&facts, "ring buffer").state, State::Missing);
    facts.maps.ring_buffer = Err(Some(libc::ENOMEM));
    let refused = check(&facts, "ring buffer");
    assert_eq!(refused.state, State::Refused);
    assert_eq!(refused.detail, "no ring buffer can be made: Out of memory");
    // Where maps count as locked memory, that is what is wrong, and a check of its own.
    facts.maps = Maps { ring_buffer: Err(Some(libc::EPERM)), memlock: Memlock::Counted(Some(64 << 10)) };
    facts.trials.clear();
    assert_eq!(check(&facts, "ring buffer").state, State::Unknown);
    assert_eq!(check(&facts, "locked memory").state, State::Refused);
    assert_eq!(check(&ordinary_user(), "ring buffer").state, State::Unknown);
}

#[test]
fn lockdown_matters_when_it_hides_kernel_memory() {
    let mut facts = distribution();
    for (lockdown, state, needed) in [
        (Lockdown::Mode("confidentiality".into()), State::Refused, true),
        (Lockdown::Mode("integrity".into()), State::Ok, false),
        (Lockdown::NotBuilt, State::Ok, false),
        (Lockdown::NotMounted, State::Unknown, false),
        (Lockdown::Unreadable("x".into()), State::Unknown, false),
    ] {
        facts.settings.lockdown = lockdown;
        let check = check(&facts, "lockdown");
        assert_eq!((check.state, check.needed), (state, needed), "{}", check.detail);
    }
}

#[test]
fn settings_that_cannot_be_read_are_unknown() {
    let mut facts = distribution();
    facts.settings.jit = Err(Unread::NotThere);
    facts.settings.kptr_restrict = Err(Unread::Unreadable("Permission denied".into()));
    assert_eq!(check(&facts, "JIT").detail, "no net.core.bpf_jit_enable here");
    let addresses = check(&facts, "kernel addresses");
    assert_eq!(
        (addresses.state, addresses.detail.as_str()),
        (State::Unknown, "kernel.kptr_restrict: Permission denied")
    );
    facts.settings.jit = Ok(0);
    let jit = check(&facts, "JIT");
    assert_eq!((jit.state, jit.needed), (State::Missing, false));
    assert!(jit.advice.is_some());
}

#[test]
fn hidden_processes_take_cap_sys_ptrace() {
    let mut facts = with_capabilities(1 << 39 | 1 << 38);
    facts.rights.hidden_proc = true;
    let hidden = check(&facts, "CAP_SYS_PTRACE");
    assert_eq!((hidden.state, hidden.needed), (State::Missing, false));
    assert!(hidden.detail.contains("hidepid") && hidden.advice.is_some(), "{}", hidden.detail);
    facts.rights.capabilities = Some(ALL);
    assert_eq!(check(&facts, "CAP_SYS_PTRACE").state, State::Ok);
}

#[test]
fn perf_events_may_take_more_than_cap_perfmon_above_2() {
    let detail = |mask, value| {
        let mut facts = with_capabilities(mask);
        facts.settings.perf_event_paranoid = Ok(value);
        check(&facts, "perf events").detail
    };
    let two = 1 << 39 | 1 << 38;
    assert!(detail(two, 2).ends_with("does not bind CAP_PERFMON"));
    assert!(detail(two, 3).contains("CAP_SYS_ADMIN"));
    assert!(detail(ALL, 4).ends_with("does not bind CAP_PERFMON"));
}

#[test]
fn preemption_is_no_fault_but_has_consequences() {
    for (facts, detail) in [
        (distribution(), "voluntary: a thread keeps the processor while a program runs"),
        (preempting(), "lazy: fentry is not used, it would miss calls while a thread in its program is preempted"),
    ] {
        let check = check(&facts, "preemption");
        assert_eq!((check.state, check.needed, check.detail.as_str()), (State::Ok, false, detail));
    }
}
