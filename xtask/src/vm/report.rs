//! The results of all machines as a table.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::console::{Group, Results};

/// What one machine did.
pub(crate) struct Run {
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The mechanism asked for.
    pub(crate) mechanism: String,
    /// Whether the kernel is known to have the mechanism.
    pub(crate) must_work: bool,
    /// What its console told.
    pub(crate) results: Results,
    /// Where its whole console is.
    pub(crate) log: PathBuf,
    /// From start to end.
    pub(crate) took: Duration,
}

impl Run {
    /// Whether nothing failed, and nothing was impossible that should not be.
    pub(crate) fn succeeded(&self) -> bool {
        let nothing_failed = self.results.groups.iter().all(|group| group.failed.is_empty());
        nothing_failed && !(self.must_work && self.results.impossible.is_some())
    }

    /// Whether the filters left any test.
    pub(crate) fn ran_tests(&self) -> bool {
        self.results
            .groups
            .iter()
            .any(|group| !(group.passed.is_empty() && group.failed.is_empty() && group.skipped.is_empty()))
    }

    fn title(&self) -> String {
        format!("{} {}", self.kernel, self.mechanism)
    }
}

/// Failures with what they printed, skipped tests with their reasons, and a table of kernel, mechanism and group.
pub(crate) fn text(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        for group in &run.results.groups {
            for (name, output) in &group.failed {
                let _ =
                    writeln!(text, "\n---- {}: {}::{name} failed ----\n{}", run.title(), group.name, output.trim_end());
            }
        }
    }
    text.push('\n');
    for run in runs {
        if let Some(reason) = &run.results.impossible {
            let judgement = if run.must_work { ", but should be" } else { "" };
            let _ = writeln!(text, "{} is not possible{judgement}: {reason}", run.title());
        }
        for group in &run.results.groups {
            for (name, reason) in &group.skipped {
                let _ = writeln!(text, "{}: {}::{name} is not possible: {reason}", run.title(), group.name);
            }
        }
    }
    table(&mut text, runs);
    for run in runs {
        let _ = writeln!(text, "{}: {} s, console in {}", run.title(), run.took.as_secs(), run.log.display());
    }
    text
}

fn table(text: &mut String, runs: &[Run]) {
    let widest = |header: &str, of: fn(&Run) -> &str| {
        runs.iter().map(|run| of(run).len()).chain([header.len()]).max().unwrap_or_default()
    };
    let (kernel, mechanism) = (widest("KERNEL", |run| &run.kernel), widest("MECHANISM", |run| &run.mechanism));
    let _ = writeln!(
        text,
        "\n{:kernel$}  {:mechanism$}  {:10}  PASSED  FAILED  NOT POSSIBLE",
        "KERNEL", "MECHANISM", "TESTS"
    );
    for run in runs {
        let mut sums = [0; 3];
        for group in &run.results.groups {
            let skipped = distinct(group);
            let counts = [group.passed.len(), group.failed.len(), skipped];
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            if counts != [0; 3] {
                let [passed, failed, skipped] = counts;
                let failures: Vec<_> = group.failed.iter().map(|(name, _)| name.as_str()).collect();
                let line = format!(
                    "{:kernel$}  {:mechanism$}  {:10}  {passed:6}  {failed:6}  {skipped:12}  {}",
                    run.kernel,
                    run.mechanism,
                    group.name,
                    failures.join(" ")
                );
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        let [passed, failed, skipped] = sums;
        let _ = writeln!(
            text,
            "{:kernel$}  {:mechanism$}  {:10}  {passed:6}  {failed:6}  {skipped:12}",
            run.kernel, run.mechanism, "all"
        );
    }
}

/// How many tests of a group were skipped: one may skip several of its cases.
fn distinct(group: &Group) -> usize {
    let mut names: Vec<_> = group.skipped.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names.len()
}
