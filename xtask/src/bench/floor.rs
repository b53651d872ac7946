//! The floor: programs that return at once, at the places where iotrace puts its own.

use std::ffi::{CString, c_long};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

use super::btf::Btf;

/// Functions of the calls that the load makes, but for getppid.
#[cfg(target_arch = "x86_64")]
const FUNCTIONS: &[&str] = &["__x64_sys_pwrite64", "__x64_sys_pread64", "__x64_sys_openat", "__x64_sys_fsync"];
#[cfg(not(target_arch = "x86_64"))]
const FUNCTIONS: &[&str] = &["__arm64_sys_pwrite64", "__arm64_sys_pread64", "__arm64_sys_openat", "__arm64_sys_fsync"];

/// Where empty programs are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// fentry and fexit of the calls' functions.
    Fentry,
    /// kprobe.multi and its return at the same.
    Kprobe,
    /// Entry and exit of every system call.
    Calls,
    /// Issue and completion of block requests.
    Block,
}

/// Attached programs; dropped, they are gone.
pub(crate) struct Attached {
    _descriptors: Vec<OwnedFd>,
}

/// include/uapi/linux/bpf.h: `enum bpf_cmd`, `bpf_prog_type` and `bpf_attach_type`.
mod uapi {
    pub(super) const PROG_LOAD: i32 = 5;
    pub(super) const RAW_TRACEPOINT_OPEN: i32 = 17;
    pub(super) const LINK_CREATE: i32 = 28;
    pub(super) const KPROBE: u32 = 2;
    pub(super) const TRACING: u32 = 26;
    pub(super) const RAW_TP: u32 = 23;
    pub(super) const FENTRY: u32 = 24;
    pub(super) const FEXIT: u32 = 25;
    pub(super) const KPROBE_MULTI: u32 = 42;
}

impl Floor {
    /// Loads and attaches.
    pub(crate) fn attach(self) -> Result<Attached> {
        let mut descriptors = Vec::new();
        match self {
            Self::Fentry => {
                let btf = Btf::read()?;
                for name in FUNCTIONS {
                    let function = btf.function(name)?;
                    for when in [uapi::FEXIT, uapi::FENTRY] {
                        descriptors.extend(trace(when, function).context(*name)?);
                    }
                }
            }
            Self::Kprobe => {
                for at_return in [true, false] {
                    let program = load(uapi::KPROBE, uapi::KPROBE_MULTI, 0).context("load")?;
                    descriptors.push(probe(&program, at_return).context("kprobe.multi")?);
                    descriptors.push(program);
                }
            }
            Self::Calls => descriptors.extend(tracepoints(&["sys_exit", "sys_enter"])?),
            Self::Block => descriptors.extend(tracepoints(&["block_rq_complete", "block_rq_issue"])?),
        }
        Ok(Attached { _descriptors: descriptors })
    }
}

fn tracepoints(names: &[&str]) -> Result<Vec<OwnedFd>> {
    let btf = Btf::read()?;
    let mut descriptors = Vec::new();
    for name in names {
        descriptors.extend(trace(uapi::RAW_TP, btf.tracepoint(name)?).with_context(|| (*name).to_owned())?);
    }
    Ok(descriptors)
}

/// Link and program.
fn trace(when: u32, target: u32) -> io::Result<[OwnedFd; 2]> {
    let program = load(uapi::TRACING, when, target)?;
    let mut attr = Attributes::default();
    attr.put32(8, program.as_raw_fd() as u32);
    Ok([attr.call(uapi::RAW_TRACEPOINT_OPEN)?, program])
}

fn load(kind: u32, when: u32, target: u32) -> io::Result<OwnedFd> {
    /// `r0 = 0` and `exit`.
    const INSTRUCTIONS: [u64; 2] = [0xb7, 0x95];
    let mut attr = Attributes::default();
    attr.put32(0, kind);
    attr.put32(4, INSTRUCTIONS.len() as u32);
    attr.put64(8, INSTRUCTIONS.as_ptr() as u64);
    attr.put64(16, c"GPL".as_ptr() as u64);
    attr.put32(68, when); // expected_attach_type
    attr.put32(108, target); // attach_btf_id
    attr.call(uapi::PROG_LOAD)
}

fn probe(program: &OwnedFd, at_return: bool) -> io::Result<OwnedFd> {
    let names: Vec<_> = FUNCTIONS.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let pointers: Vec<u64> = names.iter().map(|name| name.as_ptr() as u64).collect();
    let mut attr = Attributes::default();
    attr.put32(0, program.as_raw_fd() as u32);
    attr.put32(8, uapi::KPROBE_MULTI);
    attr.put32(16, at_return.into());
    attr.put32(20, pointers.len() as u32);
    attr.put64(24, pointers.as_ptr() as u64);
    attr.call(uapi::LINK_CREATE)
}

/// `union bpf_attr`, by offsets.
struct Attributes([u8; 128]);

impl Default for Attributes {
    fn default() -> Self {
        Self([0; 128])
    }
}

impl Attributes {
    fn put32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn put64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }

    /// bpf(2), for a descriptor. What the attributes point to is alive in the callers.
    fn call(&mut self, command: i32) -> io::Result<OwnedFd> {
        loop {
            // SAFETY: the kernel reads the attributes, which are as long as said, and what they point to.
            let fd: c_long = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
            if let Ok(fd @ 0..) = i32::try_from(fd) {
                // SAFETY: the kernel has just given it to this process, and nobody else knows it.
                return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
            }
            let error = io::Error::last_os_error();
            // The verifier gives up for a moment when a signal is pending.
            if error.raw_os_error() != Some(libc::EAGAIN) {
                return Err(error);
            }
        }
    }
}
