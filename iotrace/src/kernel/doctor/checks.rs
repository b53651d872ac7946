//! What is looked at, besides the mechanisms: one function for each subject, facts in, rows out.

use super::{
    facts::{Facts, Lockdown, Maps, Members, Memlock, Rights, Settings, Types, Unread},
    report::{Check, State},
};
use crate::{kernel::preemption::Preemption, output::bytes};
use nix::errno::Errno;

/// CAP_SYS_ADMIN of include/uapi/linux/capability.h.
pub(super) const SYS_ADMIN: u64 = 1 << 21;
/// CAP_SYS_RESOURCE.
const SYS_RESOURCE: u64 = 1 << 24;
/// CAP_SYS_PTRACE.
const SYS_PTRACE: u64 = 1 << 19;
/// CAP_DAC_READ_SEARCH.
const DAC_READ_SEARCH: u64 = 1 << 2;
/// What tracing takes since Linux 5.8; before, and still, CAP_SYS_ADMIN does.
const TRACING: [(u64, &str, &str); 2] =
    [(1 << 39, "CAP_BPF", "loads programs, makes maps"), (1 << 38, "CAP_PERFMON", "traces, reads kernel memory")];

impl Check {
    fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { name, state, needed: false, detail: detail.into(), advice: None }
    }

    fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// All of them, in the order in which they are shown.
pub fn all(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![kernel(facts.release.as_deref(), facts.architecture), preemption(&facts.preemption)];
    checks.extend(types(&facts.types));
    checks.extend(capabilities(facts.rights, facts.maps.memlock));
    checks.extend(settings(&facts.settings, facts.rights));
    checks.extend(maps(facts.maps, facts.rights, facts.tracepoints_work()));
    checks
}

/// Capabilities without which nothing can be traced.
pub fn missing_capabilities(rights: Rights) -> Vec<&'static str> {
    let Some(mask) = rights.capabilities.filter(|mask| mask & SYS_ADMIN == 0) else { return Vec::new() };
    TRACING.iter().filter(|(bit, ..)| mask & bit == 0).map(|(_, name, _)| *name).collect()
}

fn kernel(release: Option<&str>, architecture: &str) -> Check {
    match release {
        Some(release) => Check::new("kernel", State::Ok, format!("Linux {release}, {architecture}")),
        None => Check::new("kernel", State::Unknown, format!("of unknown release, {architecture}: no /proc")),
    }
}

fn preemption(Preemption { possible, mode }: &Preemption) -> Check {
    let follows = match possible {
        false => "a thread keeps the processor while a program runs",
        true => "fentry is not used, it would miss calls while a thread in its program is preempted",
    };
    Check::new("preemption", State::Ok, format!("{mode}: {follows}"))
}

fn types(types: &Types) -> [Check; 3] {
    let btf = match &types.btf {
        Ok(size) => Check::new("BTF", State::Ok, format!("{} in /sys/kernel/btf/vmlinux", bytes(*size as u64))),
        Err(reason) => Check::new("BTF", State::Missing, reason)
            .advise("run a kernel that has CONFIG_DEBUG_INFO_BTF=y, as most distributions' have since 2020"),
    };
    let layout = match &types.layout {
        Some(Ok(members)) => Check::new("layout", State::Ok, layout(members)),
        Some(Err(reason)) => {
            Check::new("layout", State::Missing, reason).advise("tell iotrace's authors: this kernel is not known yet")
        }
        None => Check::new("layout", State::Unknown, "of the kernel's structures: needs BTF"),
    };
    let find_vma = match (&types.btf, types.find_vma) {
        (Err(_), _) => Check::new("bpf_find_vma", State::Unknown, "needs BTF"),
        (_, true) => Check::new("bpf_find_vma", State::Ok, "msync shows its file"),
        (_, false) => {
            Check::new("bpf_find_vma", State::Missing, "not needed: msync counts without its file before Linux 5.17")
        }
    };
    [btf.needed(), layout.needed(), find_vma]
}

fn layout(Members { required, absent }: &Members) -> String {
    match absent.as_slice() {
        [] => format!("all {required} required members found, all optional ones too"),
        absent => format!(
            "all {required} required members found; optional, not in this kernel and the modules it has loaded: {}",
            absent.join(", ")
        ),
    }
}

fn capabilities(rights: Rights, memlock: Memlock) -> Vec<Check> {
    let Some(mask) = rights.capabilities else {
        return vec![Check::new("capabilities", State::Unknown, "/proc/self/status cannot be read")];
    };
    let has = |bit| mask & bit != 0;
    let missing = missing_capabilities(rights);
    let here = if rights.user_namespace { ", but only in this user namespace" } else { "" };
    let state = |bit| match has(bit) {
        true if rights.user_namespace => State::Refused,
        true => State::Ok,
        false => State::Missing,
    };
    let advice = match rights {
        Rights { user_namespace: true, .. } => "run iotrace outside of the user namespace (container), as root",
        Rights { root: true, .. } => {
            "run iotrace on the host, or give the container the capabilities: --cap-add BPF --cap-add PERFMON"
        }
        _ => "run it as root: sudo iotrace top",
    };
    let mut checks: Vec<Check> = TRACING
        .iter()
        .map(|(bit, name, what)| match state(*bit) {
            State::Missing if has(SYS_ADMIN) => Check::new(name, State::Missing, "not needed: CAP_SYS_ADMIN stands in"),
            state => {
                let check = Check::new(name, state, format!("{what}{here}")).needed();
                if state == State::Ok { check } else { check.advise(advice) }
            }
        })
        .collect();
    let admin = match (has(SYS_ADMIN), missing.is_empty()) {
        (true, _) => "stands in for both",
        (false, true) => "not needed: the two above do",
        (false, false) => "would stand in for both",
    };
    checks.push(Check::new("CAP_SYS_ADMIN", state(SYS_ADMIN), format!("{admin}{here}")));
    let resource = match (has(SYS_RESOURCE), memlock) {
        (true, _) => "lifts the limit of locked memory, where maps count",
        (false, Memlock::Free) => "not needed: maps do not count as locked memory",
        (false, Memlock::Counted(None)) => "not needed: the limit of locked memory is lifted",
        (false, _) => "would lift the limit of locked memory, where maps count",
    };
    checks.push(Check::new("CAP_SYS_RESOURCE", state(SYS_RESOURCE), resource));
    checks.extend(processes(rights, has(SYS_PTRACE), has(DAC_READ_SEARCH), state));
    checks
}

/// What /proc shows of other users' processes: all that iotrace needs, unless it is mounted with `hidepid`.
fn processes(rights: Rights, ptrace: bool, search: bool, state: impl Fn(u64) -> State) -> [Check; 2] {
    let ptrace = match (ptrace, rights.hidden_proc) {
        (true, _) => Check::new("CAP_SYS_PTRACE", state(SYS_PTRACE), "sees all of /proc"),
        (false, false) => Check::new("CAP_SYS_PTRACE", State::Missing, "not needed: /proc is mounted without hidepid"),
        (false, true) => Check::new(
            "CAP_SYS_PTRACE",
            State::Missing,
            "/proc is mounted with hidepid: --pid and --children see one's own processes only",
        )
        .advise("give iotrace CAP_SYS_PTRACE too, or mount /proc without hidepid"),
    };
    let search = match search {
        true => "with CAP_SYS_PTRACE: finds who reads iotrace's output",
        false => "not needed: readers of iotrace's output (| sudo tee) are traced, unless they run as its user",
    };
    [ptrace, Check::new("CAP_DAC_READ_SEARCH", state(DAC_READ_SEARCH), search)]
}

fn settings(settings: &Settings, rights: Rights) -> [Check; 5] {
    let number = |name, setting: &Result<i64, Unread>, file: &str, meaning: &dyn Fn(i64) -> &'static str| match setting
    {
        Ok(value) => Check::new(name, State::Ok, format!("{file} = {value}: {}", meaning(*value))),
        Err(Unread::NotThere) => Check::new(name, State::Unknown, format!("no {file} here")),
        Err(Unread::Unreadable(reason)) => Check::new(name, State::Unknown, format!("{file}: {reason}")),
    };
    let may = missing_capabilities(rights).is_empty();
    let admin = rights.capabilities.is_none_or(|mask| mask & SYS_ADMIN != 0);
    let mut jit = number("JIT", &settings.jit, "net.core.bpf_jit_enable", &|value| match value {
        0 => "programs are interpreted, several times slower",
        _ => "programs run as machine code",
    });
    if settings.jit == Ok(0) {
        jit = Check { state: State::Missing, ..jit }.advise("sysctl net.core.bpf_jit_enable=1");
    }
    [
        number(
            "unprivileged BPF",
            &settings.unprivileged_bpf,
            "kernel.unprivileged_bpf_disabled",
            &|value| match value {
                0 => "does not matter, tracing takes capabilities anyway",
                _ => "only with CAP_BPF",
            },
        ),
        number("perf events", &settings.perf_event_paranoid, "kernel.perf_event_paranoid", &|value| match may {
            true if value > 2 && !admin => "above 2, kprobes may take CAP_SYS_ADMIN (Debian, Ubuntu)",
            true => "does not bind CAP_PERFMON",
            false => "tracing takes CAP_PERFMON anyway",
        }),
        number("kernel addresses", &settings.kptr_restrict, "kernel.kptr_restrict", &|level| match level {
            0 => "wait and block can look functions up",
            1 => "only with CAP_SYSLOG can wait and block look functions up",
            _ => "wait and block cannot look functions up, and say less",
        }),
        lockdown(&settings.lockdown),
        jit,
    ]
}

fn lockdown(lockdown: &Lockdown) -> Check {
    let check = |state, detail: String| Check::new("lockdown", state, detail);
    match lockdown {
        Lockdown::Mode(mode) if mode == "confidentiality" => {
            check(State::Refused, "lockdown=confidentiality: programs may not read kernel memory".into())
                .needed()
                .advise("boot with lockdown=integrity, or without Secure Boot")
        }
        Lockdown::Mode(mode) => check(State::Ok, format!("{mode}: programs may read kernel memory")),
        Lockdown::NotBuilt => check(State::Ok, "none: the kernel was built without".into()),
        Lockdown::NotMounted => check(State::Unknown, "securityfs is not mounted on /sys/kernel/security".into()),
        Lockdown::Unreadable(reason) => check(State::Unknown, format!("/sys/kernel/security/lockdown: {reason}")),
    }
}

fn maps(maps: Maps, rights: Rights, works: bool) -> Vec<Check> {
    let missing = missing_capabilities(rights);
    let ring = |state, detail: String| Check::new("ring buffer", state, detail).needed();
    let mut checks = vec![match maps.ring_buffer {
        Ok(true) => ring(State::Ok, "carries events out of the kernel".into()),
        Ok(false) => ring(State::Missing, "the kernel has no ring buffers: they came with Linux 5.8".into())
            .advise("run Linux 5.10 or newer"),
        Err(_) if !missing.is_empty() => {
            ring(State::Unknown, format!("cannot be tried without {}", missing.join(" and ")))
        }
        Err(_) if rights.user_namespace => ring(State::Unknown, "cannot be tried in a user namespace".into()),
        Err(Some(libc::EPERM)) if matches!(maps.memlock, Memlock::Counted(Some(_))) => {
            ring(State::Unknown, "cannot be tried within the limit of locked memory".into())
        }
        Err(errno) => {
            let reason = errno.map_or("for no known reason", |errno| Errno::from_raw(errno).desc());
            ring(State::Refused, format!("no ring buffer can be made: {reason}"))
        }
    }];
    const COUNT: &str = "maps count as locked memory, as before Linux 5.11";
    let locked = |state, detail| Check::new("locked memory", state, detail);
    match maps.memlock {
        Memlock::Counted(None) => checks.push(locked(State::Ok, format!("{COUNT}; the limit is lifted"))),
        Memlock::Counted(Some(limit)) if works => {
            checks.push(locked(State::Ok, format!("{COUNT}; the limit of {} is enough", bytes(limit))));
        }
        Memlock::Counted(Some(limit)) => {
            let check = locked(State::Refused, format!("{COUNT}, and the limit is {}", bytes(limit)));
            checks.push(check.needed().advise("ulimit -l unlimited, or run iotrace with CAP_SYS_RESOURCE"));
        }
        Memlock::Free | Memlock::Unknown => {}
    }
    checks
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
