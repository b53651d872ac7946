//! What stands in the kernel side's instructions in the place of marks: constants of this kernel and of this run.

use crate::kernel::{
    btf::Btf,
    program::{self, CALL, EXIT, Kind, MOVE, instruction},
};
use aya_obj::generated::bpf_insn;
use iotrace_common::{
    config::{self, Config},
    layout::{ABSENT, KernelLayout},
    mark,
};

/// BPF_ALU64 | BPF_MOV | BPF_X of include/uapi/linux/bpf.h.
const MOVE_REGISTER: u8 = 0xbf;
/// BPF_JMP | BPF_JSGT | BPF_K.
const JUMP_IF_GREATER: u8 = 0x65;
/// BPF_JMP | BPF_JCOND: `may_goto`.
const MAY_GOTO: u8 = 0xe5;
/// BPF_PSEUDO_KFUNC_CALL: the number of a call is the BTF id of a function.
const KERNEL_FUNCTION: u8 = 2;

/// What the marks stand for.
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
    pub fn new(btf: &Btf, layout: KernelLayout, mut config: Config) -> Self {
        let cast = cast(btf, &layout);
        if cast.is_some() {
            config.flags |= config::CAST;
        }
        if ends_loops(btf) {
            config.flags |= config::MAY_GOTO;
        }
        Self { layout, config, cast }
    }

    /// With what is known without types: nothing.
    pub fn unknown(config: Config) -> Self {
        Self { layout: KernelLayout::UNKNOWN, config, cast: None }
    }

    /// Replaces the marks of a function.
    pub fn put_into(&self, instructions: &mut [bpf_insn]) {
        for at in instructions {
            match at.code {
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

    /// What an immediate stands for; itself when it is no mark.
    fn value(&self, imm: i32) -> i32 {
        const HIGH: u32 = 0xffff_0000;
        let place = (imm as u32 & !HIGH) as usize;
        let word = match imm as u32 & HIGH {
            mark::LAYOUT => word(bytemuck::bytes_of(&self.layout), place),
            mark::CONFIG => word(bytemuck::bytes_of(&self.config), place),
            mark::FLAG => Some((self.config.flags >> place.min(31) & 1) as i32),
            _ => None,
        };
        word.unwrap_or(imm)
    }
}

fn word(bytes: &[u8], place: usize) -> Option<i32> {
    bytes.get(place..)?.first_chunk().copied().map(i32::from_ne_bytes)
}

/// Id of `bpf_rdonly_cast`, where a program that calls it is taken (since 6.2).
fn cast(btf: &Btf, layout: &KernelLayout) -> Option<u32> {
    let types = [
        layout.type_kiocb,
        layout.type_file,
        layout.type_inode,
        layout.type_sb,
        layout.type_dentry,
        layout.type_vfsmount,
        layout.type_mount,
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
fn ends_loops(btf: &Btf) -> bool {
    let trial = [instruction(MOVE, 0, 0, 0), may_goto(1), instruction(MOVE, 0, 0, 0), instruction(EXIT, 0, 0, 0)];
    btf.tracepoint_type_id("sched_process_exit").is_some_and(|id| program::is_taken(Kind::Tracepoint(id), &trial))
}

#[cfg(test)]
mod tests {
    use super::*;
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
