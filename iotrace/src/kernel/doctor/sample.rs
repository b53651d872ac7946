//! Made-up machines for tests.

use super::{
    facts::{Facts, Lockdown, Maps, Members, Memlock, Refusal, Rights, Settings, Step, Trial, Types, Unread, Words},
    report::Way,
};
use crate::kernel::mechanism::Subject;

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
    tracepoint: Result<(), Refusal>,
    fentry: Result<(), Refusal>,
    kprobe: Result<(), Refusal>,
) -> Vec<Trial> {
    let mut trials: Vec<Trial> =
        Subject::ALL.map(|subject| Trial { way: Way::Tracepoint, subject, outcome: tracepoint.clone() }).into();
    trials.push(Trial { way: Way::Fentry, subject: Subject::Files, outcome: fentry });
    trials.push(Trial { way: Way::Kprobe, subject: Subject::Files, outcome: kprobe });
    trials
}

/// Root on a distribution's kernel: everything works.
pub(crate) fn distribution() -> Facts {
    Facts {
        release: Some("6.12.48-amd64".into()),
        architecture: "x86_64",
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

/// Root without CAP_SYS_RESOURCE on a hardened kernel: tracepoints only.
pub(crate) fn hardened() -> Facts {
    let mut facts = distribution();
    facts.rights.capabilities = Some(ALL & !(1 << 24));
    facts.settings.lockdown = Lockdown::NotMounted;
    facts.trials = trials(Ok(()), Err(refused("trial_fentry", Step::Load, libc::EPERM)), Err(Refusal::NoProbes));
    facts
}

/// An ordinary user.
pub(crate) fn ordinary_user() -> Facts {
    let mut facts = distribution();
    facts.rights = Rights { capabilities: Some(0), ..Rights::default() };
    facts.settings.jit = Err(Unread::Unreadable("Permission denied".into()));
    facts.maps = Maps { ring_buffer: Err(Some(libc::EPERM)), memlock: Memlock::Unknown };
    let refused = Err(Refusal::Object(words(libc::EPERM)));
    facts.trials = trials(refused.clone(), refused.clone(), refused);
    facts
}

/// Root on a kernel that does not describe its types.
pub(crate) fn without_btf() -> Facts {
    let mut facts = distribution();
    let reason = "no BTF at /sys/kernel/btf/vmlinux: kernel built without CONFIG_DEBUG_INFO_BTF";
    facts.types = Types { btf: Err(reason.into()), layout: None, find_vma: false };
    facts.trials = trials(Err(Refusal::NoTypes), Err(Refusal::NoTypes), Ok(()));
    facts
}
