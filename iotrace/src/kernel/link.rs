//! Putting loaded programs into their places. Dropping what is returned takes them out again.

use crate::kernel::{
    program::{self, Kind, Loaded, Refused},
    sys,
};
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_link_info};
use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
};

/// Whether the kernel can put a program at many functions at once, found out without putting one anywhere: taking it away again would
/// take long. A kernel that can reads their names (`bpf_kprobe_multi_link_attach` of kernel/trace/bpf_trace.c), and tells when it
/// cannot read these; one that was built without CONFIG_FPROBE, or is older than 5.18, does not come so far.
pub fn has_probe_multi() -> bool {
    /// No process has memory there.
    const NOWHERE: u64 = 1;
    let nothing = program::load_nothing(Kind::ProbeMulti);
    nothing.is_ok_and(|nothing| {
        let functions = Functions { count: 1, names: NOWHERE, ..Functions::default() };
        // SAFETY: the kernel checks what it reads.
        let link = unsafe { link_functions(&nothing, functions) };
        link.err().and_then(|error| error.raw_os_error()) == Some(libc::EFAULT)
    })
}

/// Attaches a program to the place it was loaded for: a tracepoint, or a function's beginning or end.
///
/// # Errors
///
/// The kernel's refusal.
pub fn attach(program: &Loaded) -> Result<OwnedFd, Refused> {
    let mut attr = sys::attributes();
    attr.raw_tracepoint.prog_fd = program.fd.as_raw_fd() as u32;
    // SAFETY: without a name the command reads nothing else.
    unsafe { sys::bpf_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
        .map_err(|error| Refused::attaching(program.name, &error))
}

/// Attaches a program to the beginnings, or the ends, of functions at once (since 5.18, where the kernel was built with
/// CONFIG_FPROBE).
///
/// # Errors
///
/// The kernel's.
pub fn probe_multi(program: &Loaded, functions: &[&str], at_return: bool) -> io::Result<OwnedFd> {
    /// BPF_F_KPROBE_MULTI_RETURN.
    const RETURN: u32 = 1;
    let names: Vec<CString> = functions.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let pointers: Vec<u64> = names.iter().map(|name| name.as_ptr() as u64).collect();
    let functions = Functions {
        flags: if at_return { RETURN } else { 0 },
        count: pointers.len() as u32,
        names: pointers.as_ptr() as u64,
        ..Functions::default()
    };
    // SAFETY: the names outlive the call.
    unsafe { link_functions(program, functions) }
}

/// `struct { ... } kprobe_multi` of `union bpf_attr`, LINK_CREATE (include/uapi/linux/bpf.h, 5.18).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Functions {
    flags: u32,
    count: u32,
    names: u64,
    addresses: u64,
    cookies: u64,
}

/// Puts a program at functions.
///
/// # Safety
///
/// The names are there; where they are not, the kernel refuses.
unsafe fn link_functions(program: &Loaded, functions: Functions) -> io::Result<OwnedFd> {
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers, and the last of them has room for the structure.
    let fields = unsafe { &mut attr.link_create };
    fields.__bindgen_anon_1.prog_fd = program.fd.as_raw_fd() as u32;
    fields.attach_type = bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32;
    // SAFETY: the union's member for this attach type.
    unsafe { (&raw mut fields.__bindgen_anon_3).cast::<Functions>().write(functions) };
    // SAFETY: the caller's.
    unsafe { sys::bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// Runs that the kernel skipped at these functions, at returns for want of room too (since 6.7).
pub fn probe_multi_misses(link: &OwnedFd) -> u64 {
    // SAFETY: plain numbers: all zero is a value.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    let mut attr = sys::attributes();
    attr.info.bpf_fd = link.as_raw_fd() as u32;
    attr.info.info_len = size_of::<bpf_link_info>() as u32;
    attr.info.info = (&raw mut info) as u64;
    // SAFETY: `info` outlives the call, and the kernel writes at most its length; then it is a link of that kind.
    unsafe {
        sys::bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map_or(0, |_| info.__bindgen_anon_1.kprobe_multi.missed)
    }
}

/// The kernel's number for events that are probes; `None` where it was built without them.
pub fn probe_type() -> Option<u32> {
    fs::read_to_string("/sys/bus/event_source/devices/kprobe/type").ok()?.trim().parse().ok()
}

/// Attaches a program to the beginning, or the end, of one function.
///
/// # Errors
///
/// The kernel's.
pub fn probe(program: &Loaded, kind: u32, function: &str, at_return: bool) -> io::Result<OwnedFd> {
    let name = CString::new(function).map_err(io::Error::other)?;
    let probe = sys::probe(kind, &name, at_return)?;
    sys::enable_probe(&probe, &program.fd)?;
    Ok(probe)
}
