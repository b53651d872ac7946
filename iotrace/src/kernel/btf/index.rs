//! From a name to the types that have it.

use super::{Btf, Type};

/// Hash table of type ids, with the types of one name in the order of their ids.
///
/// Built once over some kinds: 20,000 names in a millisecond, without an allocation per name.
pub(super) struct NameIndex {
    /// By the top bits of the hash: 1 + position in `entries`, or 0.
    heads: Vec<u32>,
    entries: Vec<Entry>,
    shift: u32,
}

struct Entry {
    id: u32,
    /// 1 + position of the next entry of this bucket, or 0.
    next: u32,
}

impl NameIndex {
    /// Named types of the kinds in `kinds`.
    pub(super) fn build(btf: &Btf<'_>, kinds: &[u32]) -> Self {
        let count: usize = kinds.iter().map(|&kind| btf.count(kind)).sum();
        let bits = (count * 2).next_power_of_two().ilog2().max(1);
        let shift = u64::BITS - bits;
        let mut wanted = [false; super::section::kind::COUNT];
        kinds.iter().for_each(|&kind| wanted[kind as usize] = true);
        let mut heads = vec![0_u32; 1 << bits];
        let mut entries = Vec::with_capacity(count);
        // Backwards, because a new entry goes to the front of its bucket.
        for ty in btf.types().rev() {
            if !wanted[ty.kind() as usize] {
                continue;
            }
            let name = btf.string_and_rest(ty.name_offset());
            if name.first().is_none_or(|&end| end == 0) {
                continue;
            }
            let head = &mut heads[(hash(name) >> shift) as usize];
            entries.push(Entry { id: ty.id(), next: *head });
            *head = entries.len() as u32;
        }
        Self { heads, entries, shift }
    }

    /// Types called `name`, lowest id first.
    pub(super) fn find<'a>(&'a self, btf: &'a Btf<'a>, name: &str) -> impl Iterator<Item = Type<'a>> {
        let entry = |at: u32| self.entries.get((at as usize).wrapping_sub(1));
        let head = self.heads.get((hash(name.as_bytes()) >> self.shift) as usize).copied().unwrap_or(0);
        std::iter::successors(entry(head), move |last| entry(last.next))
            .filter_map(|entry| btf.ty(entry.id))
            .filter(move |ty| btf.is_string(ty.name_offset(), name.as_bytes()))
    }
}

/// Hash of the bytes before the first NUL, or of all of them.
///
/// Eight at a time, looking for the end on the way: most of the time goes into this. The names come from the kernel,
/// nobody attacks with them.
fn hash(name: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mix = |state: u64, word: u64| (state.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let mut state = 0;
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        // The lowest bit set is the top bit of the first zero byte.
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            let before = zeros.trailing_zeros() / 8 * 8;
            return mix(state, word & !(u64::MAX << before));
        }
        state = mix(state, word);
    }
    let mut last = [0; 8];
    for (to, &byte) in last.iter_mut().zip(rest.iter().take_while(|&&byte| byte != 0)) {
        *to = byte;
    }
    mix(state, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn the_hash_ends_at_the_first_nul() {
        for length in 0..20 {
            let name = &b"__x64_sys_name_to_handle_at"[..length];
            let mut stored = name.to_vec();
            stored.extend(b"\0__x64_sys_open\0");
            assert_eq!(hash(&stored), hash(name), "{length}");
            assert_eq!(hash(&stored[..=length]), hash(name), "{length}");
        }
        assert_ne!(hash(b"d_parent"), hash(b"__d_parent"));
    }
}
