//! The results of all machines as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::console::{Group, Results};

/// What one machine did.
pub(crate) struct Run {
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Mechanisms that are known not to work there; none where nothing is known.
    pub(crate) lacks: Option<&'static [&'static str]>,
    /// Mechanisms, and groups of tests, that are known not to see everything there.
    pub(crate) loses: &'static [&'static str],
    /// What its console told, one for each mechanism.
    pub(crate) results: Vec<Results>,
    /// Where its whole console is.
    pub(crate) log: PathBuf,
    /// From start to end.
    pub(crate) took: Duration,
}

impl Run {
    /// Whether nothing failed, and nothing was impossible that should not be. Tests that fail with
    /// a mechanism that loses calls do not matter.
    pub(crate) fn succeeded(&self) -> bool {
        self.results.iter().all(|results| {
            let loses = |group: &Group| self.loses(&results.mechanism) || self.loses(&group.name);
            let is_fine = |group: &Group| group.failed.is_empty() || (loses(group) && !group.is_machine());
            results.groups.iter().all(is_fine) && !(self.must_work(results) && results.impossible.is_some())
        })
    }

    /// Whether the filters left any test.
    pub(crate) fn ran_tests(&self) -> bool {
        self.results.iter().flat_map(|results| &results.groups).any(|group| counts(group) != [0; 3])
    }

    /// Whether the kernel is known to have the mechanism.
    fn must_work(&self, results: &Results) -> bool {
        self.lacks.is_some_and(|lacks| !lacks.contains(&results.mechanism.as_str()))
    }

    /// Whether the mechanism, or what a group of tests is about, is known to lose calls there.
    fn loses(&self, name: &str) -> bool {
        self.loses.contains(&name)
    }

    fn title(&self, results: &Results) -> String {
        format!("{} {}", self.kernel, results.mechanism)
    }
}

/// Failures with what they printed, a table of kernel, mechanism and group, and why the rest was not possible.
pub(crate) fn text(runs: &[Run]) -> String {
    let mut text = String::new();
    let each = || runs.iter().flat_map(|run| run.results.iter().map(move |results| (run, results)));
    for (run, results) in each() {
        for group in &results.groups {
            for (name, output) in &group.failed {
                let title = run.title(results);
                let _ = writeln!(text, "\n---- {title}: {}::{name} failed ----\n{}", group.name, output.trim_end());
            }
            for (name, output) in &group.unstable {
                let title = run.title(results);
                let what = "failed, and passed when it was run again";
                let _ = writeln!(text, "\n---- {title}: {}::{name} {what} ----\n{}", group.name, output.trim_end());
            }
        }
    }
    table(&mut text, runs);
    text.push('\n');
    for (run, results) in each() {
        if let Some(reason) = &results.impossible {
            let judgement = if run.must_work(results) { ", but should be" } else { "" };
            let _ = writeln!(text, "{} is not possible{judgement}: {reason}", run.title(results));
        }
        for group in &results.groups {
            for (name, _) in &group.unstable {
                let _ = writeln!(text, "{} {}::{name} is unstable", run.title(results), group.name);
            }
        }
        let failed = || results.groups.iter().filter(|group| !group.failed.is_empty());
        if run.loses(&results.mechanism) && failed().next().is_some() {
            let _ = writeln!(text, "{} is known to lose calls: its failures do not count", run.title(results));
        }
        for group in failed().filter(|group| run.loses(&group.name)) {
            let _ = writeln!(text, "{} {} is known to lose calls: its failures do not count", run.kernel, group.name);
        }
    }
    // A reason holds for all mechanisms, mostly.
    let mut reasons: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (run, results) in each() {
        for group in &results.groups {
            for (name, reason) in &group.skipped {
                let mechanisms = reasons.entry((&run.kernel, &group.name, name, reason)).or_default();
                mechanisms.push(results.mechanism.as_str());
            }
        }
    }
    for ((kernel, group, name, reason), mechanisms) in reasons {
        let _ = writeln!(text, "{kernel} {}: {group}::{name} is not possible: {reason}", mechanisms.join(","));
    }
    for run in runs {
        let _ = writeln!(text, "{}: {} s, console in {}", run.kernel, run.took.as_secs(), run.log.display());
    }
    text
}

fn table(text: &mut String, runs: &[Run]) {
    let kernel = runs.iter().map(|run| run.kernel.len()).chain(["KERNEL".len()]).max().unwrap_or_default();
    let mut line = |kernel_name: &str, mechanism: &str, tests: &str, numbers: [String; 4], failures: &str| {
        let [passed, failed, skipped, seconds] = numbers;
        let line = format!(
            "{kernel_name:kernel$}  {mechanism:10}  {tests:10}  {passed:>6}  {failed:>6}  {skipped:>12}  {seconds:>7}  {failures}"
        );
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line("", "", "", Default::default(), "");
    line("KERNEL", "MECHANISM", "TESTS", ["PASSED", "FAILED", "NOT POSSIBLE", "SECONDS"].map(str::to_owned), "");
    for run in runs {
        for results in &run.results {
            let mut sums = [0; 3];
            for group in &results.groups {
                let counts = counts(group);
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                if counts != [0; 3] {
                    let failures: Vec<_> = group.failed.iter().map(|(name, _)| name.as_str()).collect();
                    let [passed, failed, skipped] = counts.map(|count| count.to_string());
                    let numbers = [passed, failed, skipped, String::new()];
                    line(&run.kernel, &results.mechanism, &group.name, numbers, &failures.join(" "));
                }
            }
            let [passed, failed, skipped] = sums.map(|sum| sum.to_string());
            let numbers = match results.impossible {
                Some(_) => ["-".into(), "-".into(), "all".into(), String::new()],
                None => [passed, failed, skipped, results.took.to_string()],
            };
            line(&run.kernel, &results.mechanism, "all", numbers, "");
        }
    }
}

/// Tests that passed, that failed and that were skipped. One may skip several of its cases.
fn counts(group: &Group) -> [usize; 3] {
    let mut skipped: Vec<_> = group.skipped.iter().map(|(name, _)| name).collect();
    skipped.sort();
    skipped.dedup();
    [group.passed.len(), group.failed.len(), skipped.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with tracepoints in which one test of a group failed.
    fn run(group: &str, test: &str) -> Run {
        let failed = vec![(test.to_owned(), "1 of 7 differ\n".to_owned())];
        let group = Group { name: group.to_owned(), failed, ..Group::default() };
        let results = Results { mechanism: "tracepoint".into(), groups: vec![group], took: 90, ..Results::default() };
        Run {
            kernel: "6.1".into(),
            lacks: Some(&["fentry"]),
            loses: &[],
            results: vec![results],
            log: "log".into(),
            took: Duration::from_secs(95),
        }
    }

    #[test]
    fn failures_do_not_count_where_calls_are_known_to_be_lost() {
        assert!(!run("top", "a").succeeded());
        assert!(Run { loses: &["tracepoint"], ..run("top", "a") }.succeeded());
        assert!(!Run { loses: &["kprobe"], ..run("top", "a") }.succeeded());
        assert!(Run { loses: &["uring"], ..run("uring", "a") }.succeeded());
        assert!(!Run { loses: &["uring"], ..run("top", "a") }.succeeded());
        // A kernel that panics is another matter.
        assert!(!Run { loses: &["tracepoint"], ..run("(boot)", "(not reached)") }.succeeded());
        assert!(!Run { loses: &["tracepoint"], ..run("top", "(between tests)") }.succeeded());
    }

    #[test]
    fn mechanism_may_be_impossible_only_where_it_is_known_to_be() {
        let impossible = |mechanism: &str| {
            let results =
                Results { mechanism: mechanism.into(), impossible: Some("errno 524".into()), ..Results::default() };
            Run { results: vec![results], ..run("top", "a") }
        };
        assert!(impossible("fentry").succeeded());
        assert!(!impossible("kprobe").succeeded());
    }

    #[test]
    fn text_has_failures_a_table_and_reasons() {
        let mut run = run("top", "a");
        run.results[0].groups[0].skipped.push(("b".into(), "needs loop devices".into()));
        run.results[0].groups[0].passed.push("c".into());
        run.results[0].groups[0].unstable.push(("c".into(), "too slow\n".into()));
        insta::assert_snapshot!(text(&[run]));
    }
}
