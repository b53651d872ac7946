//! Made-up machines for tests.

use super::{
    facts::{Facts, Lockdown, Maps, Members, Memlock, Rights, Settings, Types, Unread},
    outcome::{Refusal, Step, Trial, Words},
};
use crate::kernel::{
    mechanism::{Mechanism, Subject},
    preemption::Preemption,
};

/// All capabilities that are asked for.
pub(crate) const ALL: u64 = 1 << 39 | 1 << 38 | 1 << 24 | 1 << 21 | 1 << 19 | 1 << 2;

/// What a system call said.
pub(crate) fn words(errno: i32) -> Words {
    Words { errno: Some(errno), text: nix::errno::Errno::from_raw(errno).desc().into() }
}

/// A program that was refused.
pub(crate) fn refused(program: &'static str, step: Step, errno: i32) -> Refusal {
    Refusal::Program { program, step: Some(step), words: words(errno) }
}

/// The trials, each mechanism with the same outcome for all of its subjects.
pub(crate) fn trials(
    fentry: Result<(), Refusal>,
    kprobe: Result<(), Refusal>,
    tracepoint: Result<(), Refusal>,
) -> Vec<Trial> {
    let outcome = |mechanism| match mechanism {
        Mechanism::Fentry => fentry.clone(),
        Mechanism::Kprobe => kprobe.clone(),
        Mechanism::Tracepoint => tracepoint.clone(),
    };
    let all = Subject::ALL.into_iter();
    let pairs = all.flat_map(|subject| subject.mechanisms(false).iter().map(move |mechanism| (subject, *mechanism)));
    pairs.map(|(subject, mechanism)| Trial { mechanism, subject, outcome: outcome(mechanism) }).collect()
}

/// The same outcome for everything.
pub(crate) fn all_refused(refusal: &Refusal) -> Vec<Trial> {
    trials(Err(refusal.clone()), Err(refusal.clone()), Err(refusal.clone()))
}

/// Root on a distribution's kernel: everything works.
pub(crate) fn distribution() -> Facts {
    Facts {
        release: Some("6.12.48-amd64".into()),
        architecture: "x86_64",
        preemption: Preemption { possible: false, mode: "voluntary".into() },
        types: Types {
            btf: Ok(5_515_646),
            layout: Some(Ok(Members { required: 54, absent: vec!["rq_disk"] })),
            find_vma: true,
        },
        rights: Rights { capabilities: Some(ALL), root: true, ..Rights::default() },
        settings: Settings {
            unprivileged_bpf: Ok(2),
            perf_event_paranoid: Ok(3),
            kptr_restrict: Ok(0),
            jit: Ok(1),
            lockdown: Lockdown::Mode("none".into()),
        },
        maps: Maps { ring_buffer: Ok(true), memlock: Memlock::Free },
        trials: trials(Ok(()), Ok(()), Ok(())),
    }
}

/// Root on a distribution's kernel that preempts threads in the kernel: no fentry.
pub(crate) fn preempting() -> Facts {
    let mut facts = distribution();
    facts.release = Some("7.2.13-amd64".into());
    facts.preemption = Preemption { possible: true, mode: "lazy".into() };
    let reason = "this kernel preempts programs there (preempt: lazy), and calls would be missed";
    facts.trials = trials(Err(Refusal::Unfit(reason.into())), Ok(()), Ok(()));
    facts
}

/// Root on a 64-bit Arm kernel that loads programs for trampolines, and then cannot make them.
pub(crate) fn without_trampolines() -> Facts {
    let mut facts = distribution();
    facts.release = Some("6.1.0-56-arm64".into());
    facts.architecture = "aarch64";
    let words = Words { errno: Some(524), text: "Unknown error 524 (os error 524)".into() };
    let refused = Refusal::Program { program: "call_fexit", step: Some(Step::Attach), words };
    facts.trials = trials(Err(refused), Ok(()), Ok(()));
    facts
}

/// Root on a kernel built without io_uring.
pub(crate) fn without_io_uring() -> Facts {
    let mut facts = distribution();
    for trial in facts.trials.iter_mut().filter(|trial| trial.subject == Subject::Uring) {
        trial.outcome = Err(Refusal::NoTracepoint { names: &["io_uring_complete"], known: false });
    }
    facts
}

/// Root without CAP_SYS_RESOURCE on a hardened kernel: tracepoints only.
pub(crate) fn hardened() -> Facts {
    let mut facts = distribution();
    facts.release = Some("6.18.44".into());
    facts.preemption = Preemption { possible: false, mode: "none".into() };
    facts.rights.capabilities = Some(ALL & !(1 << 24));
    facts.settings.perf_event_paranoid = Ok(2);
    facts.settings.lockdown = Lockdown::NotMounted;
    facts.trials = trials(Err(refused("call_fexit", Step::Load, libc::EPERM)), Err(Refusal::NoProbes), Ok(()));
    facts
}

/// An ordinary user.
pub(crate) fn ordinary_user() -> Facts {
    let mut facts = distribution();
    facts.rights = Rights { capabilities: Some(0), ..Rights::default() };
    facts.settings.jit = Err(Unread::Unreadable("Permission denied".into()));
    facts.maps = Maps { ring_buffer: Err(Some(libc::EPERM)), memlock: Memlock::Unknown };
    facts.trials = all_refused(&Refusal::Object(words(libc::EPERM)));
    facts
}

/// Root on a kernel that does not describe its types.
pub(crate) fn without_btf() -> Facts {
    let mut facts = distribution();
    let reason = "no BTF at /sys/kernel/btf/vmlinux: kernel built without CONFIG_DEBUG_INFO_BTF";
    facts.types = Types { btf: Err(reason.into()), layout: None, find_vma: false };
    facts.trials = all_refused(&Refusal::NoTypes);
    facts
}
