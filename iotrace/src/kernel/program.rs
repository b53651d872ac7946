//! Programs: loaded, as often as there are places for them, and why one could not be.

use crate::kernel::{prune::prune, sys};
use aya_obj::{
    Function,
    generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_func_info, bpf_insn, bpf_prog_info, bpf_prog_type},
};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};
use thiserror::Error;

/// What a program is put on; ids are those of the kernel's BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A BTF tracepoint: the id of its typedef.
    Tracepoint(u32),
    /// The same, and how many equal programs stand before it: it does what the kernel skipped those for.
    Again(u32, u16),
    /// The beginning of a function: its id.
    Fentry(u32),
    /// The end of a function: its id.
    Fexit(u32),
    /// Probes at functions, one by one.
    Probe,
    /// Probes at many functions at once (since 5.18).
    ProbeMulti,
}

/// Why a program is not where it should be.
#[derive(Clone, Debug, Error)]
#[error("{program}: {reason}")]
pub struct Refused {
    /// The program.
    pub program: &'static str,
    /// The kernel's words.
    pub reason: String,
    /// The error, where it was one of a system call.
    pub errno: Option<i32>,
    /// Whether it was loaded, and could not be attached.
    pub loaded: bool,
}

impl Refused {
    /// The object and this program are of different versions.
    pub fn absent(program: &'static str) -> Self {
        Self { program, reason: "the object has no such program".into(), errno: None, loaded: false }
    }

    /// The object has not all of it.
    pub fn incomplete(program: &'static str, error: &dyn std::error::Error) -> Self {
        Self { program, reason: error.to_string(), errno: None, loaded: false }
    }

    /// The kernel has nothing to attach it to.
    pub fn no_place(program: &'static str, place: &str) -> Self {
        Self { program, reason: format!("this kernel has no {place}"), errno: None, loaded: false }
    }

    /// The kernel's error at attaching.
    pub fn attaching(program: &'static str, error: &io::Error) -> Self {
        Self { program, reason: error.to_string(), errno: error.raw_os_error(), loaded: true }
    }
}

/// Instructions of a program, with all references resolved.
#[derive(Clone)]
pub struct Code {
    instructions: Vec<bpf_insn>,
    license: CString,
    name: CString,
    /// Where its functions begin, and their types.
    functions: Vec<bpf_func_info>,
}

/// A loaded program.
#[derive(Debug)]
pub struct Loaded {
    /// Name in the object.
    pub name: &'static str,
    /// The program.
    pub fd: OwnedFd,
    /// How long the verifier and the compiler took.
    pub took: Duration,
}

impl Code {
    /// What the object holds for a program.
    pub fn new(name: &str, license: &CStr, function: Function) -> Self {
        // BPF_OBJ_NAME_LEN of include/uapi/linux/bpf.h, with the NUL.
        let short: Vec<u8> = name.bytes().take(15).collect();
        Self {
            license: license.to_owned(),
            name: CString::new(short).unwrap_or_default(),
            functions: function.func_info.func_info,
            instructions: function.instructions,
        }
    }

    /// The same with other instructions in the places of some, and without those that are then never reached.
    pub fn changed(&self, change: impl FnOnce(&mut [bpf_insn])) -> Self {
        let mut changed = self.clone();
        change(&mut changed.instructions);
        prune(&mut changed.instructions, &mut changed.functions);
        changed
    }

    /// Loads it.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, with the end of the verifier's log.
    pub fn load(&self, program: &'static str, kind: Kind, btf: Option<BorrowedFd<'_>>) -> Result<Loaded, Refused> {
        let began = Instant::now();
        let mut attr = attributes(kind, &self.instructions, &self.license, &self.name);
        // SAFETY: all fields of this union are plain numbers.
        let fields = unsafe { &mut attr.__bindgen_anon_3 };
        if let Some(btf) = btf.filter(|_| !self.functions.is_empty()) {
            fields.prog_btf_fd = btf.as_raw_fd() as u32;
            fields.func_info = self.functions.as_ptr() as u64;
            fields.func_info_cnt = self.functions.len() as u32;
            fields.func_info_rec_size = size_of::<bpf_func_info>() as u32;
        }
        // SAFETY: what the fields point to outlives the call.
        let fd = match unsafe { sys::bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) } {
            Ok(fd) => fd,
            Err(error) => return Err(explain(program, attr, &error)),
        };
        Ok(Loaded { name: program, fd, took: began.elapsed() })
    }
}

/// Loads a program once more, for the verifier's log.
fn explain(program: &'static str, mut attr: bpf_attr, error: &io::Error) -> Refused {
    /// BPF_LOG_LEVEL1 of include/linux/bpf_verifier.h.
    const INSTRUCTIONS: u32 = 1;
    /// Long logs do not fit; the kernel then keeps the end (since 6.4), or the beginning.
    const LENGTH: usize = 1 << 24;
    let mut log = vec![0_u8; LENGTH];
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_3 };
    fields.log_level = INSTRUCTIONS;
    fields.log_size = log.len() as u32;
    fields.log_buf = log.as_mut_ptr() as u64;
    // SAFETY: what the fields point to outlives the call, and the log is as long as said.
    let _ = unsafe { sys::bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) };
    let text = CStr::from_bytes_until_nul(&log).map(CStr::to_string_lossy).unwrap_or_default();
    let end = last_words(&text);
    let reason = if end.is_empty() { error.to_string() } else { format!("{error}: {end}") };
    Refused { program, reason, errno: error.raw_os_error(), loaded: false }
}

/// The last three lines of a verifier's log that give a reason; statistics come after it.
fn last_words(log: &str) -> String {
    let statistics =
        |line: &str| ["verification time", "stack depth", "processed "].iter().any(|start| line.starts_with(start));
    let lines = log.lines().rev().filter(|line| !line.trim().is_empty() && !statistics(line));
    let mut end: Vec<&str> = lines.take(3).collect();
    end.reverse();
    end.join(" | ")
}

fn attributes(kind: Kind, instructions: &[bpf_insn], license: &CStr, name: &CStr) -> bpf_attr {
    use bpf_attach_type::{BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_TRACE_KPROBE_MULTI, BPF_TRACE_RAW_TP};
    use bpf_prog_type::{BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACING};
    let (program_type, attach_type, id) = match kind {
        Kind::Tracepoint(id) | Kind::Again(id, _) => (BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP as u32, id),
        Kind::Fentry(id) => (BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY as u32, id),
        Kind::Fexit(id) => (BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT as u32, id),
        Kind::Probe => (BPF_PROG_TYPE_KPROBE, 0, 0),
        Kind::ProbeMulti => (BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI as u32, 0),
    };
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_3 };
    fields.prog_type = program_type as u32;
    fields.expected_attach_type = attach_type;
    fields.attach_btf_id = id;
    fields.insns = instructions.as_ptr() as u64;
    fields.insn_cnt = instructions.len() as u32;
    fields.license = license.as_ptr() as u64;
    for (to, from) in fields.prog_name.iter_mut().zip(name.to_bytes()) {
        *to = *from as std::ffi::c_char;
    }
    attr
}

/// A program that does nothing but go on with the program in an array's first entry: the verifier has little to do for each
/// place, and looks at the real program once.
///
/// # Errors
///
/// The kernel's refusal.
pub fn load_jump(program: &'static str, kind: Kind, array: BorrowedFd<'_>) -> Result<Loaded, Refused> {
    let began = Instant::now();
    let instructions = jump(array.as_raw_fd());
    let mut attr = attributes(kind, &instructions, c"GPL", c"call_jump");
    // SAFETY: what the fields point to outlives the call.
    let fd = unsafe { sys::bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) }.map_err(|error| Refused {
        program,
        reason: error.to_string(),
        errno: error.raw_os_error(),
        loaded: false,
    })?;
    Ok(Loaded { name: program, fd, took: began.elapsed() })
}

/// `bpf_tail_call(ctx, array, 0); return 0`.
fn jump(array: i32) -> [bpf_insn; 6] {
    const TAIL_CALL: i32 = 12; // BPF_FUNC_tail_call
    // The context is in register 1 already.
    [
        instruction(LOAD_64, 2, MAP_FD, array),
        instruction(0, 0, 0, 0),
        instruction(MOVE, 3, 0, 0),
        instruction(CALL, 0, 0, TAIL_CALL),
        instruction(MOVE, 0, 0, 0),
        instruction(EXIT, 0, 0, 0),
    ]
}

/// BPF_ALU64 | BPF_MOV | BPF_K of include/uapi/linux/bpf.h.
pub const MOVE: u8 = 0xb7;
/// BPF_JMP | BPF_CALL.
pub const CALL: u8 = 0x85;
/// BPF_JMP | BPF_EXIT.
pub const EXIT: u8 = 0x95;

/// BPF_LD | BPF_IMM | BPF_DW, two instructions long.
pub const LOAD_64: u8 = 0x18;
/// BPF_PSEUDO_MAP_FD: the immediate is a map's descriptor.
pub const MAP_FD: u8 = 1;

/// One instruction.
pub fn instruction(code: u8, destination: u8, source: u8, imm: i32) -> bpf_insn {
    let mut instruction =
        bpf_insn { code, _bitfield_align_1: [], _bitfield_1: bpf_insn::new_bitfield_1(0, 0), off: 0, imm };
    instruction.set_dst_reg(destination);
    instruction.set_src_reg(source);
    instruction
}

/// Whether the kernel takes a program of these instructions.
pub fn is_taken(kind: Kind, instructions: &[bpf_insn]) -> bool {
    load_trial(kind, instructions).is_ok()
}

/// A program that does nothing.
///
/// # Errors
///
/// The kernel's refusal.
pub fn load_nothing(kind: Kind) -> io::Result<Loaded> {
    load_trial(kind, &[instruction(MOVE, 0, 0, 0), instruction(EXIT, 0, 0, 0)])
}

fn load_trial(kind: Kind, instructions: &[bpf_insn]) -> io::Result<Loaded> {
    let began = Instant::now();
    let mut attr = attributes(kind, instructions, c"GPL", c"trial");
    // SAFETY: what the fields point to outlives the call.
    let fd = unsafe { sys::bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) }?;
    Ok(Loaded { name: "trial", fd, took: began.elapsed() })
}

impl Loaded {
    /// Runs of the program that the kernel skipped because another run of it was not finished on that CPU: an interrupt came, or,
    /// where programs run with preemption on (tracepoints on 7.2), another thread (`bpf_prog_info.recursion_misses`, since 5.12).
    pub fn misses(&self) -> u64 {
        self.info().map_or(0, |info| info.recursion_misses)
    }

    /// Instructions that the verifier looked at (since 5.16).
    pub fn verified(&self) -> Option<u32> {
        self.info().map(|info| info.verified_insns).filter(|count| *count != 0)
    }

    fn info(&self) -> Option<bpf_prog_info> {
        // SAFETY: plain numbers: all zero is a value.
        let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
        let mut attr = sys::attributes();
        attr.info.bpf_fd = self.fd.as_raw_fd() as u32;
        attr.info.info_len = size_of::<bpf_prog_info>() as u32;
        attr.info.info = (&raw mut info) as u64;
        // SAFETY: `info` outlives the call, and the kernel writes at most its length.
        unsafe { sys::bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }.ok().map(|_| info)
    }

    /// The kernel's number of the program.
    pub fn id(&self) -> Option<u32> {
        self.info().map(|info| info.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_with_its_reason() {
        let log = "0: (b7) r0 = 0\n1: (79) r1 = *(u64 *)(r2 +0)\nR2 !read_ok\nverification time 12 usec\nprocessed 2 insns (limit 1000000)\n";
        assert_eq!(last_words(log), "0: (b7) r0 = 0 | 1: (79) r1 = *(u64 *)(r2 +0) | R2 !read_ok");
        assert_eq!(last_words(""), "");
    }
}
