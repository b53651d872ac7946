//! Marks in the instructions of the kernel side, which the loader replaces.
//!
//! The compiler sees numbers of which nothing is known, the verifier the constants of this kernel and this run.

/// High half of an immediate that stands for a word of [`crate::layout::KernelLayout`]; the low half is its place, bytes.
pub const LAYOUT: u32 = 0x5a4c_0000;
/// The same, of [`crate::config::Config`].
pub const CONFIG: u32 = 0x5a43_0000;
/// High half of an immediate that stands for a bit of [`crate::config::Config::flags`]; the low half is its number.
pub const FLAG: u32 = 0x5a46_0000;
/// A move of such an immediate stands before a load: it becomes the load's offset, and the move nothing. As [`LAYOUT`].
pub const LOAD: u32 = 0x5a4f_0000;
/// High half of an immediate that stands for a number of the system call whose function a program is at: [`CALL_NAME`] or
/// [`CALL_NUMBER`].
pub const CALL: u32 = 0x5a50_0000;
/// Its number in [`crate::call::NAMES`], with [`crate::thread::QUICK`].
pub const CALL_NAME: u32 = 0;
/// Its number for the kernel.
pub const CALL_NUMBER: u32 = 4;
/// An immediate that stands for the number of equal programs before this one at its tracepoint.
pub const TURN: u32 = 0x5a53_0000;
/// A 64-bit immediate that stands for the array through which a program goes on with another.
pub const ARRAY: i32 = 0x5a51_0000;
/// A call of this number stands for `bpf_rdonly_cast`.
pub const CAST: i32 = 0x5a54_0000;
/// A jump if a number is greater than this one, which none of those compared is, stands for `may_goto`.
pub const MAY_GOTO: i32 = 0x5a4d_0000;
