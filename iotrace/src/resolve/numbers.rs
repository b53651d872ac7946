//! Maps by numbers that the kernel gives: each event looks several up, and nobody chooses them in order to slow iotrace down.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by number.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Multiplies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        // The lowest bits of a product say little, and they choose the place.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::HashSet,
        hash::{BuildHasher, Hash},
    };

    fn places<K: Hash>(keys: impl Iterator<Item = K>) -> usize {
        let state = BuildHasherDefault::<NumberHasher>::default();
        keys.map(|key| state.hash_one(key) & 0xffff).collect::<HashSet<_>>().len()
    }

    #[test]
    fn numbers_of_files_and_processes_spread() {
        // As many as half of the places: by chance 25,800 of them are taken.
        for taken in [
            places(0_u32..32768),
            places((0_u64..32768).map(|time| (1_000_000_000 + time * 1009) << 10 | 3)),
            places((0_u64..32768).map(|number| (254_u32 << 20, Some(number)))),
        ] {
            assert!(taken > 24_000, "{taken}");
        }
    }
}
