//! What is wrong, from what was seen: rules over exact facts, each in a file of its own.
//!
//! Pure: no kernel, no clock, no terminal. A rule has its thresholds as constants, and a page in `docs/findings/`.

mod container_output;
mod copy_up_storm;
mod disk_hangs;
mod disk_saturated;
mod facts;
mod failing_io;
mod finding;
mod image_unpack;
mod journal_contention;
mod missing_read_ahead;
mod nothing_wrong;
mod one_byte_reads;
mod read_again;
mod reopened_per_write;
mod runaway_log;
mod runtime;
mod runtime_metadata;
mod small_writes;
mod space;
mod stdout_not_drained;
mod sync_per_file;
mod sync_per_write;
mod temp_file_churn;
mod throttled;
mod words;

pub use facts::{CopiedUp, DiskReads, DiskUse, Facts, Failure, Growth, Hanging, Held, Pressure, are_of};
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
    disk_hangs::RULE,
    failing_io::RULE,
    sync_per_write::RULE,
    sync_per_file::RULE,
    small_writes::RULE,
    reopened_per_write::RULE,
    temp_file_churn::RULE,
    one_byte_reads::RULE,
    read_again::RULE,
    missing_read_ahead::RULE,
    runaway_log::RULE,
    space::RULE,
    container_output::RULE,
    stdout_not_drained::RULE,
    throttled::DIRTY,
    throttled::LIMIT,
    journal_contention::RULE,
    copy_up_storm::RULE,
    runtime_metadata::RULE,
    image_unpack::RULE,
    disk_saturated::RULE,
    nothing_wrong::RULE,
];

/// All that is wrong: the worst first, and of equals what costs most time. Where nothing is, a single finding that says so.
#[must_use]
pub fn all(facts: &Facts) -> Vec<Finding> {
    let found = RULES.iter().flat_map(|rule| (rule.find)(facts)).collect();
    let mut found = gather(sorted(disk_saturated::fold(found)));
    found = sorted(found);
    if found.is_empty() {
        found.push(nothing_wrong::finding(facts));
    }
    found
}

fn sorted(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by(|a, b| {
        (b.severity, b.cost).cmp(&(a.severity, a.cost)).then_with(|| (a.rule, &a.headline).cmp(&(b.rule, &b.headline)))
    });
    found
}

/// One finding of all processes of a name that do the same to the same file, such as those that serve the clients of a database: the
/// first, with the numbers of the others.
fn gather(found: Vec<Finding>) -> Vec<Finding> {
    let mut gathered: Vec<(Finding, Vec<u32>)> = Vec::new();
    for finding in found {
        let same = |(first, _): &&mut (Finding, Vec<u32>)| {
            let (a, b) = (&first.subject, &finding.subject);
            let file = (a.dev, &a.path) == (b.dev, &b.path) && a.path.is_some();
            first.rule == finding.rule && file && a.comm == b.comm && a.pid != b.pid && a.container() == b.container()
        };
        match gathered.iter_mut().find(same) {
            Some((first, others)) => {
                others.extend(finding.subject.pid);
                first.cost += finding.cost;
                first.proof.extend(finding.proof);
            }
            None => gathered.push((finding, Vec::new())),
        }
    }
    let told = |(mut finding, others): (Finding, Vec<u32>)| {
        if !others.is_empty() {
            finding.evidence.push(words::others(&others));
        }
        finding
    };
    gathered.into_iter().map(told).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
