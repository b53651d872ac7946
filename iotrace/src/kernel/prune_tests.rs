use super::*;
use proptest::prelude::*;

const EQUAL: u8 = JMP | 0x10;
const NOT_EQUAL: u8 = JMP | 0x50;
const LOAD_WORD: u8 = LDX | 0x60 | 0x18;

fn set(register: u8, value: i32) -> bpf_insn {
    instruction(MOVE, register, 0, value)
}

fn load(register: u8) -> bpf_insn {
    instruction(LOAD_WORD, register, 1, 0)
}

fn jump(code: u8, register: u8, value: i32, by: i16) -> bpf_insn {
    bpf_insn { off: by, ..instruction(code, register, 0, value) }
}

fn exit() -> bpf_insn {
    instruction(EXIT, 0, 0, 0)
}

type Plain = (u8, u8, u8, i16, i32);

fn plain(all: &[bpf_insn]) -> Vec<Plain> {
    all.iter().map(|one| (one.code, one.dst_reg(), one.src_reg(), one.off, one.imm)).collect()
}

/// What is left of a program without functions of its own.
fn pruned(program: &[bpf_insn]) -> Vec<Plain> {
    let mut instructions = program.to_vec();
    prune(&mut instructions, &mut Vec::new());
    plain(&instructions)
}

#[test]
fn what_a_setting_excludes_goes_and_its_test_too() {
    let all = [load(0), set(2, 0), jump(EQUAL, 2, 0, 2), set(0, 7), set(0, 8), exit()];
    assert_eq!(pruned(&all), plain(&[load(0), set(2, 0), exit()]));
    let all = [load(0), set(2, 1), jump(EQUAL, 2, 0, 2), set(0, 7), set(0, 8), exit()];
    assert_eq!(pruned(&all), plain(&[load(0), set(2, 1), set(0, 7), set(0, 8), exit()]));
}

#[test]
fn what_is_not_known_stays() {
    let all = [load(2), jump(EQUAL, 2, 0, 1), set(0, 7), exit()];
    assert_eq!(pruned(&all), plain(&all));
}

#[test]
fn on_two_ways_a_register_has_two_values() {
    // r2 is 0 on one way and 1 on the other; r3 is 5 on both.
    let all = [
        set(3, 5),
        set(2, 0),
        load(4),
        jump(EQUAL, 4, 0, 1),
        set(2, 1),
        jump(EQUAL, 2, 0, 1),
        set(0, 7),
        jump(NOT_EQUAL, 3, 5, 1),
        set(0, 8),
        exit(),
    ];
    let mut expected = all.to_vec();
    expected.remove(7);
    assert_eq!(pruned(&all), plain(&expected));
}

#[test]
fn jumps_go_as_far_as_there_is_something_left() {
    // Forwards over what goes, backwards over it, and one that has nothing to jump over any more.
    let all = [
        load(4),
        jump(EQUAL, 4, 9, 5),
        set(2, 0),
        jump(NOT_EQUAL, 2, 0, 1),
        jump(JUMP, 0, 0, 1),
        set(0, 7),
        jump(NOT_EQUAL, 4, 3, -6),
        exit(),
    ];
    let expected = [load(4), jump(EQUAL, 4, 9, 2), set(2, 0), jump(NOT_EQUAL, 4, 3, -3), exit()];
    assert_eq!(pruned(&all), plain(&expected));
}

#[test]
fn functions_that_nobody_calls_any_more_go_with_their_records() {
    let call = |by| instruction(CALL, 0, OWN_FUNCTION, by);
    let record = |insn_off, type_id| bpf_func_info { insn_off, type_id };
    let mut all = vec![
        set(6, 0),
        jump(EQUAL, 6, 0, 1),
        call(3), // to the first function
        call(4), // to the second
        load(2),
        exit(),
        set(0, 1),
        exit(),
        instruction(LOAD_64, 0, 0, 9),
        instruction(0, 0, 0, 0),
        exit(),
    ];
    let mut functions = vec![record(0, 10), record(6, 11), record(8, 12)];
    prune(&mut all, &mut functions);
    let expected =
        [set(6, 0), call(2), load(2), exit(), instruction(LOAD_64, 0, 0, 9), instruction(0, 0, 0, 0), exit()];
    assert_eq!(plain(&all), plain(&expected));
    let left: Vec<_> = functions.iter().map(|record| (record.insn_off, record.type_id)).collect();
    assert_eq!(left, [(0, 10), (4, 12)]);
}

#[test]
fn a_call_leaves_what_it_keeps() {
    let all = [
        set(3, 0),
        set(6, 0),
        instruction(CALL, 0, 0, 5),
        jump(EQUAL, 3, 0, 1),
        set(0, 7),
        jump(EQUAL, 6, 0, 1),
        set(0, 8),
        exit(),
    ];
    let kept: Vec<_> =
        all.iter().copied().enumerate().filter(|(at, _)| !matches!(at, 5 | 6)).map(|(_, one)| one).collect();
    assert_eq!(pruned(&all), plain(&kept));
}

#[test]
fn what_the_kernel_would_refuse_is_left_to_it() {
    for all in [&[set(0, 1)][..], &[jump(JUMP, 0, 0, 7), exit()], &[jump(JUMP, 0, 0, -3), exit()], &[]] {
        assert_eq!(pruned(all), plain(all));
    }
}

/// What a program of moves, arithmetic and jumps gives, for a value that it loads; `None` where it does not end soon.
fn outcome(program: &[bpf_insn], loaded: u64) -> Option<u64> {
    let mut registers: Registers = [Some(0); 16];
    let mut at = 0;
    for _ in 0..200 {
        let one = &program[at];
        match one.code {
            EXIT => return registers[0],
            LOAD_WORD => registers[one.dst_reg() as usize] = Some(loaded),
            _ => match target(one, at) {
                Some(to) if is_taken(one, &registers)? => {
                    at = to;
                    continue;
                }
                Some(_) => {}
                None => run(one, &mut registers),
            },
        }
        at += 1;
    }
    None
}

/// What one instruction is made from.
#[derive(Clone, Debug)]
struct Made {
    what: u8,
    to: u8,
    from: u8,
    value: i32,
    place: usize,
    comparison: u8,
}

const COMPARISONS: [u8; 11] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];

impl Made {
    /// On registers 0 to 3; a jump stays within a program of `length`.
    fn any(length: usize) -> impl Strategy<Value = Self> {
        (0..8_u8, 0..4_u8, 0..4_u8, -3..4_i32, 0..length, proptest::sample::select(&COMPARISONS[..]))
            .prop_map(|(what, to, from, value, place, comparison)| Self { what, to, from, value, place, comparison })
    }

    fn at(&self, at: usize) -> bpf_insn {
        let &Self { to, from, value, comparison, .. } = self;
        let by = self.place as i16 - at as i16 - 1;
        let class = if value % 2 == 0 { JMP } else { JMP32 };
        match self.what {
            0 | 1 => set(to, value),
            2 => instruction(ALU | 0xb0 | REGISTER, to, from, 0),
            3 => instruction(ALU64 | 0x50, to, 0, value),
            4 => load(to),
            5 => jump(JUMP, 0, 0, by),
            6 => jump(class | comparison, to, value, by),
            _ => bpf_insn { off: by, ..instruction(class | comparison | REGISTER, to, from, 0) },
        }
    }
}

fn program(length: usize) -> impl Strategy<Value = Vec<bpf_insn>> {
    proptest::collection::vec(Made::any(length), length)
        .prop_map(|all| all.iter().enumerate().map(|(at, made)| made.at(at)).chain([exit()]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pruned_program_does_what_it_did(program in (1..24_usize).prop_flat_map(program), loaded in -3..4_i64) {
        let mut left = program.clone();
        prune(&mut left, &mut Vec::new());
        prop_assert!(left.len() <= program.len());
        // The pruned one needs fewer steps.
        if let Some(expected) = outcome(&program, loaded as u64) {
            prop_assert_eq!(outcome(&left, loaded as u64), Some(expected));
        }
    }
}
