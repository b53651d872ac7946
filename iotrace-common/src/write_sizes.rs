//! How large writes are, counted by powers of two.

use bytemuck::{Pod, Zeroable};

/// Classes of sizes, a power of two: nothing, one byte, two and three, four to seven, and so on; the last has all that is larger.
pub const CLASSES: usize = 16;

/// Writes of a sum that succeeded, by class. Written by who writes the sum, who is alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct WriteSizes {
    /// How many.
    pub counts: [u64; CLASSES],
}

impl WriteSizes {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }
}

/// The most bytes of a class; the last has none.
#[must_use]
pub const fn most(class: usize) -> u64 {
    if class + 1 >= CLASSES { u64::MAX } else { (1 << class) - 1 }
}
