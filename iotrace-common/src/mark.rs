//! Marks in the instructions of the kernel side, which the loader replaces.
//!
//! The compiler sees numbers of which nothing is known, the verifier the constants of this kernel and this run.

/// High half of an immediate that stands for a word of [`crate::layout::KernelLayout`]; the low half is its place, bytes.
pub const LAYOUT: u32 = 0x5a4c_0000;
/// The same, of [`crate::config::Config`].
pub const CONFIG: u32 = 0x5a43_0000;
/// High half of an immediate that stands for a bit of [`crate::config::Config::flags`]; the low half is its number.
pub const FLAG: u32 = 0x5a46_0000;
/// A call of this number stands for `bpf_rdonly_cast`.
pub const CAST: i32 = 0x5a54_0000;
/// A jump if a number is greater than this one, which none of those compared is, stands for `may_goto`.
pub const MAY_GOTO: i32 = 0x5a4d_0000;
