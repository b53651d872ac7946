//! The system calls `bpf(2)` and `perf_event_open(2)`, where aya has no way to say what is needed: one program at many functions.

use aya_obj::generated::{bpf_attr, bpf_cmd};
use std::{
    ffi::{CStr, c_int, c_long},
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// An argument of bpf(2) whose bytes are all zero.
pub fn attributes() -> bpf_attr {
    // SAFETY: a union of plain numbers: all zero is a value of each.
    unsafe { std::mem::zeroed() }
}

/// bpf(2).
///
/// # Errors
///
/// The kernel's.
///
/// # Safety
///
/// What `attr` points to must be valid for the command.
pub unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<c_long> {
    loop {
        // SAFETY: the caller's promise; `attr` is as long as said.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command as c_int, &raw mut *attr, size_of::<bpf_attr>()) };
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        // The verifier gives up for a moment when a signal is pending (EAGAIN).
        if error.raw_os_error() != Some(libc::EAGAIN) {
            return Err(error);
        }
    }
}

/// bpf(2) for a command that gives a descriptor.
///
/// # Errors
///
/// The kernel's.
///
/// # Safety
///
/// As [`bpf`].
pub unsafe fn bpf_fd(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    own(fd)
}

/// `struct perf_event_attr` of include/uapi/linux/perf_event.h, PERF_ATTR_SIZE_VER1, with the names that probes give its fields.
#[repr(C)]
#[derive(Default)]
struct ProbeAttributes {
    kind: u32,
    size: u32,
    /// Bit 0: at the function's return.
    config: u64,
    sample: [u64; 3],
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    function: u64,
    offset: u64,
}

/// Makes a kprobe, or a kretprobe, at a function. It runs nothing yet.
///
/// # Errors
///
/// The kernel's.
pub fn probe(kind: u32, function: &CStr, at_return: bool) -> io::Result<OwnedFd> {
    let attr = ProbeAttributes {
        kind,
        size: size_of::<ProbeAttributes>() as u32,
        config: u64::from(at_return),
        function: function.as_ptr() as u64,
        ..ProbeAttributes::default()
    };
    let (everybody, cpu, no_group): (libc::pid_t, c_int, c_int) = (-1, 0, -1);
    // PERF_FLAG_FD_CLOEXEC of include/uapi/linux/perf_event.h.
    let flags: c_long = 8;
    // SAFETY: `attr` and the name outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, everybody, cpu, no_group, flags) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { own(fd) }
}

/// Lets a probe run a program.
///
/// # Errors
///
/// The kernel's.
pub fn enable_probe(probe: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    /// PERF_EVENT_IOC_SET_BPF and PERF_EVENT_IOC_ENABLE of include/uapi/linux/perf_event.h.
    const SET_BPF: libc::Ioctl = 0x4004_2408_u32 as libc::Ioctl;
    const ENABLE: libc::Ioctl = 0x2400;
    // SAFETY: both descriptors are open, and the requests take a number.
    unsafe {
        if libc::ioctl(probe.as_raw_fd(), SET_BPF, program.as_raw_fd()) < 0
            || libc::ioctl(probe.as_raw_fd(), ENABLE, 0) < 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn own(fd: c_long) -> io::Result<OwnedFd> {
    let fd = c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: a system call has just given it to this process, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
