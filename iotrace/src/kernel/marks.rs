//! What stands in the kernel side's instructions in the place of marks: constants of this kernel and of this run.

use crate::kernel::{
    btf::Btf,
    calls::Quick,
    program::{self, CALL, EXIT, Kind, LOAD_64, MAP_FD, MOVE, instruction},
};
use aya_obj::generated::bpf_insn;
use iotrace_common::{
    config::{self, Config},
    layout::{ABSENT, KernelLayout},
    mark,
    thread::QUICK,
};

/// BPF_ALU64 | BPF_MOV | BPF_X of include/uapi/linux/bpf.h.
const MOVE_REGISTER: u8 = 0xbf;
/// BPF_JMP | BPF_JSGT | BPF_K.
const JUMP_IF_GREATER: u8 = 0x65;
/// BPF_JMP | BPF_JCOND: `may_goto`.
const MAY_GOTO: u8 = 0xe5;
/// BPF_PSEUDO_KFUNC_CALL: the number of a call is the BTF id of a function.
const KERNEL_FUNCTION: u8 = 2;

/// Which part of an immediate says that it is a mark, and of what.
const HIGH: u32 = 0xffff_0000;
/// BPF_JMP | BPF_JA; by nothing.
const JUMP: u8 = 0x05;
/// BPF_LDX, and which bits of a code are such a class.
const LOAD_REGISTER: u8 = 0x01;
const CLASS: u8 = 0x07;

/// What the marks stand for.
#[derive(Clone)]
pub struct Constants {
    /// Where members are.
    pub layout: KernelLayout,
    /// Settings.
    pub config: Config,
    /// Id of `bpf_rdonly_cast`, where it can be called.
    cast: Option<u32>,
}

impl Constants {
    /// Finds out whether this kernel can be told what is at an address, and says so in the settings.
    pub fn new(btf: &Btf<'_>, layout: KernelLayout, mut config: Config) -> Self {
        let cast = cast(btf, &layout);
        if cast.is_some() {
            config.flags |= config::CAST;
        }
        if ends_loops(btf) {
            config.flags |= config::MAY_GOTO;
        }
        Self { layout, config, cast }
    }

    /// Whether programs can go from the current task to its files with plain loads, and structures begin as `quick.rs` of the kernel
    /// side has it.
    pub fn have_typed_files(&self) -> bool {
        self.cast.is_some() && self.config.flags & config::TASK_BTF != 0 && self.layout.kiocb_file == 0
    }

    /// With what is known without types: nothing.
    pub fn unknown(config: Config) -> Self {
        Self { layout: KernelLayout::UNKNOWN, config, cast: None }
    }

    /// Replaces the marks of a function.
    pub fn put_into(&self, instructions: &mut [bpf_insn]) {
        for index in 0..instructions.len() {
            let (at, next) = match &mut instructions[index..] {
                [at, next, ..] => (at, Some(next)),
                [at] => (at, None),
                [] => return,
            };
            match at.code {
                MOVE if at.imm as u32 & HIGH == mark::LOAD => *at = self.put_into_load(*at, next),
                MOVE => at.imm = self.value(at.imm),
                CALL if at.src_reg() == 0 && at.imm == mark::CAST => {
                    *at = match self.cast {
                        Some(id) => instruction(CALL, 0, KERNEL_FUNCTION, id as i32),
                        // The address stays what it is.
                        None => instruction(MOVE_REGISTER, 0, 1, 0),
                    }
                }
                JUMP_IF_GREATER if at.imm == mark::MAY_GOTO && self.config.flags & config::MAY_GOTO != 0 => {
                    *at = may_goto(at.off);
                }
                _ => {}
            }
        }
    }

    /// Puts an offset into the load behind its mark, and gives what stands in the mark's place: a jump by nothing, which goes before it is loaded.
    /// A member that is absent is zero. A mark without a load makes a program that the kernel refuses.
    fn put_into_load(&self, mark: bpf_insn, load: Option<&mut bpf_insn>) -> bpf_insn {
        let Some(load) = load.filter(|load| load.code & CLASS == LOAD_REGISTER) else {
            return instruction(0, 0, 0, 0);
        };
        let offset = word(bytemuck::bytes_of(&self.layout), place(mark.imm));
        match offset.and_then(|offset| i16::try_from(offset).ok()).filter(|offset| *offset >= 0) {
            Some(offset) => {
                load.off = offset;
                instruction(JUMP, 0, 0, 0)
            }
            None => {
                *load = instruction(JUMP, 0, 0, 0);
                instruction(MOVE, mark.dst_reg(), 0, 0)
            }
        }
    }

    /// What an immediate stands for; itself when it is no mark.
    fn value(&self, imm: i32) -> i32 {
        let place = place(imm);
        let word = match imm as u32 & HIGH {
            mark::LAYOUT => word(bytemuck::bytes_of(&self.layout), place),
            mark::CONFIG => word(bytemuck::bytes_of(&self.config), place),
            mark::FLAG => Some((self.config.flags >> place.min(63) & 1) as i32),
            _ => None,
        };
        word.unwrap_or(imm)
    }
}

/// Replaces the marks of a program that is at the function of one system call, and goes on with another through an array.
pub fn put_into_quick(instructions: &mut [bpf_insn], call: Quick, array: i32) {
    for at in instructions {
        match at.code {
            MOVE if at.imm as u32 & HIGH == mark::CALL => {
                at.imm = match at.imm as u32 & !HIGH {
                    mark::CALL_NAME => (u32::from(call.name) | QUICK) as i32,
                    _ => call.number as i32,
                }
            }
            LOAD_64 if at.imm == mark::ARRAY => {
                at.set_src_reg(MAP_FD);
                at.imm = array;
            }
            _ => {}
        }
    }
}

/// Tells a program how many equal ones stand before it at its tracepoint.
pub fn put_turn(instructions: &mut [bpf_insn], turn: u16) {
    for at in instructions.iter_mut().filter(|at| at.code == MOVE && at.imm == mark::TURN as i32) {
        at.imm = turn.into();
    }
}

/// Where in a structure a mark's word is.
fn place(imm: i32) -> usize {
    (imm as u32 & !HIGH) as usize
}

fn word(bytes: &[u8], place: usize) -> Option<i32> {
    bytes.get(place..)?.first_chunk().copied().map(i32::from_ne_bytes)
}

/// Id of `bpf_rdonly_cast`, where a program that calls it is taken (since 6.2).
fn cast(btf: &Btf<'_>, layout: &KernelLayout) -> Option<u32> {
    let types = [
        layout.type_kiocb,
        layout.type_file,
        layout.type_inode,
        layout.type_sb,
        layout.type_dentry,
        layout.type_vfsmount,
        layout.type_mount,
        layout.type_task,
        layout.type_request,
        layout.type_bio,
        layout.type_words,
        layout.task_cred,
        layout.cred_uid,
        layout.kiocb_file,
    ];
    let id = btf.function_id("bpf_rdonly_cast")?;
    let tracepoint = btf.tracepoint_type_id("sched_process_exit")?;
    let trial = [
        instruction(MOVE, 1, 0, 0),
        instruction(MOVE, 2, 0, layout.type_file as i32),
        instruction(CALL, 0, KERNEL_FUNCTION, id as i32),
        instruction(MOVE, 0, 0, 0),
        instruction(EXIT, 0, 0, 0),
    ];
    (!types.contains(&ABSENT) && program::is_taken(Kind::Tracepoint(tracepoint), &trial)).then_some(id)
}

/// Leaves a loop for `off` instructions further on when it has had enough rounds.
fn may_goto(off: i16) -> bpf_insn {
    bpf_insn { off, ..instruction(MAY_GOTO, 0, 0, 0) }
}

/// Whether the kernel ends loops by itself: takes a program with `may_goto` (since 6.9).
fn ends_loops(btf: &Btf<'_>) -> bool {
    let trial = [instruction(MOVE, 0, 0, 0), may_goto(1), instruction(MOVE, 0, 0, 0), instruction(EXIT, 0, 0, 0)];
    btf.tracepoint_type_id("sched_process_exit").is_some_and(|id| program::is_taken(Kind::Tracepoint(id), &trial))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::calls::QuickKind;
    use bytemuck::Zeroable;

    fn constants(cast: Option<u32>) -> Constants {
        let layout = KernelLayout { file_inode: 32, file_mnt: ABSENT, ..KernelLayout::zeroed() };
        let config = Config { min_latency_ns: 7 << 32 | 5, flags: config::CAST, ..Config::default() };
        Constants { layout, config, cast }
    }

    #[test]
    fn marks_become_constants_and_other_immediates_stay() {
        let mut all = [
            instruction(MOVE, 1, 0, mark::LAYOUT as i32),
            instruction(MOVE, 1, 0, mark::LAYOUT as i32 + 4),
            instruction(MOVE, 1, 0, mark::CONFIG as i32),
            instruction(MOVE, 1, 0, mark::CONFIG as i32 + 4),
            instruction(MOVE, 1, 0, mark::FLAG as i32 + config::CAST.trailing_zeros() as i32),
            instruction(MOVE, 1, 0, mark::FLAG as i32),
            instruction(MOVE, 1, 0, 77),
            instruction(0x07, 1, 0, mark::LAYOUT as i32),
        ];
        constants(None).put_into(&mut all);
        assert_eq!(all.map(|at| at.imm), [32, -1, 5, 7, 1, 0, 77, mark::LAYOUT as i32]);
    }

    #[test]
    fn an_offset_goes_into_the_load_behind_its_mark() {
        const LOAD_WORD: u8 = 0x79; // BPF_LDX | BPF_MEM | BPF_DW
        let mark = |place: u32| instruction(MOVE, 1, 0, (mark::LOAD | place) as i32);
        let place = std::mem::offset_of!(KernelLayout, file_inode) as u32;
        let absent = std::mem::offset_of!(KernelLayout, file_mnt) as u32;
        let load = instruction(LOAD_WORD, 1, 2, 0);
        let mut all = [mark(place), load, mark(absent), load, mark(place)];
        constants(None).put_into(&mut all);
        let jump = (JUMP, 0, 0);
        assert_eq!(all.map(|at| (at.code, at.off, at.imm)), [jump, (LOAD_WORD, 32, 0), (MOVE, 0, 0), jump, (0, 0, 0)]);
    }

    #[test]
    fn a_quick_program_gets_its_call_and_its_array() {
        let mut all = [
            instruction(MOVE, 1, 0, (mark::CALL | mark::CALL_NAME) as i32),
            instruction(MOVE, 1, 0, (mark::CALL | mark::CALL_NUMBER) as i32),
            instruction(LOAD_64, 1, 0, mark::ARRAY),
            instruction(LOAD_64, 1, 0, 5),
        ];
        put_into_quick(&mut all, Quick { name: 7, number: 18, kind: QuickKind::Write }, 33);
        assert_eq!(all.map(|at| (at.src_reg(), at.imm)), [(0, 0x107), (0, 18), (MAP_FD, 33), (0, 5)]);
    }

    #[test]
    fn a_program_knows_how_many_stand_before_it() {
        for (turn, expected) in [(2, [2, 5]), (0, [0, 5])] {
            let mut all = [mark::TURN as i32, 5].map(|imm| instruction(MOVE, 1, 0, imm));
            constants(None).put_into(&mut all);
            put_turn(&mut all, turn);
            assert_eq!(all.map(|at| at.imm), expected);
        }
    }

    #[test]
    fn a_jump_ends_the_loop_where_the_kernel_can_do_that_and_is_never_taken_where_not() {
        let jump = |imm| bpf_insn { off: 7, ..instruction(JUMP_IF_GREATER, 3, 0, imm) };
        for (flags, expected) in [(config::MAY_GOTO, (MAY_GOTO, 0, 0, 7)), (0, (JUMP_IF_GREATER, 3, mark::MAY_GOTO, 7))]
        {
            let mut all = [jump(mark::MAY_GOTO), jump(5)];
            let config = Config { flags, ..Config::default() };
            Constants { layout: KernelLayout::zeroed(), config, cast: None }.put_into(&mut all);
            let [at, other] = all;
            assert_eq!((at.code, at.dst_reg(), at.imm, at.off), expected);
            assert_eq!((other.code, other.imm), (JUMP_IF_GREATER, 5));
        }
    }

    #[test]
    fn cast_is_a_call_where_the_kernel_has_it_and_a_move_where_not() {
        for (id, expected) in [(Some(9), (CALL, 0, 2, 9)), (None, (MOVE_REGISTER, 0, 1, 0))] {
            let mut all = [instruction(CALL, 0, 0, mark::CAST)];
            constants(id).put_into(&mut all);
            let [at] = all;
            assert_eq!((at.code, at.dst_reg(), at.src_reg(), at.imm), expected);
        }
    }
}
