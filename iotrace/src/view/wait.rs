//! What threads were blocked on: sums and waits in progress in, rows out.

use crate::{
    event::Comm,
    kernel::{
        calls,
        reasons::Reason,
        waits::{Verdict, Wait},
    },
    resolve::names::Names,
    view::{
        group::{Key, row_of},
        select::Selection,
        top::{By, Delta, Row},
    },
};
use iotrace_common::{
    sum::Counters,
    thread::COMPAT_NUMBER,
    wait::{FROM_FILE, IOWAIT, NO_CALL, WaitKey},
};
use std::{cmp::Reverse, collections::HashMap};

/// `/proc` tells the start of a process in steps of this, the kernel exactly.
const TICK_NS: u64 = 10_000_000;
/// Operation of what is in no call.
pub const FAULT: &str = "fault";

/// What one thread waited in one place since the last look.
#[derive(Clone, Debug)]
pub struct WaitDelta {
    /// Whose, which file. Its counters are empty.
    pub delta: Delta,
    /// `read`, `write`, `fsync`, `open`, `fault`, ..., or the name of another call.
    pub op: &'static str,
    /// What for; `None` when it is not known.
    pub reason: Option<Reason>,
    /// The function of the kernel that says so.
    pub function: Option<&'static str>,
    /// Sleeps that ended.
    pub waits: u64,
    /// How long, those included that have not ended, nanoseconds.
    pub ns: u64,
    /// The longest, nanoseconds; of those in progress, so far. 0 when all were shorter than one of an earlier look.
    pub max_ns: u64,
    /// It waits still.
    pub waiting: bool,
    /// The thread that had the lock.
    pub holder: Option<u32>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaitRow {
    /// Who, which file. Its counters are empty.
    pub row: Row,
    /// As in [`WaitDelta`].
    pub op: &'static str,
    /// What for; `None` when it is not known.
    pub reason: Option<Reason>,
    /// The function of the kernel that says so; of several, that with the longest time.
    pub function: Option<&'static str>,
    /// Sleeps that ended.
    pub waits: u64,
    /// How long, of all threads together, nanoseconds.
    pub ns: u64,
    /// The longest, nanoseconds, as in [`WaitDelta`].
    pub max_ns: u64,
    /// Threads that wait still.
    pub waiting: u64,
    /// The thread that had the lock.
    pub holder: Option<Holder>,
    /// The pipe, by device and inode.
    pub pipe: Option<(u32, u64)>,
    /// Who has the other end of the pipe; `None` when nobody has looked.
    pub peers: Option<Vec<Peer>>,
}

/// A thread that had a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Thread id.
    pub tid: u32,
    /// Its process and its name, when somebody looked and it was there.
    pub found: Option<(u32, Vec<u8>)>,
}

/// A process at the other end of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub comm: Vec<u8>,
    /// `running`, `sleeping`, `blocked`, `stopped`, `zombie` or `gone`.
    pub state: &'static str,
}

/// A sum as it was at the last look.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    waits: u64,
    ns: u64,
    max_ns: u64,
}

/// Turns cumulative sums into what came since the last look.
#[derive(Debug, Default)]
pub struct Waits {
    before: HashMap<WaitKey, Before>,
    /// Sockets and devices count too, and what waits in no call on a file.
    all: bool,
    /// Shorter waits do not count, nanoseconds.
    min_ns: u64,
}

impl Waits {
    /// `all`: what is no I/O of files counts too. `min_ns`: waits in progress that are shorter do not.
    #[must_use]
    pub fn new(all: bool, min_ns: u64) -> Self {
        Self { all, min_ns, ..Self::default() }
    }

    /// What came since the last call, until `now_ns` of CLOCK_MONOTONIC, of what passes the selection.
    pub fn since(
        &mut self,
        waits: impl IntoIterator<Item = Wait>,
        now_ns: u64,
        names: &mut Names,
        selection: &Selection,
    ) -> Vec<WaitDelta> {
        let mut deltas = Vec::new();
        for wait in waits {
            let so_far = wait.since_ns.map_or(0, |since_ns| now_ns.saturating_sub(since_ns));
            let so_far = if so_far < self.min_ns { 0 } else { so_far };
            let now = Before {
                waits: wait.sum.count,
                ns: wait.sum.ns.saturating_add(so_far),
                max_ns: wait.sum.max_ns.max(so_far),
            };
            let before = self.before.get(&wait.key).copied().unwrap_or_default();
            // What was in progress may have been read as longer than it was.
            let kept = Before { ns: now.ns.max(before.ns), ..now };
            self.before.insert(wait.key, kept);
            let (ns, ended) = (kept.ns - before.ns, now.waits.saturating_sub(before.waits));
            if ns == 0 && ended == 0 {
                continue;
            }
            let Some(mut delta) = self.judge(&wait, names) else { continue };
            let path = delta.delta.file.as_ref().and_then(|file| file.file.path.as_deref());
            if !selection.path(path) || !selection.process(delta.delta.process.as_deref()) {
                continue;
            }
            delta.ns = ns;
            delta.waits = ended;
            delta.max_ns = if now.max_ns > before.max_ns { now.max_ns } else { 0 };
            deltas.push(delta);
        }
        deltas
    }

    /// Whose wait it is, in which operation and what for; `None` when it is none for I/O.
    fn judge(&self, wait: &Wait, names: &mut Names) -> Option<WaitDelta> {
        let key = &wait.key;
        let file = names.file(key.file).cloned();
        let mode = file.as_ref().map(|file| file.file.key.mode());
        let compat = key.number & COMPAT_NUMBER != 0;
        let op = match key.number {
            NO_CALL => Some(FAULT),
            number => calls::operation(number & !COMPAT_NUMBER, compat, key.flags & FROM_FILE != 0),
        };
        let reason = reason(wait.verdict, op, key.flags, mode);
        let of_files = op.is_some_and(|op| op != FAULT);
        let counts = match reason {
            // A lock or an unknown sleep in a call that has nothing to do with files is none for I/O.
            None | Some(Reason::Lock) => of_files || (op == Some(FAULT) && reason.is_some()),
            Some(_) => true,
        };
        if !(counts || self.all) {
            return None;
        }
        let process = names.process(key.pid, Some(key.process_start_ns));
        let delta = Delta {
            slot: 0,
            pid: key.pid,
            tid: key.tid,
            comm: wait.comm(),
            process,
            process_start_ns: key.process_start_ns - key.process_start_ns % TICK_NS,
            inode: file.as_ref().filter(|file| file.file.key.mode() != 0).map(|file| {
                let key = &file.file.key;
                (key.dev, key.ino)
            }),
            file,
            everything: false,
            counters: Counters::default(),
        };
        Some(WaitDelta {
            delta,
            op: op.unwrap_or("other"),
            reason,
            function: wait.verdict.map(|(function, _)| function),
            waits: 0,
            ns: 0,
            max_ns: 0,
            waiting: wait.since_ns.is_some(),
            holder: Some(wait.sum.holder).filter(|holder| *holder != 0 && reason == Some(Reason::Lock)),
        })
    }

    /// Forgets threads that are gone. `exists` says whether a process has a thread. What they waited comes no more.
    pub fn forget(&mut self, exists: impl Fn(u32, u32) -> bool) -> Vec<WaitKey> {
        let gone: Vec<WaitKey> = self.before.keys().filter(|key| !exists(key.pid, key.tid)).copied().collect();
        for key in &gone {
            self.before.remove(key);
        }
        gone
    }

    /// Sums that were ever seen.
    #[must_use]
    pub fn used(&self) -> usize {
        self.before.len()
    }
}

/// What is waited for: what the stack says, and where that is only that it is I/O, what the call does.
fn reason(verdict: Verdict, op: Option<&str>, flags: u32, mode: Option<u32>) -> Option<Reason> {
    let from_file = flags & FROM_FILE != 0;
    match (verdict.map(|(_, reason)| reason), op) {
        (Some(Reason::Io), Some("read")) => Some(Reason::Read),
        (Some(Reason::Io), Some("write")) => Some(Reason::Write),
        (Some(Reason::Io), Some("fsync")) => Some(Reason::Writeback),
        (Some(Reason::Io), Some(FAULT)) => Some(Reason::PageFault),
        // What moves no bytes of files waits for inodes, directories and block maps.
        (Some(Reason::Io), Some(op)) if calls::changes_names(op) => Some(Reason::Metadata),
        (Some(reason), _) => Some(reason),
        (None, _) => match mode {
            Some(libc::S_IFIFO) if from_file => Some(Reason::PipeEmpty),
            Some(libc::S_IFIFO) => Some(Reason::PipeFull),
            Some(libc::S_IFSOCK) => Some(Reason::Socket),
            Some(libc::S_IFCHR) => Some(Reason::Device),
            // The stack could not be read, or no function on it is known.
            _ => (flags & IOWAIT != 0).then_some(Reason::Io),
        },
    }
}

/// A row, and the longest time of one function.
#[derive(Default)]
struct Group {
    row: WaitRow,
    longest_ns: u64,
}

/// Groups by what rows are of, the operation and what it waits for; the longest first, and last who waits for somebody to write to a
/// pipe: mostly that has nothing to do.
#[must_use]
pub fn rows(deltas: &[WaitDelta], by: By) -> Vec<WaitRow> {
    let mut groups: HashMap<(Key, &str, Option<Reason>), Group> = HashMap::new();
    for wait in deltas {
        let (key, row) = row_of(&wait.delta, by);
        let group = groups.entry((key, wait.op, wait.reason)).or_insert_with(|| {
            let file = wait.delta.file.as_ref().filter(|_| row.path.is_some());
            let pipe = file.filter(|file| file.file.key.mode() == libc::S_IFIFO);
            let pipe = pipe.map(|file| (file.file.key.dev, file.file.key.ino));
            let row = WaitRow { row, op: wait.op, reason: wait.reason, pipe, ..WaitRow::default() };
            Group { row, longest_ns: 0 }
        });
        let row = &mut group.row;
        row.waits += wait.waits;
        row.ns += wait.ns;
        row.max_ns = row.max_ns.max(wait.max_ns);
        row.waiting += u64::from(wait.waiting);
        if let Some(holder) = wait.holder {
            row.holder = Some(Holder { tid: holder, found: None });
        }
        if row.row.ino != wait.delta.inode.map(|(_, ino)| ino) {
            row.row.ino = None;
        }
        if row.function.is_none() || wait.ns > group.longest_ns {
            group.longest_ns = wait.ns;
            row.function = wait.function.or(row.function);
        }
    }
    let mut rows: Vec<WaitRow> = groups.into_values().map(|group| group.row).collect();
    rows.sort_by(|a, b| {
        let idle = |row: &WaitRow| row.reason == Some(Reason::PipeEmpty);
        let order = |row: &WaitRow| (idle(row), Reverse(row.ns), row.row.pid, row.row.tid, row.op, row.reason);
        order(a).cmp(&order(b)).then_with(|| a.row.path.cmp(&b.row.path))
    });
    rows
}

/// Processes that wait at the other end of each pipe, by what they waited themselves.
#[must_use]
pub fn opposite(deltas: &[WaitDelta], row: &WaitRow) -> Vec<(u32, Comm)> {
    let (Some(pipe), Some(reason)) = (row.pipe, row.reason) else { return Vec::new() };
    let opposite = |wait: &&WaitDelta| {
        let same = wait.delta.inode == Some(pipe);
        same && wait.reason.is_some_and(|other| other != reason && other.is_pipe())
    };
    let mut found: Vec<(u32, Comm)> = deltas
        .iter()
        .filter(opposite)
        .map(|wait| {
            let process = wait.delta.process.as_ref();
            (wait.delta.pid, process.map_or(wait.delta.comm, |process| process.process.comm))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
