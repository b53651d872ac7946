//! Which system call numbers count in a run.

mod numbers;

use iotrace_common::call::{self, CallSpec, CallTable, FileCalls, NAMES, NONE, OFFSET_UNKNOWN, SPECS};
use numbers::{COMPAT, NATIVE, OTHERS};

/// The operations on files that a run counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOps {
    /// Bytes in.
    pub read: bool,
    /// Bytes out.
    pub write: bool,
    /// Explicit syncs.
    pub sync: bool,
    /// Opens.
    pub open: bool,
    /// fallocate.
    pub allocate: bool,
    /// truncate and ftruncate.
    pub truncate: bool,
    /// Page faults that bring bytes of a file in, and pages of a mapping that become dirty.
    pub mmap: bool,
    /// unlink and rmdir.
    pub unlink: bool,
    /// rename.
    pub rename: bool,
    /// link.
    pub link: bool,
    /// Calls in which overlayfs may copy a file up.
    pub copy_up: bool,
}

impl FileOps {
    /// All of them. Calls in which only copy-ups count are no operations of their own.
    pub const ALL: Self = Self { open: true, unlink: true, rename: true, link: true, ..Self::FILES };

    /// Those on files that are open or mapped, and truncates by name.
    pub const FILES: Self = Self {
        read: true,
        write: true,
        sync: true,
        open: false,
        allocate: true,
        truncate: true,
        mmap: true,
        unlink: false,
        rename: false,
        link: false,
        copy_up: false,
    };

    /// Whether calls count that give or take names.
    pub fn naming(self) -> bool {
        self.unlink || self.rename || self.link
    }

    /// Whether any operation counts at all.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// The tables for these operations, and whether 32-bit calls are in them.
pub fn table(ops: FileOps) -> (CallTable, bool) {
    let mut table = CallTable::EMPTY;
    for &(number, name) in NATIVE {
        place(&mut table.native, number, select(spec(name), ops));
    }
    for &(number, name) in COMPAT {
        place(&mut table.compat, number, select(compat(spec(name)), ops));
    }
    (table, !COMPAT.is_empty() && ops.any())
}

/// What calls of 64-bit tasks do with the file that is their first argument, if they are about no other.
pub fn file_calls() -> FileCalls {
    let mut table = FileCalls::EMPTY;
    for &(number, name) in NATIVE {
        let spec = spec(name);
        let kind = match (spec.action, spec.read_fd, spec.write_fd) {
            (call::MOVE, 0, NONE) | (call::MOVE, NONE, 0) => call::MOVES_BYTES,
            (call::SYNC, NONE, 0) => call::SYNCS_FILE,
            _ => 0,
        };
        if let Some(entry) = usize::try_from(number).ok().and_then(|number| table.native.get_mut(number)) {
            *entry = kind;
        }
    }
    table
}

/// Names of the calls that count for these operations: of 64-bit tasks, and of 32-bit tasks.
pub fn traced(ops: FileOps) -> (Vec<&'static str>, Vec<&'static str>) {
    let of = |table: &[(libc::c_long, &'static str)]| {
        table.iter().map(|(_, name)| *name).filter(|name| select(spec(name), ops).call != 0).collect()
    };
    (of(NATIVE), of(COMPAT))
}

/// Whether an operation is about names, inodes and directories alone.
pub fn changes_names(operation: &str) -> bool {
    const OTHERWISE: &[&str] = &[
        "close",
        "lseek",
        "ioctl",
        "vmsplice",
        "tee",
        "readahead",
        "fadvise64",
        "madvise",
        "execve",
        "execveat",
        "mount",
        "umount2",
        "io_destroy",
        "io_uring_enter",
        "exit",
        "exit_group",
    ];
    operation == "open"
        || operation == "truncate"
        || call::is_naming(spec(operation).action)
        || OTHERS.iter().any(|(_, name)| *name == operation) && !OTHERWISE.contains(&operation)
}

/// What a thread does in the call with this number: the operation, or the call's own name where it is none that is traced; `None` for
/// a call that is not about files. `compat`: a number of the 32-bit table. `from_file`: of the files of a call, bytes come from the one
/// that is meant.
pub fn operation(number: u32, compat: bool, from_file: bool) -> Option<&'static str> {
    let number = libc::c_long::from(number);
    let named = |table: &[(libc::c_long, &'static str)]| {
        table.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    };
    let Some(name) = named(if compat { COMPAT } else { NATIVE }) else {
        return if compat { None } else { named(OTHERS) };
    };
    Some(match spec(name).action {
        action if call::is_naming(action) => name,
        call::MOVE if from_file => "read",
        call::MOVE => "write",
        call::OPEN => "open",
        call::ALLOCATE => "fallocate",
        call::TRUNCATE | call::TRUNCATE_NAMED => "truncate",
        call::SUBMIT | call::REAP => "aio",
        _ => "fsync",
    })
}

/// How to read the call with this number; untraced, when nobody knows how.
pub fn native(number: u32) -> CallSpec {
    let known = NATIVE.iter().find(|(known, _)| *known == libc::c_long::from(number));
    known.map_or(CallSpec::UNTRACED, |(_, name)| spec(name))
}

/// Whether a call must be seen when it begins, also where times do not count (`is_at_end` of the kernel side).
pub fn must_begin(name: &str) -> bool {
    matches!(spec(name).action, call::SUBMIT | call::SYNC_MAPPING)
}

/// A call that has programs for its usual case: see `quick.rs` of the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quick {
    /// Its number in `iotrace_common::call::NAMES`.
    pub name: u8,
    /// Its number for the kernel.
    pub number: u32,
    /// Which programs.
    pub kind: QuickKind,
}

/// What such a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuickKind {
    /// It reads from its first argument, and nothing else.
    Read,
    /// It writes to its first argument, and nothing else.
    Write,
    /// It syncs its first argument, and nothing else.
    Sync,
    /// It has a name: its beginning only keeps its arguments.
    Named,
}

impl Quick {
    /// Of a native call, where it is such.
    pub fn of(name: &str) -> Option<Self> {
        let CallSpec { call, action, read_fd, write_fd, rw_flags, .. } = spec(name);
        let (number, _) = NATIVE.iter().find(|(_, known)| *known == name)?;
        let number = u32::try_from(*number).ok()?;
        let kind = match (action, read_fd, write_fd, rw_flags) {
            (call::MOVE, 0, NONE, NONE) => QuickKind::Read,
            (call::MOVE, NONE, 0, NONE) => QuickKind::Write,
            (call::SYNC, NONE, 0, NONE) => QuickKind::Sync,
            (call::OPEN | call::TRUNCATE_NAMED, ..) => QuickKind::Named,
            _ => return None,
        };
        Some(Self { name: call, number, kind })
    }
}

fn place(table: &mut [CallSpec], number: libc::c_long, spec: CallSpec) {
    if let Some(slot) = usize::try_from(number).ok().and_then(|number| table.get_mut(number)) {
        *slot = spec;
    }
}

fn spec(name: &str) -> CallSpec {
    let number = NAMES.iter().position(|known| *known == name).unwrap_or_default();
    SPECS.get(number).copied().unwrap_or(CallSpec::UNTRACED)
}

/// The part of a call that counts.
fn select(mut spec: CallSpec, ops: FileOps) -> CallSpec {
    let counts = match spec.action {
        call::OPEN => ops.open,
        call::MOVE => {
            if !ops.read {
                spec.read_fd = NONE;
            }
            if !ops.write {
                spec.write_fd = NONE;
            }
            spec.read_fd != NONE || spec.write_fd != NONE
        }
        call::ALLOCATE => ops.allocate,
        call::TRUNCATE | call::TRUNCATE_NAMED => ops.truncate,
        call::CHANGE => ops.copy_up,
        call::UNLINK => ops.unlink,
        call::RENAME => ops.rename,
        call::LINK => ops.link,
        call::SUBMIT | call::REAP => ops.read || ops.write || ops.sync,
        _ => ops.sync,
    };
    if counts {
        return spec;
    }
    // What it does else does not count.
    match spec.action {
        call::OPEN if ops.copy_up => CallSpec { action: call::CHANGE_OPEN, ..spec },
        action if ops.copy_up && call::copies_up(action) => CallSpec { action: call::CHANGE, ..spec },
        _ => CallSpec::UNTRACED,
    }
}

/// 32-bit tasks pass a position in two arguments, and arrays of another shape.
fn compat(mut spec: CallSpec) -> CallSpec {
    if spec.offset != 0 {
        spec.offset = OFFSET_UNKNOWN;
    }
    spec.short_iovec = 1;
    // A length comes in two arguments there, or the call has no such.
    if matches!(spec.action, call::ALLOCATE | call::TRUNCATE | call::TRUNCATE_NAMED) {
        spec.length = NONE;
    }
    spec
}

/// Name of a call as records give it.
pub fn name(call: u32) -> &'static str {
    usize::try_from(call).ok().and_then(|call| NAMES.get(call)).copied().filter(|name| !name.is_empty()).unwrap_or("?")
}

/// What a call does: `iotrace_common::call::MOVE` and the others; 0 for an unknown one.
pub fn action(call: u32) -> u8 {
    usize::try_from(call).ok().and_then(|call| SPECS.get(call)).map_or(0, |spec| spec.action)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_name_of_the_tables_is_a_call() {
        for &(number, known) in NATIVE.iter().chain(COMPAT) {
            assert_eq!(name(u32::from(spec(known).call)), known, "number {number}");
        }
    }

    #[test]
    fn quick_calls_are_those_of_one_descriptor_and_those_with_a_name() {
        let of = |kind| {
            let is_of = move |name: &&str| Quick::of(name).is_some_and(|quick| quick.kind == kind);
            NATIVE.iter().map(|(_, name)| *name).filter(is_of).collect::<Vec<_>>()
        };
        assert_eq!(of(QuickKind::Read), ["read", "pread64", "readv", "preadv"]);
        assert_eq!(of(QuickKind::Write), ["write", "pwrite64", "writev", "pwritev"]);
        assert_eq!(of(QuickKind::Sync), ["fsync", "fdatasync", "sync_file_range"]);
        assert_eq!(of(QuickKind::Named).len(), if cfg!(target_arch = "x86_64") { 6 } else { 4 });
    }

    #[test]
    fn only_the_wanted_side_of_a_call_counts() {
        let (table, _) = table(FileOps { read: true, ..FileOps::default() });
        let sendfile = table.native[usize::try_from(libc::SYS_sendfile).unwrap()];
        assert_eq!((sendfile.read_fd, sendfile.write_fd), (1, NONE));
        assert_eq!(table.native[usize::try_from(libc::SYS_write).unwrap()], CallSpec::UNTRACED);
        assert_eq!(table.native[usize::try_from(libc::SYS_fsync).unwrap()], CallSpec::UNTRACED);
    }

    #[test]
    fn of_copy_ups_alone_nothing_else_of_a_call_counts() {
        let action = |ops, number: libc::c_long| table(ops).0.native[usize::try_from(number).unwrap()].action;
        let copy_ups = FileOps { copy_up: true, ..FileOps::default() };
        assert_eq!(action(copy_ups, libc::SYS_openat), call::CHANGE_OPEN);
        assert_eq!(action(copy_ups, libc::SYS_truncate), call::CHANGE);
        assert_eq!(action(copy_ups, libc::SYS_ftruncate), 0);
        assert_eq!(action(FileOps { open: true, ..copy_ups }, libc::SYS_openat), call::OPEN);
        assert_eq!(action(FileOps { open: true, ..FileOps::default() }, libc::SYS_fchmod), 0);
    }
}
