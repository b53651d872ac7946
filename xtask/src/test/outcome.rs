//! Counts results in the output of `cargo test`.

use super::skips::Skip;

/// Sums over all test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: usize,
    failed: usize,
    /// Tests with `#[ignore]`: nothing runs them, so they are skipped ones.
    pub(crate) ignored: Vec<Skip>,
}

impl Counts {
    /// Takes in one line of output. Two kinds count: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, and
    /// `test name ... ignored, reason`, as the result does not name the test.
    pub(crate) fn add_line(&mut self, line: &str) {
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
        assert_eq!(counts, Counts { passed: 8, failed: 2, ignored: Vec::new() });
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
        let counts = Counts { passed: 8, failed: 2, ignored: vec![Skip::new("a", "")] };
        assert_eq!(counts.summary(3), "5 passed, 2 failed, 4 skipped");
    }
}
