//! Numbers of system calls, by name.

/// SYS_io_pgetevents, which libc lacks (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
const IO_PGETEVENTS: libc::c_long = if cfg!(target_arch = "x86_64") { 333 } else { 292 };

/// Calls that libc lacks; since 5.8 numbers are the same everywhere (scripts/syscall.tbl).
const FCHMODAT2: libc::c_long = 452;
const SETXATTRAT: libc::c_long = 463;
const REMOVEXATTRAT: libc::c_long = 466;
const FILE_SETATTR: libc::c_long = 469;

/// Calls that count: numbers of this architecture.
pub(super) const NATIVE: &[(libc::c_long, &str)] = &[
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

/// The same, of 32-bit tasks (arch/x86/entry/syscalls/syscall_32.tbl).
#[cfg(target_arch = "x86_64")]
pub(super) const COMPAT: &[(libc::c_long, &str)] = &[
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
pub(super) const COMPAT: &[(libc::c_long, &str)] = &[];

/// Other calls that may wait for a file system, of 64-bit tasks.
pub(super) const OTHERS: &[(libc::c_long, &str)] = &[
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
