//! What failed operations said.

use bytemuck::{Pod, Zeroable};

/// Key of a count of failures.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct ErrnoKey {
    /// Slot of the sum of the thread and file, see [`crate::sum`]; 0 for all that found none.
    pub slot: u32,
    /// The errno, positive.
    pub errno: u16,
    /// [`crate::io::OP_READ`] and the others.
    pub op: u16,
}

/// Whether a failed open with this errno (positive) is told, where only what says something about the disk is: EIO, ENOSPC, EROFS and
/// EDQUOT of include/uapi/asm-generic/errno.h.
#[must_use]
pub const fn tells_of_the_disk(errno: u64) -> bool {
    matches!(errno, 5 | 28 | 30 | 122)
}
