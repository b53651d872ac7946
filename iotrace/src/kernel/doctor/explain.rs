//! Words for what came of a trial.

use super::{
    checks::{SYS_ADMIN, missing_capabilities},
    facts::{Facts, Memlock, Rights},
    outcome::{Refusal, Step, Trial, Words},
    report::{Attempt, State},
};
use crate::kernel::mechanism::{Mechanism, Subject};

/// ENOTSUPP of include/linux/errno.h: meant for the kernel itself, but 6.1 on arm64 answers with it when trampolines are attached.
const ENOTSUPP: i32 = 524;

/// What is made of a refusal.
struct Said {
    state: State,
    errno: Option<i32>,
    detail: String,
    advice: Option<String>,
}

impl Said {
    fn new(state: State, errno: Option<i32>, detail: impl Into<String>) -> Self {
        Self { state, errno, detail: detail.into(), advice: None }
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// A trial as a row.
pub fn attempt(trial: &Trial, facts: &Facts) -> Attempt {
    let used = facts.used(trial.subject) == Some(trial.mechanism);
    let said = match &trial.outcome {
        Ok(()) => Said::new(State::Ok, None, if used { "used" } else { "works" }),
        Err(refusal) => explain(trial, refusal, facts),
    };
    let Said { state, errno, detail, advice } = said;
    Attempt { mechanism: trial.mechanism, subject: trial.subject, state, used, errno, detail, advice }
}

fn explain(trial: &Trial, refusal: &Refusal, facts: &Facts) -> Said {
    let mechanism = trial.mechanism;
    match refusal {
        Refusal::NoTypes => Said::new(
            State::Missing,
            None,
            match &facts.types.btf {
                Ok(_) => "not tried: see layout",
                Err(_) => "not tried: needs BTF",
            },
        ),
        Refusal::Unfit(reason) => Said::new(State::Refused, None, reason.clone()),
        Refusal::NoProbes => Said::new(
            State::Missing,
            None,
            "the kernel has none: built without CONFIG_KPROBES, or CONFIG_KPROBE_EVENTS",
        ),
        Refusal::NoTracepoint { names, known: true } => Said::new(
            State::Missing,
            None,
            format!("iotrace does not know the arguments that the tracepoint {} has here", names.join(" or ")),
        ),
        Refusal::NoTracepoint { names, .. } => {
            let option = if trial.subject == Subject::Uring { ": built without CONFIG_IO_URING" } else { "" };
            Said::new(State::Missing, None, format!("the kernel has no tracepoint {}{option}", names.join(" or ")))
        }
        Refusal::Object(words) => {
            let other = format!("cannot make the maps: {}", words.text);
            refused(mechanism, None, words, other, facts)
        }
        Refusal::Program { program, step, words } => {
            let other = match step {
                Some(Step::Load) => format!("{program} cannot be loaded: {}", words.text),
                Some(Step::Attach) => format!("{program} cannot be attached: {}", words.text),
                None => format!("{program}: {}", words.text),
            };
            refused(mechanism, *step, words, other, facts)
        }
    }
}

/// What the kernel's error means; `other` says it where it means nothing in particular.
fn refused(mechanism: Mechanism, step: Option<Step>, words: &Words, other: String, facts: &Facts) -> Said {
    let Some(errno) = words.errno else { return Said::new(State::Missing, None, other) };
    let said = |detail: &str| Said::new(State::Refused, Some(errno), detail);
    match (errno, mechanism, step) {
        (libc::EPERM | libc::EACCES, ..) => forbidden(mechanism, errno, facts),
        (libc::ENOSYS, ..) => Said::new(
            State::Missing,
            Some(errno),
            "the kernel has no bpf system call: built without CONFIG_BPF_SYSCALL",
        ),
        (libc::ENOMEM, _, None) => {
            said("no memory for the maps").advise("free memory, or raise the control group's limit")
        }
        (ENOTSUPP | libc::EOPNOTSUPP, Mechanism::Fentry, _) => {
            Said::new(State::Missing, Some(errno), "the kernel has no trampolines on this architecture")
        }
        (libc::EBUSY, Mechanism::Fentry, Some(Step::Attach)) => {
            said("another tracer or a live patch holds the function")
        }
        (libc::EINVAL, Mechanism::Kprobe, Some(Step::Load)) => {
            Said::new(State::Missing, Some(errno), "the kernel knows no such programs: built without CONFIG_BPF_EVENTS")
        }
        (libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP, Mechanism::Kprobe, Some(Step::Attach)) => {
            said("the kernel takes no probe on this function")
        }
        _ => Said::new(State::Refused, Some(errno), other),
    }
}

/// Why one may not.
fn forbidden(mechanism: Mechanism, errno: i32, facts: &Facts) -> Said {
    let said = |detail: &str| Said::new(State::Refused, Some(errno), detail);
    let missing = missing_capabilities(facts.rights);
    match facts.rights {
        _ if !missing.is_empty() => said(&format!("needs {}", missing.join(" and "))),
        Rights { user_namespace: true, .. } => said("capabilities of a user namespace are not enough"),
        _ if facts.tracepoints_work() && mechanism == Mechanism::Fentry => {
            said("this kernel allows no trampolines on its functions")
        }
        _ if facts.tracepoints_work() && mechanism == Mechanism::Kprobe && paranoid(facts) => {
            said("kernel.perf_event_paranoid is above 2: this kernel keeps perf events to CAP_SYS_ADMIN")
                .advise("sysctl kernel.perf_event_paranoid=2")
        }
        _ if facts.tracepoints_work() && mechanism == Mechanism::Kprobe => {
            said("this kernel allows no probes on its functions")
        }
        _ if matches!(facts.maps.memlock, Memlock::Counted(Some(_))) => said("the limit of locked memory is too low"),
        Rights { seccomp: true, .. } => said("a filter of system calls (seccomp) forbids it, as in containers")
            .advise("allow bpf and perf_event_open in the container's seccomp profile, or run iotrace on the host"),
        _ => said("forbidden in spite of the capabilities: by lockdown or a security module")
            .advise("look for the refusal in the kernel's log: dmesg, or the audit log"),
    }
}

/// Whether the setting may keep perf events from this user: Debian's and Ubuntu's kernels know values above 2, and then ask for
/// CAP_SYS_ADMIN where others ask for CAP_PERFMON (`perf_paranoid_any` in their kernel/events/core.c).
fn paranoid(facts: &Facts) -> bool {
    let admin = facts.rights.capabilities.is_none_or(|mask| mask & SYS_ADMIN != 0);
    !admin && matches!(facts.settings.perf_event_paranoid, Ok(3..))
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
