//! What this kernel and this user allow: first facts are looked up ([`facts`]) and mechanisms tried ([`trial`]), then they are
//! judged without asking the kernel again ([`judge`], [`explain`]).

pub mod checks;
pub mod explain;
pub mod facts;
pub mod judge;
pub mod outcome;
pub mod report;
#[cfg(test)]
pub(crate) mod sample;
pub mod trial;

pub use report::{Attempt, Check, Report, State};

use crate::kernel::{mechanism::Mechanism, preemption};
use facts::{Facts, Rights, Settings, Types};
use std::path::Path;

/// Looks at everything and tries everything. When this returns, nothing of it is attached any more.
pub fn examine() -> Report {
    judge::report(&facts())
}

/// Why nothing can be traced here, or not with the mechanism that was asked for, where that is known: what the kernel or the machine
/// lacks, and what to do about it.
pub fn cause(wanted: Option<Mechanism>) -> Option<anyhow::Error> {
    let facts = facts();
    judge::cause(&facts).or_else(|| judge::denial(&facts, wanted?)).map(anyhow::Error::msg)
}

fn facts() -> Facts {
    let root = Path::new("/");
    let (types, known) = Types::read(root);
    Facts {
        release: facts::release(root),
        // The program's own: it has 64 bits, and no 64-bit kernel runs those of another.
        architecture: std::env::consts::ARCH,
        preemption: preemption::read(root),
        types,
        rights: Rights::read(root),
        settings: Settings::read(root),
        maps: trial::maps(known.as_ref()),
        trials: trial::mechanisms(known.as_ref()),
    }
}
