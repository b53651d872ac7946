//! What came of trying a mechanism.

use crate::kernel::mechanism::{Mechanism, Subject};

/// One mechanism tried for one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The subject.
    pub subject: Subject,
    /// Whether its programs could be loaded and attached.
    pub outcome: Result<(), Refusal>,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not tried: BTF, or something in it, is missing.
    NoTypes,
    /// It would not see everything, for this reason.
    Unfit(String),
    /// The kernel's list of event sources has no kprobes.
    NoProbes,
    /// There is none of these tracepoints that programs could read.
    NoTracepoint {
        /// Names: the first that there is would be used.
        names: &'static [&'static str],
        /// Whether there is one, with arguments that no program reads.
        known: bool,
    },
    /// The object's maps could not be made.
    Object(Words),
    /// A program could not be loaded or attached.
    Program {
        /// Its name in the object.
        program: &'static str,
        /// Where it stopped; `None` where the two cannot be told apart.
        step: Option<Step>,
        /// What the kernel said.
        words: Words,
    },
}

/// What is done with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The verifier looks at it.
    Load,
    /// It is put into its place.
    Attach,
}

/// What the kernel said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Its error number, where a system call failed.
    pub errno: Option<i32>,
    /// Text, for people.
    pub text: String,
}
