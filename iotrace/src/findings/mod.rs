//! What is wrong, from what was seen: rules over exact facts, each in a file of its own.
//!
//! Pure: no kernel, no clock, no terminal. A rule has its thresholds as constants, and a page in `docs/findings/`.

mod facts;
mod finding;
mod one_byte_reads;
mod read_again;
mod runaway_log;
mod small_writes;
mod space;
mod sync_per_write;
mod words;

pub use facts::{Facts, Growth};
pub use finding::{Finding, Severity};

/// A way to be wrong.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, as `--explain` takes it.
    pub name: &'static str,
    /// Its page of the documentation.
    pub page: &'static str,
    /// Looks for it.
    find: fn(&Facts) -> Vec<Finding>,
}

/// All rules.
pub const RULES: &[Rule] =
    &[sync_per_write::RULE, small_writes::RULE, one_byte_reads::RULE, read_again::RULE, runaway_log::RULE, space::RULE];

/// All that is wrong: the worst first, and of equals what costs most time.
#[must_use]
pub fn all(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = RULES.iter().flat_map(|rule| (rule.find)(facts)).collect();
    found.sort_by(|a, b| {
        (b.severity, b.cost).cmp(&(a.severity, a.cost)).then_with(|| (a.rule, &a.headline).cmp(&(b.rule, &b.headline)))
    });
    found
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
