//! What is wrong, from what was seen: rules over exact facts, each in a file of its own.
//!
//! Pure: no kernel, no clock, no terminal. A rule has its thresholds as constants, and a page in `docs/findings/`.

mod container_output;
mod disk_saturated;
mod facts;
mod failing_io;
mod finding;
mod image_unpack;
mod missing_read_ahead;
mod nothing_wrong;
mod one_byte_reads;
mod read_again;
mod runaway_log;
mod runtime;
mod runtime_metadata;
mod small_writes;
mod space;
mod sync_per_write;
mod words;

pub use facts::{DiskReads, DiskUse, Facts, Failure, Growth, Held, Pressure, are_of};
pub use finding::{Finding, Proof, Severity};
pub use nothing_wrong::finding as nothing;
pub use space::WARNING as NEARLY_FULL;

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
pub const RULES: &[Rule] = &[
    failing_io::RULE,
    sync_per_write::RULE,
    small_writes::RULE,
    one_byte_reads::RULE,
    read_again::RULE,
    missing_read_ahead::RULE,
    runaway_log::RULE,
    space::RULE,
    container_output::RULE,
    runtime_metadata::RULE,
    image_unpack::RULE,
    disk_saturated::RULE,
    nothing_wrong::RULE,
];

/// All that is wrong: the worst first, and of equals what costs most time. Where nothing is, a single finding that says so.
#[must_use]
pub fn all(facts: &Facts) -> Vec<Finding> {
    let found = RULES.iter().flat_map(|rule| (rule.find)(facts)).collect();
    let mut found = disk_saturated::fold(found);
    found.sort_by(|a, b| {
        (b.severity, b.cost).cmp(&(a.severity, a.cost)).then_with(|| (a.rule, &a.headline).cmp(&(b.rule, &b.headline)))
    });
    if found.is_empty() {
        found.push(nothing_wrong::finding(facts));
    }
    found
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
