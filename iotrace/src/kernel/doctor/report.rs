//! The verdict: rows to be shown, and what follows from them.

use crate::kernel::mechanism::{Mechanism, Subject};
use std::fmt;

/// A way into the kernel that is tried; those of [`crate::kernel::mechanism::Mechanism`] are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// BTF tracepoints.
    Tracepoint,
    /// Trampolines at entry and exit of functions: fentry and fexit.
    Fentry,
    /// Breakpoints there: kprobe and kretprobe.
    Kprobe,
}

impl From<Mechanism> for Way {
    fn from(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Tracepoint => Self::Tracepoint,
            Mechanism::Fentry => Self::Fentry,
            Mechanism::Kprobe => Self::Kprobe,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tracepoint => "tracepoint",
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
        })
    }
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Not there.
    Missing,
    /// There, but not for us.
    Refused,
    /// Cannot be found out.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        })
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// Whether tracing is impossible without it.
    pub needed: bool,
    /// What was found, and what it means.
    pub detail: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// A mechanism that was tried for a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The mechanism.
    pub way: Way,
    /// The subject.
    pub subject: Subject,
    /// How it stands.
    pub state: State,
    /// Whether iotrace uses it for this subject on this kernel.
    pub used: bool,
    /// The kernel's error.
    pub errno: Option<i32>,
    /// What was found, and what it means.
    pub detail: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
    /// Whether `iotrace top` can run.
    pub ok: bool,
    /// Why it cannot, or what else cannot run.
    pub problems: Vec<String>,
    /// What to do about these.
    pub advice: Vec<String>,
}

impl Report {
    /// The mechanism that is used for files.
    pub fn mechanism(&self) -> Option<Way> {
        let files = self.attempts.iter().find(|attempt| attempt.used && attempt.subject == Subject::Files);
        files.map(|attempt| attempt.way)
    }
}

/// What the tracepoint mechanism cannot see.
pub const UNSEEN: [&str; 3] = [
    "reads and writes by io_uring (their block requests are seen)",
    "page faults on mapped files (their msync and their block requests are seen)",
    "what the kernel reads and writes by itself: writeback, readahead, swap, NFS server (their block requests are seen)",
];

/// What the tracepoint mechanism costs.
pub const COST: &str = "while tracing files, every system call on this host takes a few dozen nanoseconds longer";
