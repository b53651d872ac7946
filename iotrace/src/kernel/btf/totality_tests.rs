//! Any bytes give a value or an error.
#![allow(clippy::unwrap_used)]

use super::{
    Btf,
    testing::{Blob, running_kernel},
};
use crate::kernel::{block::BlockFacts, layout::kernel_layout};
use proptest::prelude::*;
use std::path::Path;

/// Asks everything that can be asked.
fn exercise(bytes: Vec<u8>) {
    let Ok(btf) = Btf::parse(bytes) else { return };
    let _ = kernel_layout(&btf, Path::new("/nowhere"));
    let facts = BlockFacts::from_btf(&btf);
    let _ = facts.operation(u32::MAX);
    for path in ["a.b", "a.b.c", "a.b[1]", "a.b[e][2].c", "file.f_path[path].dentry"] {
        let _ = btf.byte_offset(path);
    }
    for name in ["a", "b", "t", "e", "file"] {
        let _ = (btf.enumerators(name), btf.enumerator(name), btf.function(name));
        let _ = (btf.tracepoint_parameters(name), btf.tracepoint_type_id(name));
    }
}

/// One type of each kind, with short names that the queries above ask for.
fn small() -> Vec<u8> {
    let mut blob = Blob::default();
    let int = blob.int("int", 4);
    let inner = blob.structure("", 8, &[("c", int, 0), ("d", int, 32)]);
    let grid = blob.array(inner, 3);
    let grid = blob.array(grid, 3);
    let alias = blob.constant(grid);
    let alias = blob.typedef("b", alias);
    blob.union("a", 72, &[("", inner, 0), ("b", alias, 0)]);
    blob.structure_with_bit_fields("a", 72, &[("", inner, 0), ("b", inner, 1 << 24 | 64)]);
    blob.enumeration("e", true, &[("e", 1), ("t", -1)]);
    blob.enumeration64("e", false, &[("e", 1), ("a", -1)]);
    let pointer = blob.pointer(inner);
    let prototype = blob.prototype(&[pointer, alias, int]);
    blob.function("a", prototype);
    blob.tracepoint("t", &[pointer, pointer]);
    blob.bytes()
}

fn mutate(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)], keep: Option<prop::sample::Index>) -> Vec<u8> {
    for (at, value) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    if let Some(keep) = keep {
        bytes.truncate(keep.index(bytes.len()));
    }
    bytes
}

fn changes(count: usize) -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..count)
}

/// Bytes that begin as BTF does, so that the reader gets past the header.
fn with_header(types: Vec<u8>, strings: Vec<u8>) -> Vec<u8> {
    let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
    let header = [0x0001_eb9f, 24, 0, types_len, types_len, strings_len];
    header.iter().flat_map(|word: &u32| word.to_le_bytes()).chain(types).chain(strings).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(bytes);
    }

    #[test]
    fn random_header(words in prop::collection::vec(prop_oneof![any::<u32>(), 0_u32..100], 8)) {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain([0; 100]).collect();
        bytes[..4].copy_from_slice(&[0x9f, 0xeb, 1, 0]);
        exercise(bytes);
    }

    /// Types without trailing data that refer to each other at random, named `a`, `b` and so on.
    #[test]
    fn random_references(types in prop::collection::vec((0_u32..9, prop::sample::select(vec![2, 7, 8, 9, 10, 11, 12, 18]), 0_u32..12), 1..12)) {
        let records = types.iter().flat_map(|(name, kind, target)| [*name, kind << 24, *target]);
        exercise(with_header(records.flat_map(u32::to_le_bytes).collect(), b"\0a\0b\0t\0e\0".to_vec()));
    }

    #[test]
    fn mutated_small_file(changes in changes(6), keep in prop::option::weighted(0.2, any::<prop::sample::Index>())) {
        exercise(mutate(small(), &changes, keep));
    }
}

proptest! {
    // Few, because each copies some megabytes.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_running_kernel(changes in changes(6), keep in prop::option::weighted(0.1, any::<prop::sample::Index>())) {
        let Some(btf) = running_kernel() else { return Ok(()) };
        exercise(mutate(btf.data.to_vec(), &changes, keep));
    }
}
