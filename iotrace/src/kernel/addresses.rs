//! Addresses of the kernel's functions, asked of the kernel itself: since 6.2 it finds a name in a moment, and a program may ask.

use crate::kernel::{
    btf::Btf,
    program::{CALL, EXIT, LOAD_64, MOVE, instruction},
    sys,
};
use aya_obj::generated::{bpf_cmd, bpf_func_id, bpf_insn, bpf_prog_type};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

/// BPF_STX | BPF_MEM | BPF_DW and BPF_LDX | BPF_MEM | BPF_DW of include/uapi/linux/bpf.h: a word to memory, and from there.
const STORE: u8 = 0x7b;
const LOAD: u8 = 0x79;
/// BPF_ALU64 | BPF_MOV | BPF_X, and BPF_ALU64 | BPF_ADD | BPF_K.
const MOVE_REGISTER: u8 = 0xbf;
const ADD: u8 = 0x07;
/// BPF_F_SLEEPABLE: programs for system calls must be.
const SLEEPABLE: u32 = 1 << 4;
/// Bytes of a word.
const WORD: usize = 8;
/// The longest name, with the NUL: half of a program's stack.
const LONGEST: usize = 256;

/// The address of each of these functions, 0 where there is none of the name; `module:name` is one of a module. `None` where the kernel
/// does not tell addresses (`kptr_restrict`), or takes long: before 6.2 it goes through all names for each
/// (kernel/kallsyms.c, `kallsyms_lookup_names`, which came with the function that is looked for here).
pub fn of(btf: &Btf<'_>, names: &[&str]) -> Option<Vec<u64>> {
    if !btf.function_exists("kallsyms_on_each_match_symbol") {
        return None;
    }
    let program = load(&names.iter().enumerate().try_fold(start(), add_question)?).ok()?;
    let mut found = vec![0_u64; names.len()];
    run(&program, &mut found).ok()?;
    // Forbidden, all are zero.
    found.iter().any(|address| *address != 0).then_some(found)
}

/// Keeps the context, which is where the answers go.
fn start() -> Vec<bpf_insn> {
    vec![instruction(MOVE_REGISTER, 6, 1, 0)]
}

/// Adds `bpf_kallsyms_lookup_name(name, length, 0, &answer)`, and the answer's way to its place in the context. `None`: the name is too long.
fn add_question(mut program: Vec<bpf_insn>, (place, name): (usize, &&str)) -> Option<Vec<bpf_insn>> {
    let length = name.len() + 1;
    if length > LONGEST {
        return None;
    }
    let words = length.div_ceil(WORD);
    let (answer, start) = (-(WORD as i16), -((WORD * (words + 1)) as i16));
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(words * WORD, 0);
    for (index, word) in bytes.as_chunks::<WORD>().0.iter().enumerate() {
        let [low, high] = [u64::from_le_bytes(*word) as i32, (u64::from_le_bytes(*word) >> 32) as i32];
        program.extend([instruction(LOAD_64, 1, 0, low), instruction(0, 0, 0, high)]);
        program.push(bpf_insn { off: start + (WORD * index) as i16, ..instruction(STORE, 10, 1, 0) });
    }
    program.extend([
        instruction(MOVE, 1, 0, 0),
        bpf_insn { off: answer, ..instruction(STORE, 10, 1, 0) },
        instruction(MOVE_REGISTER, 1, 10, 0),
        instruction(ADD, 1, 0, start.into()),
        instruction(MOVE, 2, 0, length as i32),
        instruction(MOVE, 3, 0, 0),
        instruction(MOVE_REGISTER, 4, 10, 0),
        instruction(ADD, 4, 0, answer.into()),
        instruction(CALL, 0, 0, bpf_func_id::BPF_FUNC_kallsyms_lookup_name as i32),
        bpf_insn { off: answer, ..instruction(LOAD, 1, 10, 0) },
        bpf_insn { off: (WORD * place) as i16, ..instruction(STORE, 6, 1, 0) },
    ]);
    Some(program)
}

fn load(questions: &[bpf_insn]) -> io::Result<OwnedFd> {
    let end = [instruction(MOVE, 0, 0, 0), instruction(EXIT, 0, 0, 0)];
    let instructions = [questions, &end].concat();
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_3 };
    fields.prog_type = bpf_prog_type::BPF_PROG_TYPE_SYSCALL as u32;
    fields.prog_flags = SLEEPABLE;
    fields.insns = instructions.as_ptr() as u64;
    fields.insn_cnt = instructions.len() as u32;
    fields.license = c"GPL".as_ptr() as u64;
    // SAFETY: instructions and license outlive the call.
    unsafe { sys::bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
}

/// Runs the program once, with `context`.
fn run(program: &OwnedFd, context: &mut [u64]) -> io::Result<()> {
    let mut attr = sys::attributes();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    attr.test.ctx_in = context.as_mut_ptr() as u64;
    attr.test.ctx_size_in = size_of_val(context) as u32;
    // SAFETY: the context outlives the call, which writes as much to it as it reads.
    unsafe { sys::bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }.map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kernel::btf::testing;

    #[test]
    fn addresses_are_those_of_kallsyms() {
        let Some(btf) = testing::running_kernel() else { return };
        let names = ["submit_bio_noacct", "no_such_function_at_all", "bio_chain_endio", "vmlinux:submit_bio"];
        let Some(found) = of(&btf, &names) else {
            eprintln!("skipped: not permitted, or the kernel is older than 6.2");
            return;
        };
        let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
        let listed = |name: &str| {
            let line = symbols.lines().find(|line| line.split_whitespace().nth(2) == Some(name));
            line.map_or(0, |line| u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap())
        };
        assert_eq!(found, names.map(listed));
        assert_eq!((found[0] != 0, found[1], found[3]), (true, 0, 0));
    }

    #[test]
    fn a_name_of_any_length_ends_with_a_nul() {
        for length in [1, 7, 8, 9, 255] {
            let name = "n".repeat(length);
            let program = add_question(start(), (3, &name.as_str())).unwrap();
            let words: Vec<_> = program.iter().filter(|at| at.code == STORE && at.dst_reg() == 10).collect();
            // One more is the answer's.
            assert_eq!(words.len(), length / 8 + 2, "{length}");
            let last = program.last().unwrap();
            assert_eq!((last.code, last.dst_reg(), last.off), (STORE, 6, 24));
        }
        assert!(add_question(start(), (0, &"n".repeat(256).as_str())).is_none());
    }
}
