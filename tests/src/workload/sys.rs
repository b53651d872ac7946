//! System calls by number, and the few others that the scenarios need. What returns `i64` returns the kernel's own value:
//! a result, or a negated errno.

use std::{ffi::CString, os::unix::ffi::OsStrExt, path::Path};

/// Makes a system call; arguments are numbers or addresses.
macro_rules! syscall {
    ($number:expr $(, $arg:expr)* $(,)?) => {{
        // SAFETY: an argument is a number or the address of memory that outlives the call; bad ones are passed on purpose,
        // and are the kernel's to refuse.
        let ret = unsafe { libc::syscall($number $(, $arg as usize)*) };
        if ret == -1 { -i64::from($crate::workload::sys::errno()) } else { ret }
    }};
}
pub(crate) use syscall;

/// The calling thread's errno.
pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Stops the workload when a call that only prepares the scene fails.
#[track_caller]
pub fn must(ret: i64, what: &str) -> i64 {
    assert!(ret >= 0, "{what}: {}", std::io::Error::from_raw_os_error(-ret as i32));
    ret
}

/// A path for the kernel.
pub fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

/// `struct stat` of a descriptor, zeros when it is not open.
pub fn stat(fd: i32) -> libc::stat {
    // SAFETY: zeros are a value of this plain structure.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call.
    unsafe { libc::fstat(fd, &mut stat) };
    stat
}

/// The path of the mount that a file lies on: the highest directory above it with the same mount id.
pub fn mount_of(path: &Path) -> std::path::PathBuf {
    let id = |path: &Path| {
        // SAFETY: zeros are a value of this plain structure.
        let mut stat: libc::statx = unsafe { std::mem::zeroed() };
        let path = c(path);
        must(syscall!(libc::SYS_statx, libc::AT_FDCWD, path.as_ptr(), 0, libc::STATX_MNT_ID, &raw mut stat), "statx");
        stat.stx_mnt_id
    };
    let own = id(path);
    path.ancestors().take_while(|above| id(above) == own).last().unwrap().to_path_buf()
}

/// Runs `body` in a forked child and waits for it.
pub fn child(body: impl FnOnce()) {
    reap(fork(body));
}

/// Runs `body` in a forked child; returns its pid.
pub fn fork(body: impl FnOnce()) -> i32 {
    // SAFETY: the child uses only memory and system calls; the C library's allocator survives a fork.
    match unsafe { libc::fork() } {
        0 => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            exit(if ended.is_ok() { 0 } else { 101 })
        }
        pid => must(i64::from(pid), "fork") as i32,
    }
}

/// Ends the process at once.
pub fn exit(status: i32) -> ! {
    // SAFETY: ends the process without running anything.
    unsafe { libc::_exit(status) }
}

/// Waits for a child that has to succeed.
pub fn reap(pid: i32) {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let ended = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!((ended, status), (pid, 0), "a child failed");
}

/// Two ends of a pipe: read, write.
pub fn pipe() -> (i32, i32) {
    let mut ends = [0i32; 2];
    must(syscall!(libc::SYS_pipe2, ends.as_mut_ptr(), libc::O_CLOEXEC), "pipe");
    (ends[0], ends[1])
}

/// Two ends of a stream socket.
pub fn socketpair() -> (i32, i32) {
    let mut ends = [0i32; 2];
    must(syscall!(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()), "socketpair");
    (ends[0], ends[1])
}

/// Moves to an own mount namespace from which nothing gets out.
pub fn private_mounts() {
    must(syscall!(libc::SYS_unshare, libc::CLONE_NEWNS), "unshare");
    must(mount("", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, ""), "private mounts");
}

/// mount(2).
pub fn mount(source: impl AsRef<Path>, target: &Path, kind: &str, flags: u64, data: &str) -> i64 {
    let (source, target, kind, data) = (c(source), c(target), c(kind), c(data));
    syscall!(libc::SYS_mount, source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr())
}

/// Memory of its own pages, for as long as the process lives.
pub fn memory(len: usize) -> usize {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    must(syscall!(libc::SYS_mmap, 0, len, access, flags, -1i32, 0), "mmap") as usize
}

/// The size of a page.
pub fn page_size() -> usize {
    // SAFETY: asks for a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// The calling thread's name.
pub fn comm() -> String {
    let mut name = [0u8; 16];
    syscall!(libc::SYS_prctl, libc::PR_GET_NAME, name.as_mut_ptr());
    String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap()).into_owned()
}
