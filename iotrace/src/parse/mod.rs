//! Words of the command line: durations, sizes, globs, operations.
//!
//! Each parser is a plain function or `FromStr`, so that clap can use it as a `value_parser`; an error is one line that
//! says what was expected.

mod duration;
mod glob;
mod operations;
mod size;

pub use duration::{duration, latency};
pub use glob::{CommGlob, GlobError, matches};
pub use operations::{FileOp, UnknownOp};
pub use size::{memory, size};
