//! The verdict: rows to be shown, and what follows from them.

use crate::kernel::mechanism::{Mechanism, Subject};
use std::fmt;

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
    pub mechanism: Mechanism,
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
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.used(Subject::Files)
    }

    /// The mechanism that is used for a subject.
    pub fn used(&self, subject: Subject) -> Option<Mechanism> {
        let used = self.attempts.iter().find(|attempt| attempt.used && attempt.subject == subject);
        used.map(|attempt| attempt.mechanism)
    }

    /// What is not seen, where files are.
    pub fn unseen(&self) -> Vec<&'static str> {
        if self.mechanism().is_none() {
            return Vec::new();
        }
        let seen = |subject| self.used(subject).is_some();
        let mut unseen = vec![
            if seen(Subject::Uring) {
                "requests of io_uring other than read, write, fsync and sync_file_range, and those with \
                 IOSQE_CQE_SKIP_SUCCESS"
            } else {
                "requests of io_uring (their block requests are seen)"
            },
            "AIO of 32-bit programs, and results of AIO that programs take from the ring in their own memory",
            if seen(Subject::Mmap) {
                "page faults inside calls on files of overlayfs"
            } else {
                "page faults of mapped files (their msync and their block requests are seen)"
            },
            "what the kernel reads and writes by itself: writeback, readahead, swap, NFS server (their block requests are \
             seen)",
        ];
        if !seen(Subject::Flushes) {
            unseen.push("who asks for flushes");
        }
        if !seen(Subject::Dirtiers) {
            unseen.push("who made pages dirty that block requests write");
        }
        match self.used(Subject::CopyUps) {
            Some(Mechanism::Fentry | Mechanism::Kprobe) => {}
            Some(Mechanism::Tracepoint) => {
                unseen.push("copy-ups of overlayfs that fail, or that ioctl or io_uring cause")
            }
            None => unseen.push("copy-ups of overlayfs"),
        }
        if !seen(Subject::Waits) {
            unseen.push("what threads wait for (iotrace wait)");
        }
        unseen
    }
}

/// What a mechanism for files costs.
pub fn cost(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Fentry | Mechanism::Kprobe => {
            "while tracing files, the system calls that are traced take longer, on the whole host; all others cost nothing"
        }
        Mechanism::Tracepoint => {
            "while tracing files, every system call on this host takes a few dozen nanoseconds longer"
        }
    }
}
