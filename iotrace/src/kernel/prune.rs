//! Programs without what this run does not need.
//!
//! Settings and the kernel's layout stand in the instructions as constants ([`crate::kernel::marks`]), so much can never be reached: of
//! `sys_enter` three quarters. The kernel takes that away as well, but one piece after the other, moving all that is behind it each time.
//! Here it goes at once, before the kernel sees it.
//!
//! What is known of registers is found by conditional constant propagation: along the ways that can be taken, a register has the value
//! that it has on all of them, or none.

use crate::kernel::program::{CALL, EXIT, LOAD_64, MOVE, instruction};
use aya_obj::generated::{bpf_func_info, bpf_insn};

/// Classes of instructions, the lowest bits of their codes (include/uapi/linux/bpf.h, bpf_common.h).
const CLASS: u8 = 0x07;
const LD: u8 = 0x00;
const LDX: u8 = 0x01;
const STX: u8 = 0x03;
const ALU: u8 = 0x04;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
/// The second operand is a register (BPF_X).
const REGISTER: u8 = 0x08;
const OPERATION: u8 = 0xf0;
/// BPF_ATOMIC, a mode of BPF_STX: some give what was there, in the source, in register 0, or in the destination.
const MODE: u8 = 0xe0;
const ATOMIC: u8 = 0xc0;
/// BPF_JMP | BPF_JA, by `off`; and BPF_JMP32 | BPF_JA, by `imm`.
const JUMP: u8 = 0x05;
const LONG_JUMP: u8 = 0x06;
/// BPF_JMP | BPF_JCOND: `may_goto`.
const MAY_GOTO: u8 = 0xe5;
/// BPF_PSEUDO_CALL, as the source of a call: a function of the program.
const OWN_FUNCTION: u8 = 1;
/// BPF_PSEUDO_FUNC, as the source of a 64-bit constant: the address of such a function.
const ADDRESS_OF_FUNCTION: u8 = 4;

/// What registers hold, as far as it is known: there are eleven, and four bits for their numbers.
type Registers = [Option<u64>; 16];
const NOTHING: Registers = [None; 16];

/// What becomes of an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is never reached.
    Dead,
    /// It is reached.
    Kept,
    /// A jump that is taken always, or never.
    Always,
    Never,
}

/// Takes out what is never reached, and what does nothing. `functions`: where the functions of the program begin, the first at 0.
pub(super) fn prune(instructions: &mut Vec<bpf_insn>, functions: &mut Vec<bpf_func_info>) {
    let Some(fates) = fates(instructions) else { return };
    let is_kept = |at: usize| match fates[at] {
        Fate::Dead | Fate::Never => false,
        // What jumps over nothing but dead instructions need not jump.
        Fate::Always => target(&instructions[at], at)
            .is_some_and(|to| (at + 1..to).any(|skipped| fates[skipped] != Fate::Dead) || to <= at),
        Fate::Kept => true,
    };
    // Where each instruction comes to stand; what is taken out, where the next one does.
    let mut places = Vec::with_capacity(instructions.len() + 1);
    let mut kept = 0;
    for at in 0..instructions.len() {
        places.push(kept);
        kept += usize::from(is_kept(at));
    }
    places.push(kept);
    let moved = |at: usize, to: usize| places[to] as i32 - places[at] as i32 - 1;
    let mut left = Vec::with_capacity(kept);
    for (at, one) in instructions.iter().enumerate().filter(|(at, _)| is_kept(*at)) {
        let mut one = *one;
        if let Some(to) = target(&one, at) {
            if fates[at] == Fate::Always {
                one = instruction(JUMP, 0, 0, 0);
            }
            match one.code {
                LONG_JUMP => one.imm = moved(at, to),
                _ => one.off = moved(at, to) as i16,
            }
        } else if let Some(function) = function(&one, at) {
            one.imm = moved(at, function);
        }
        left.push(one);
    }
    functions.retain(|function| fates.get(function.insn_off as usize).is_some_and(|fate| *fate != Fate::Dead));
    for function in functions {
        function.insn_off = places[function.insn_off as usize] as u32;
    }
    *instructions = left;
}

/// The fate of each instruction; `None` where something leads out of the program, which the kernel refuses.
fn fates(instructions: &[bpf_insn]) -> Option<Vec<Fate>> {
    let mut fates = vec![Fate::Dead; instructions.len()];
    // What is known where ways meet and begin.
    let is_start = starts(instructions);
    let mut known: Vec<Option<Registers>> = vec![None; instructions.len()];
    *known.first_mut()? = Some(NOTHING);
    let mut waiting = vec![0];
    while let Some(start) = waiting.pop() {
        let mut registers = known[start]?;
        let mut at = start;
        loop {
            let one = instructions.get(at)?;
            let mut go = |to: usize, with: &Registers| -> Option<()> {
                let before = known.get_mut(to)?;
                let after = before.map_or(*with, |before| met(&before, with));
                if *before != Some(after) {
                    *before = Some(after);
                    waiting.push(to);
                }
                Some(())
            };
            fates[at] = Fate::Kept;
            if let Some(function) = function(one, at) {
                go(function, &NOTHING)?;
            }
            let mut falls_through = true;
            if let Some(to) = target(one, at) {
                let decision = is_taken(one, &registers);
                fates[at] = match decision {
                    Some(true) => Fate::Always,
                    Some(false) => Fate::Never,
                    None => Fate::Kept,
                };
                falls_through = decision != Some(true);
                if decision != Some(false) {
                    go(to, &registers)?;
                }
            } else if one.code == EXIT {
                falls_through = false;
            }
            let next = if one.code == LOAD_64 {
                *fates.get_mut(at + 1)? = Fate::Kept;
                at + 2
            } else {
                at + 1
            };
            run(one, &mut registers);
            if !falls_through {
                break;
            }
            if *is_start.get(next)? {
                go(next, &registers)?;
                break;
            }
            at = next;
        }
    }
    Some(fates)
}

/// Where more than one way can lead.
fn starts(instructions: &[bpf_insn]) -> Vec<bool> {
    let mut starts = vec![false; instructions.len()];
    for (at, one) in instructions.iter().enumerate() {
        if let Some(start) = target(one, at).or_else(|| function(one, at)).and_then(|to| starts.get_mut(to)) {
            *start = true;
        }
    }
    starts
}

/// What is known after both.
fn met(one: &Registers, other: &Registers) -> Registers {
    std::array::from_fn(|register| one[register].filter(|value| other[register] == Some(*value)))
}

/// Where a jump leads. The second half of a 64-bit constant has code 0, and is none.
fn target(one: &bpf_insn, at: usize) -> Option<usize> {
    let by = match one.code {
        LONG_JUMP => one.imm as isize,
        CALL | EXIT => return None,
        code if matches!(code & CLASS, JMP | JMP32) && code & OPERATION != CALL & OPERATION => one.off as isize,
        _ => return None,
    };
    at.checked_add_signed(by + 1)
}

/// The beginning of a function of the program, if this calls it or takes its address.
fn function(one: &bpf_insn, at: usize) -> Option<usize> {
    let is_function = one.code == CALL && one.src_reg() == OWN_FUNCTION
        || one.code == LOAD_64 && one.src_reg() == ADDRESS_OF_FUNCTION;
    is_function.then(|| at.checked_add_signed(one.imm as isize + 1)).flatten()
}

/// Whether a jump is taken, as far as that is known.
fn is_taken(one: &bpf_insn, registers: &Registers) -> Option<bool> {
    if matches!(one.code, JUMP | LONG_JUMP) {
        return Some(true);
    }
    if one.code == MAY_GOTO {
        return None;
    }
    let (mut left, mut right) = (registers[one.dst_reg() as usize]?, operand(one, registers)?);
    let (mut signed_left, mut signed_right) = (left as i64, right as i64);
    if one.code & CLASS == JMP32 {
        (left, right) = (left as u32 as u64, right as u32 as u64);
        (signed_left, signed_right) = (left as i32 as i64, right as i32 as i64);
    }
    Some(match one.code & OPERATION {
        0x10 => left == right,
        0x20 => left > right,
        0x30 => left >= right,
        0x40 => left & right != 0,
        0x50 => left != right,
        0x60 => signed_left > signed_right,
        0x70 => signed_left >= signed_right,
        0xa0 => left < right,
        0xb0 => left <= right,
        0xc0 => signed_left < signed_right,
        0xd0 => signed_left <= signed_right,
        _ => return None,
    })
}

/// The second operand: a register, or a constant with its sign.
fn operand(one: &bpf_insn, registers: &Registers) -> Option<u64> {
    if one.code & REGISTER != 0 { registers[one.src_reg() as usize] } else { Some(one.imm as i64 as u64) }
}

/// What is known of registers after an instruction.
fn run(one: &bpf_insn, registers: &mut Registers) {
    let destination = one.dst_reg() as usize;
    match one.code & CLASS {
        LDX => registers[destination] = None,
        LD if one.code == LOAD_64 => registers[destination] = None,
        // Loads from packets.
        LD => registers[..=5].fill(None),
        ALU | ALU64 => registers[destination] = result(one, registers),
        STX if one.code & MODE == ATOMIC => {
            for changed in [0, one.src_reg(), one.dst_reg()] {
                registers[changed as usize] = None;
            }
        }
        JMP if one.code == CALL => registers[..=5].fill(None),
        _ => {}
    }
}

/// The result of arithmetic, where the operands are known and the operation is one that settings are used with.
fn result(one: &bpf_insn, registers: &Registers) -> Option<u64> {
    // Moves that extend a sign, and signed divisions, say so in `off` (since 6.6).
    if one.off != 0 {
        return None;
    }
    let right = operand(one, registers)?;
    let is_move = one.code & OPERATION == MOVE & OPERATION;
    let left = if is_move { 0 } else { registers[one.dst_reg() as usize]? };
    let wide = one.code & CLASS == ALU64;
    let value = match one.code & OPERATION {
        0x40 => left | right,
        0x50 => left & right,
        0xb0 => right,
        _ => return None,
    };
    Some(if wide { value } else { value as u32 as u64 })
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
