//! What files say, and what came of the trials, before anything is made of it. Files are read below a root, for tests.

use super::outcome::Trial;
use crate::kernel::{
    btf::{Btf, BtfError},
    layout::{kernel_layout, missing_optional},
    mechanism::{Mechanism, Subject},
    preemption::Preemption,
};
use crate::resolve::hides_processes;
use iotrace_common::layout::{FIELDS, KernelLayout};
use nix::errno::Errno;
use procfs::{FromRead, process::Status};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// All that is known of this kernel and this user.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The kernel's release, such as `6.12.48`.
    pub release: Option<String>,
    /// Its architecture, as Rust calls it.
    pub architecture: &'static str,
    /// Whether it takes the processor from threads.
    pub preemption: Preemption,
    /// Its types.
    pub types: Types,
    /// What this process may do.
    pub rights: Rights,
    /// Settings of the machine.
    pub settings: Settings,
    /// What came of making maps.
    pub maps: Maps,
    /// What came of loading and attaching programs.
    pub trials: Vec<Trial>,
}

/// The kernel's description of its own types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types {
    /// Bytes of BTF, or why there is none.
    pub btf: Result<usize, String>,
    /// Members that programs read, or which are missing; `None` without BTF.
    pub layout: Option<Result<Members, String>>,
    /// Whether there is the helper that finds the file at an address.
    pub find_vma: bool,
}

/// Members of structures that programs read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// How many are required, all of them found.
    pub required: usize,
    /// Optional ones that this kernel lacks.
    pub absent: Vec<&'static str>,
}

/// Types as programs need them.
#[derive(Debug)]
pub struct KnownTypes {
    /// Where they were read.
    pub path: PathBuf,
    /// The types.
    pub btf: Btf<'static>,
    /// What programs read.
    pub layout: KernelLayout,
}

/// What the process may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Effective capabilities, as a mask; `None` when they cannot be read.
    pub capabilities: Option<u64>,
    /// Whether it runs as root, with or without capabilities.
    pub root: bool,
    /// Whether its rights hold in a user namespace only.
    pub user_namespace: bool,
    /// Whether a filter of system calls is upon it.
    pub seccomp: bool,
    /// Whether /proc is mounted so that it shows other users' processes only to who has CAP_SYS_PTRACE.
    pub hidden_proc: bool,
}

/// Why a setting is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is no such file.
    NotThere,
    /// It cannot be read, or is no number.
    Unreadable(String),
}

/// Settings of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf: Result<i64, Unread>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Result<i64, Unread>,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: Result<i64, Unread>,
    /// `net.core.bpf_jit_enable`.
    pub jit: Result<i64, Unread>,
    /// How far root is locked out of the kernel.
    pub lockdown: Lockdown,
}

/// Kernel lockdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// `none`, `integrity` or `confidentiality`.
    Mode(String),
    /// The kernel has none.
    NotBuilt,
    /// securityfs is not mounted.
    NotMounted,
    /// The file cannot be read.
    Unreadable(String),
}

/// What came of making maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    /// Whether the kernel has ring buffers, or the error with which it refuses to say.
    pub ring_buffer: Result<bool, Option<i32>>,
    /// Whether maps count as locked memory.
    pub memlock: Memlock,
}

/// RLIMIT_MEMLOCK and maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memlock {
    /// The limit does not matter (since 5.11).
    Free,
    /// Maps count, up to this many bytes; `None` when the limit could be lifted.
    Counted(Option<u64>),
    /// No map could be made at all.
    Unknown,
}

impl Facts {
    /// The mechanism that is used for a subject: the first of [`Mechanism::ALL`] that works.
    pub fn used(&self, subject: Subject) -> Option<Mechanism> {
        let working = self.trials.iter().filter(|trial| trial.subject == subject && trial.outcome.is_ok());
        Mechanism::ALL.into_iter().find(|mechanism| working.clone().any(|trial| trial.mechanism == *mechanism))
    }

    /// Whether any subject can be traced with tracepoints.
    pub fn tracepoints_work(&self) -> bool {
        self.trials.iter().any(|trial| trial.mechanism == Mechanism::Tracepoint && trial.outcome.is_ok())
    }
}

/// The kernel's release.
pub fn release(root: &Path) -> Option<String> {
    Some(fs::read_to_string(root.join("proc/sys/kernel/osrelease")).ok()?.trim_end().to_owned())
}

impl Types {
    /// What BTF says; and the types themselves, when nothing is missing.
    pub fn read(root: &Path) -> (Self, Option<KnownTypes>) {
        let modules = root.join("sys/kernel/btf");
        let path = modules.join("vmlinux");
        let read = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if !root.join("sys/kernel").exists() => {
                "no /sys/kernel: sysfs is not mounted".to_owned()
            }
            io::ErrorKind::NotFound => BtfError::Missing.to_string(),
            _ => BtfError::Read(error).to_string(),
        });
        let parsed = read.and_then(|data| {
            let bytes = data.len();
            Btf::parse(data).map(|btf| (btf, bytes)).map_err(|error| error.to_string())
        });
        let (btf, bytes) = match parsed {
            Ok(parsed) => parsed,
            Err(reason) => return (Self { btf: Err(reason), layout: None, find_vma: false }, None),
        };
        let layout = kernel_layout(&btf, &modules).map_err(|error| error.to_string());
        let required = FIELDS.iter().filter(|field| field.required).count();
        let members = |layout| Members { required, absent: missing_optional(layout) };
        let types = Self {
            btf: Ok(bytes),
            layout: Some(layout.as_ref().map(members).map_err(Clone::clone)),
            find_vma: btf.function_exists("bpf_find_vma"),
        };
        (types, layout.ok().map(|layout| KnownTypes { path, btf, layout }))
    }
}

impl Rights {
    /// Those of this process. What cannot be read counts as not restricted: the trials have the last word.
    pub fn read(root: &Path) -> Self {
        /// The one line of `/proc/self/uid_map` outside of user namespaces, user_namespaces(7).
        const ALL_USERS: [&str; 3] = ["0", "0", "4294967295"];
        let status = Status::from_file(root.join("proc/self/status")).ok();
        let map = fs::read_to_string(root.join("proc/self/uid_map"));
        Self {
            capabilities: status.as_ref().map(|status| status.capeff),
            root: status.as_ref().is_some_and(|status| status.euid == 0),
            user_namespace: map.is_ok_and(|map| !map.split_whitespace().eq(ALL_USERS)),
            seccomp: status.is_some_and(|status| status.seccomp.unwrap_or(0) != 0),
            hidden_proc: hides_processes(),
        }
    }
}

impl Settings {
    /// Those of the machine.
    pub fn read(root: &Path) -> Self {
        let setting = |name: &str| -> Result<i64, Unread> {
            let text = fs::read_to_string(root.join("proc/sys").join(name)).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Unread::NotThere,
                _ => Unread::Unreadable(words(&error)),
            })?;
            text.trim().parse().map_err(|_| Unread::Unreadable(format!("not a number: {}", text.trim())))
        };
        Self {
            unprivileged_bpf: setting("kernel/unprivileged_bpf_disabled"),
            perf_event_paranoid: setting("kernel/perf_event_paranoid"),
            kptr_restrict: setting("kernel/kptr_restrict"),
            jit: setting("net/core/bpf_jit_enable"),
            lockdown: Lockdown::read(root),
        }
    }
}

impl Lockdown {
    /// The mode in brackets: `none [integrity] confidentiality`.
    fn read(root: &Path) -> Self {
        let directory = root.join("sys/kernel/security");
        match fs::read_to_string(directory.join("lockdown")) {
            Ok(text) => text
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'))
                .map_or_else(|| Self::Unreadable(text.trim().to_owned()), |(mode, _)| Self::Mode(mode.to_owned())),
            // An empty directory is the place where securityfs would be mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
                    true => Self::NotBuilt,
                    false => Self::NotMounted,
                }
            }
            Err(error) => Self::Unreadable(words(&error)),
        }
    }
}

/// The system's words without the number, which means nothing to people.
fn words(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| Errno::from_raw(errno).desc().into())
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
