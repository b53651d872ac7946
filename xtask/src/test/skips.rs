//! Tests that could not run here. Each appends a line `test name: reason` to the file named by `IOTRACE_SKIPS`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Tests that cannot run where CI runs: name, and why not. Any other skipped test fails a run with `CI` set.
const KNOWN_SKIPS: &[(&str, &str)] = &[
    (
        "refused::a_kernel_that_is_locked_down",
        "one cannot go back from it: `cargo xtask vm --append lockdown=confidentiality refused`",
    ),
    ("stacked::a_mirror_stands_on_its_disks_and_each_write_is_on_both", NO_STACKS),
    ("stacked::an_encrypted_device_stands_on_its_disk", NO_STACKS),
    ("stacked::direct_writes_and_the_journal_of_a_mapped_device_are_charged", NO_STACKS),
    ("stacked::files_on_a_mapped_device_are_charged", NO_STACKS),
    ("stacked::files_on_an_encrypted_device_are_charged", NO_STACKS),
    ("stacked::requests_through_mapped_devices_count_once_with_their_file", NO_STACKS),
    ("stacked::the_table_names_a_device_that_stands_on_several_once_with_its_figures", NO_STACKS),
    ("stacked::what_stands_on_disks_is_a_tree", NO_STACKS),
];

const NO_STACKS: &str = "a kernel without device-mapper and md; the virtual machines have them";

/// One skipped test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    test: String,
    reason: String,
}

impl Skip {
    /// A test and why it did not run; an empty reason is none.
    pub(crate) fn new(test: &str, reason: &str) -> Self {
        let (test, reason) = (test.trim(), reason.trim());
        Self { test: test.to_owned(), reason: if reason.is_empty() { "no reason given" } else { reason }.to_owned() }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.test, self.reason)
    }
}

/// Reads what the tests wrote.
pub(crate) fn read(path: &Path) -> Result<Vec<Skip>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<Skip> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    // With the space: the name itself may hold `::`.
    lines
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(test, reason)| Skip::new(test, reason))
        .collect()
}

/// How many tests these are: one may skip several of its cases.
pub(crate) fn distinct_tests(skips: &[Skip]) -> usize {
    skips.iter().map(|skip| &skip.test).collect::<BTreeSet<_>>().len()
}

/// Fails if a test was skipped that should have run.
pub(crate) fn refuse_unknown(skips: &[Skip]) -> Result<()> {
    let unknown = unknown(skips, KNOWN_SKIPS);
    if !unknown.is_empty() {
        bail!("skipped, but not among KNOWN_SKIPS in xtask/src/test/skips.rs: {}", unknown.join(", "));
    }
    Ok(())
}

fn unknown<'a>(skips: &'a [Skip], known: &[(&str, &str)]) -> Vec<&'a str> {
    let is_known = |skip: &&Skip| known.iter().any(|(test, _)| *test == skip.test);
    skips.iter().filter(|skip| !is_known(skip)).map(|skip| skip.test.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_ends_at_the_first_colon_with_a_space() {
        let skips = parse("fsync::overlay: no module: overlay\n\nopen::raw: no trampolines\nopen::raw: no kprobes\n");
        assert_eq!(skips[0], Skip::new("fsync::overlay", "no module: overlay"));
        assert_eq!(skips.len(), 3);
        assert_eq!(distinct_tests(&skips), 2);
    }

    #[test]
    fn only_known_skips_are_accepted() {
        let skips = parse("a: no module\nb: no module\n");
        assert_eq!(unknown(&skips, &[("a", "CI has no modules")]), ["b"]);
    }
}
