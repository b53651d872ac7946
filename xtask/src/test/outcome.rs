//! Counts results in the output of `cargo test`.

use super::skips::Skip;

/// More failures than these are no accident.
const DOUBTFUL_MAX: usize = 3;

/// Sums over all test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: usize,
    failed: usize,
    /// Names of tests that failed, as the lists at the end of the test binaries have them.
    failures: Vec<String>,
    in_list: bool,
    /// Tests that failed and then passed alone.
    unstable: Vec<String>,
    /// Tests with `#[ignore]`: nothing runs them, so they are skipped ones.
    pub(crate) ignored: Vec<Skip>,
}

impl Counts {
    /// Takes in one line of output. Two kinds count: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, and
    /// `test name ... ignored, reason`, as the result does not name the test.
    pub(crate) fn add_line(&mut self, line: &str) {
        match line.strip_prefix("    ").map(str::trim_end) {
            Some(name) if self.in_list && !name.contains(char::is_whitespace) => self.failures.push(name.to_owned()),
            _ => self.in_list = line.trim_end() == "failures:" || (self.in_list && line.trim().is_empty()),
        }
        if let Some((_, numbers)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) {
            numbers.split(';').for_each(|number| self.add_number(number));
        } else if let Some((test, reason)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored"))
        {
            self.ignored.push(Skip::new(test, reason.trim_start_matches(", ")));
        }
    }

    fn add_number(&mut self, number: &str) {
        if let Some((number, kind)) = number.trim().split_once(' ') {
            let number = number.parse().unwrap_or(0);
            match kind {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                _ => {}
            }
        }
    }

    /// The tests that are worth another look: those that failed, if they are few. What is broken fails again.
    pub(crate) fn doubtful(&self) -> &[String] {
        let all_known = self.failures.len() == self.failed;
        if all_known && self.failed <= DOUBTFUL_MAX { &self.failures } else { &[] }
    }

    /// Takes in how the doubtful ones fared when they were run again; whether none failed twice.
    pub(crate) fn settle(&mut self, again: &Self) -> bool {
        if again.failed > 0 || again.passed < self.failures.len() {
            return false;
        }
        self.unstable = std::mem::take(&mut self.failures);
        self.passed += std::mem::take(&mut self.failed);
        true
    }

    /// Tests that failed and then passed alone.
    pub(crate) fn unstable(&self) -> &[String] {
        &self.unstable
    }

    /// The closing line. A test that skips itself returns early and is a passed one to cargo; here it is not.
    pub(crate) fn summary(&self, skipped: usize) -> String {
        let passed = self.passed.saturating_sub(skipped);
        format!("{passed} passed, {} failed, {} skipped", self.failed, skipped + self.ignored.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_are_added() {
        let mut counts = Counts::default();
        counts.add_line(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s\n",
        );
        counts.add_line(
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1s\n",
        );
        assert_eq!(counts, Counts { passed: 8, failed: 2, ..Counts::default() });
    }

    #[test]
    fn ignored_test_is_named() {
        let mut counts = Counts::default();
        counts.add_line("test open::raw ... ignored, takes an hour\n");
        counts.add_line("test open::cut ... ignored\n");
        assert_eq!(counts.ignored, [Skip::new("open::raw", "takes an hour"), Skip::new("open::cut", "")]);
    }

    #[test]
    fn other_lines_do_not_count() {
        let mut counts = Counts::default();
        for line in ["running 3 tests", "test a ... ok", "test result: ", "the test result: ok. 3 passed; 0 failed"] {
            counts.add_line(line);
        }
        assert_eq!(counts, Counts::default());
    }

    #[test]
    fn skipped_test_is_not_a_passed_one() {
        let counts = Counts { passed: 8, failed: 2, ignored: vec![Skip::new("a", "")], ..Counts::default() };
        assert_eq!(counts.summary(3), "5 passed, 2 failed, 4 skipped");
    }

    /// What a binary prints whose tests of these names fail.
    fn failing(names: &[&str]) -> Counts {
        let mut counts = Counts::default();
        let list: String = names.iter().map(|name| format!("    {name}\n")).collect();
        let result = format!("test result: FAILED. 5 passed; {} failed; 0 ignored\n", names.len());
        let text = format!("\nfailures:\n\n---- a stdout ----\nleft: 1\n    at x.rs\n\nfailures:\n{list}\n{result}");
        text.split_inclusive('\n').for_each(|line| counts.add_line(line));
        counts
    }

    #[test]
    fn few_failures_are_looked_at_again() {
        assert_eq!(failing(&["a", "open::b"]).doubtful(), ["a", "open::b"]);
        assert_eq!(failing(&["a", "b", "c", "d"]).doubtful(), [""; 0]);
        // A binary that was killed has no list.
        let killed = Counts { failed: 1, ..Counts::default() };
        assert_eq!(killed.doubtful(), [""; 0]);
    }

    #[test]
    fn what_fails_twice_has_failed() {
        let mut counts = failing(&["a", "b"]);
        assert!(!counts.settle(&Counts { passed: 1, failed: 1, ..Counts::default() }));
        assert!(!counts.settle(&Counts { passed: 1, ..Counts::default() }), "one was not found");
        assert_eq!(counts.summary(0), "5 passed, 2 failed, 0 skipped");
        assert!(counts.settle(&Counts { passed: 2, ..Counts::default() }));
        assert_eq!((counts.summary(0).as_str(), counts.unstable().len()), ("7 passed, 0 failed, 0 skipped", 2));
    }
}
