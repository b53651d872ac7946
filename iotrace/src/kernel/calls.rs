//! Which system call numbers count in a run.

use iotrace_common::call::{self, CallSpec, CallTable, FileCalls, NAMES, NONE, OFFSET_UNKNOWN, SPECS};

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

/// SYS_io_pgetevents, which libc lacks (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
const IO_PGETEVENTS: libc::c_long = if cfg!(target_arch = "x86_64") { 333 } else { 292 };

/// Calls that libc lacks; since 5.8 numbers are the same everywhere (scripts/syscall.tbl).
const FCHMODAT2: libc::c_long = 452;
const SETXATTRAT: libc::c_long = 463;
const REMOVEXATTRAT: libc::c_long = 466;
const FILE_SETATTR: libc::c_long = 469;

/// System call numbers of this architecture.
const NATIVE: &[(libc::c_long, &str)] = &[
    (libc::SYS_read, "read"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_preadv, "preadv"),
    (libc::SYS_preadv2, "preadv2"),
    (libc::SYS_write, "write"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwritev, "pwritev"),
    (libc::SYS_pwritev2, "pwritev2"),
    (libc::SYS_sendfile, "sendfile"),
    (libc::SYS_splice, "splice"),
    (libc::SYS_copy_file_range, "copy_file_range"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_sync_file_range, "sync_file_range"),
    (libc::SYS_msync, "msync"),
    (libc::SYS_syncfs, "syncfs"),
    (libc::SYS_sync, "sync"),
    (libc::SYS_fallocate, "fallocate"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_truncate, "truncate"),
    (libc::SYS_io_submit, "io_submit"),
    (libc::SYS_io_getevents, "io_getevents"),
    (IO_PGETEVENTS, "io_pgetevents"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, "open"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_openat2, "openat2"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, "creat"),
    (libc::SYS_open_by_handle_at, "open_by_handle_at"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, "chmod"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_fchmodat, "fchmodat"),
    (FCHMODAT2, "fchmodat2"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chown, "chown"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lchown, "lchown"),
    (libc::SYS_fchown, "fchown"),
    (libc::SYS_fchownat, "fchownat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_utime, "utime"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_utimes, "utimes"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_futimesat, "futimesat"),
    (libc::SYS_utimensat, "utimensat"),
    (libc::SYS_setxattr, "setxattr"),
    (libc::SYS_lsetxattr, "lsetxattr"),
    (libc::SYS_fsetxattr, "fsetxattr"),
    (SETXATTRAT, "setxattrat"),
    (libc::SYS_removexattr, "removexattr"),
    (libc::SYS_lremovexattr, "lremovexattr"),
    (libc::SYS_fremovexattr, "fremovexattr"),
    (REMOVEXATTRAT, "removexattrat"),
    (FILE_SETATTR, "file_setattr"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_mkdirat, "mkdirat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, "mknod"),
    (libc::SYS_mknodat, "mknodat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, "symlink"),
    (libc::SYS_symlinkat, "symlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, "rmdir"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, "link"),
    (libc::SYS_linkat, "linkat"),
];

/// Numbers of 32-bit tasks (arch/x86/entry/syscalls/syscall_32.tbl).
#[cfg(target_arch = "x86_64")]
const COMPAT: &[(libc::c_long, &str)] = &[
    (3, "read"),
    (4, "write"),
    (5, "open"),
    (8, "creat"),
    (9, "link"),
    (10, "unlink"),
    (38, "rename"),
    (40, "rmdir"),
    (36, "sync"),
    (92, "truncate"),
    (93, "ftruncate"),
    (118, "fsync"),
    (144, "msync"),
    (145, "readv"),
    (146, "writev"),
    (148, "fdatasync"),
    (180, "pread64"),
    (181, "pwrite64"),
    (187, "sendfile"),
    (239, "sendfile"),
    (193, "truncate"),
    (194, "ftruncate"),
    (295, "openat"),
    (301, "unlinkat"),
    (302, "renameat"),
    (303, "linkat"),
    (313, "splice"),
    (314, "sync_file_range"),
    (324, "fallocate"),
    (333, "preadv"),
    (334, "pwritev"),
    (342, "open_by_handle_at"),
    (344, "syncfs"),
    (353, "renameat2"),
    (377, "copy_file_range"),
    (378, "preadv2"),
    (379, "pwritev2"),
    (437, "openat2"),
    (14, "mknod"),
    (15, "chmod"),
    (30, "utime"),
    (39, "mkdir"),
    (83, "symlink"),
    (94, "fchmod"),
    (198, "lchown"),
    (207, "fchown"),
    (212, "chown"),
    (226, "setxattr"),
    (227, "lsetxattr"),
    (228, "fsetxattr"),
    (235, "removexattr"),
    (236, "lremovexattr"),
    (237, "fremovexattr"),
    (271, "utimes"),
    (296, "mkdirat"),
    (297, "mknodat"),
    (298, "fchownat"),
    (299, "futimesat"),
    (304, "symlinkat"),
    (306, "fchmodat"),
    (320, "utimensat"),
    (412, "utimensat"),
    (FCHMODAT2, "fchmodat2"),
    (SETXATTRAT, "setxattrat"),
    (REMOVEXATTRAT, "removexattrat"),
    (FILE_SETATTR, "file_setattr"),
];
/// On other architectures 32-bit tasks are not told apart yet.
#[cfg(not(target_arch = "x86_64"))]
const COMPAT: &[(libc::c_long, &str)] = &[];

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

/// Other calls that may wait for a file system: of 64-bit tasks.
const OTHERS: &[(libc::c_long, &str)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_mkdirat, "mkdirat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, "symlink"),
    (libc::SYS_symlinkat, "symlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_readlink, "readlink"),
    (libc::SYS_readlinkat, "readlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, "mknod"),
    (libc::SYS_mknodat, "mknodat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, "stat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat, "lstat"),
    (libc::SYS_fstat, "fstat"),
    (libc::SYS_newfstatat, "newfstatat"),
    (libc::SYS_statx, "statx"),
    (libc::SYS_statfs, "statfs"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_access, "access"),
    (libc::SYS_faccessat, "faccessat"),
    (libc::SYS_faccessat2, "faccessat2"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_getdents, "getdents"),
    (libc::SYS_getdents64, "getdents64"),
    (libc::SYS_chdir, "chdir"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, "chmod"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_fchmodat, "fchmodat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chown, "chown"),
    (libc::SYS_fchown, "fchown"),
    (libc::SYS_fchownat, "fchownat"),
    (libc::SYS_utimensat, "utimensat"),
    (libc::SYS_setxattr, "setxattr"),
    (libc::SYS_getxattr, "getxattr"),
    (libc::SYS_close, "close"),
    (libc::SYS_lseek, "lseek"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_vmsplice, "vmsplice"),
    (libc::SYS_tee, "tee"),
    (libc::SYS_readahead, "readahead"),
    (libc::SYS_fadvise64, "fadvise64"),
    (libc::SYS_madvise, "madvise"),
    (libc::SYS_execve, "execve"),
    (libc::SYS_execveat, "execveat"),
    (libc::SYS_mount, "mount"),
    (libc::SYS_umount2, "umount2"),
    (libc::SYS_io_destroy, "io_destroy"),
    (libc::SYS_io_uring_enter, "io_uring_enter"),
    (libc::SYS_exit, "exit"),
    (libc::SYS_exit_group, "exit_group"),
];

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
