//! Loading and attaching one program, and why it failed.

use crate::kernel::{
    block::BlockFacts,
    btf::Btf,
    mechanism::{Entry, When},
};
use aya::{
    Ebpf,
    programs::{BtfTracePoint, Program, ProgramError, tp_btf::BtfTracePointLink},
};
use aya_obj::generated::bpf_prog_info;
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};
use thiserror::Error;

/// Why a program could not be attached.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The object lacks it: the object and the program are of different versions.
    #[error("the object has no program {0}")]
    NoProgram(&'static str),
    /// The kernel's refusal.
    #[error("{program}: {reason}")]
    Refused {
        /// The program.
        program: &'static str,
        /// The kernel's words.
        reason: String,
        /// The error, where it was one of a system call.
        errno: Option<i32>,
    },
}

/// Whether an entry is used on this kernel.
pub fn applies(entry: &Entry, btf: &Btf, block: &BlockFacts) -> bool {
    match entry.when {
        When::Always => true,
        When::IfPresent => btf.tracepoint_parameters(entry.tracepoint).is_some(),
        When::QueueFirst => block.queue_argument,
        When::RequestFirst => !block.queue_argument,
        When::FindsMappings => btf.function_exists("bpf_find_vma"),
        When::NoMappings => !btf.function_exists("bpf_find_vma"),
    }
}

/// What [`tracepoint`] needs of the kernel's BTF for these entries.
///
/// # Errors
///
/// When aya cannot read it.
pub fn stub<'a>(btf: &Btf, entries: impl Iterator<Item = &'a Entry>) -> Result<aya::Btf, aya_obj::btf::BtfError> {
    let tracepoints: Vec<&str> = entries.map(|entry| entry.tracepoint).collect();
    aya::Btf::parse(&btf.stub(&tracepoints), aya::Endianness::default())
}

/// Loads and attaches a program to a BTF tracepoint. Dropping the link detaches it.
///
/// # Errors
///
/// The kernel's refusal, with the end of the verifier's log.
pub fn tracepoint(ebpf: &mut Ebpf, entry: &Entry, btf: &aya::Btf) -> Result<BtfTracePointLink, AttachError> {
    let program: &mut BtfTracePoint = ebpf
        .program_mut(entry.program)
        .and_then(|program| program.try_into().ok())
        .ok_or(AttachError::NoProgram(entry.program))?;
    let refused = |error: ProgramError| refusal(entry.program, &error);
    program.load(entry.tracepoint, btf).map_err(refused)?;
    let id = program.attach().map_err(refused)?;
    program.take_link(id).map_err(refused)
}

/// Words for the kernel's refusal.
pub fn refusal(program: &'static str, error: &ProgramError) -> AttachError {
    let mut errno = None;
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if let Some(os) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            errno = Some(os);
        }
        source = error.source();
    }
    let reason = match (error, errno) {
        (ProgramError::LoadError { verifier_log, io_error }, _) => {
            let log = verifier_log.to_string();
            // Statistics come after the reason.
            let statistics = |line: &str| {
                ["verification time", "stack depth", "processed "].iter().any(|start| line.starts_with(start))
            };
            let lines = log.lines().rev().filter(|line| !line.trim().is_empty() && !statistics(line));
            let end: Vec<&str> = lines.take(3).collect();
            let end: Vec<&str> = end.into_iter().rev().collect();
            if end.is_empty() { io_error.to_string() } else { format!("{io_error}: {}", end.join(" | ")) }
        }
        (_, Some(errno)) => io::Error::from_raw_os_error(errno).to_string(),
        _ => error.to_string(),
    };
    AttachError::Refused { program, reason, errno }
}

/// Runs of a program that the kernel skipped because another run of it was not finished on that CPU: an interrupt came, or, where
/// tracepoints run with preemption on (seen on 7.2), another thread (`bpf_prog_info.recursion_misses`, since 5.12).
pub fn misses(ebpf: &Ebpf, name: &str) -> u64 {
    let Some(Program::BtfTracePoint(program)) = ebpf.program(name) else { return 0 };
    program.fd().ok().and_then(|fd| info(fd.as_fd())).map_or(0, |info| info.recursion_misses)
}

/// BPF_OBJ_GET_INFO_BY_FD of include/uapi/linux/bpf.h.
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;

fn info(program: impl AsFd) -> Option<bpf_prog_info> {
    /// The part of `union bpf_attr` for this command.
    #[repr(C)]
    struct Attr {
        fd: u32,
        length: u32,
        info: u64,
    }
    // SAFETY: plain numbers: all zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attr = Attr {
        fd: u32::try_from(program.as_fd().as_raw_fd()).ok()?,
        length: u32::try_from(size_of::<bpf_prog_info>()).ok()?,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `attr` and `info` outlive the call, and the kernel writes at most `length` bytes.
    let result = unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET_INFO_BY_FD, &raw mut attr, size_of::<Attr>()) };
    (result == 0).then_some(info)
}
