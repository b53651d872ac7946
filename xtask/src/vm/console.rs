//! What a guest says on its console: lines of libtest, and lines of `guest/init.sh` that begin with `@@`.

use std::mem;

/// One test executable in one machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// The executable's name.
    pub(crate) name: String,
    /// Names of tests that passed or, as libtest does not know of skipping, were skipped.
    pub(crate) passed: Vec<String>,
    /// Tests that failed, with what they printed.
    pub(crate) failed: Vec<(String, String)>,
    /// Tests that cannot run there, with the reason.
    pub(crate) skipped: Vec<(String, String)>,
}

/// A test has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// `group::name`.
    pub(crate) test: String,
    /// `ok`, `FAILED` or `ignored`.
    pub(crate) result: &'static str,
}

/// All that a machine did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    /// One for each test executable.
    pub(crate) groups: Vec<Group>,
    /// Why the mechanism does not work on that kernel, by its own words.
    pub(crate) impossible: Option<String>,
}

/// Reads a console, line by line.
#[derive(Debug, Default)]
pub(crate) struct Console {
    results: Results,
    /// Announced and not yet ended.
    running: Option<String>,
    /// Whose output follows.
    output_of: Option<String>,
    ended: bool,
    /// The end of what is none of these.
    other: Vec<String>,
}

impl Console {
    /// Takes in a line.
    pub(crate) fn add_line(&mut self, line: &str) -> Option<Event> {
        if let Some(report) = line.strip_prefix("@@ ") {
            self.add_report(report);
        } else if let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            self.running = Some(name.to_owned());
            return self.end_test(rest);
        } else if line.starts_with("test ") && line.ends_with(" ...") {
            self.running = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ...")).map(str::to_owned);
        } else if self.running.is_some() {
            // Somebody wrote between a test's name and its result.
            self.other.push(line.to_owned());
            return self.end_test(line);
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            self.output_of = Some(name.to_owned());
        } else if line == "failures:" {
            self.output_of = None;
        } else if let Some(name) = &self.output_of {
            let failed =
                self.results.groups.last_mut().and_then(|group| group.failed.iter_mut().find(|(test, _)| test == name));
            if let Some((_, output)) = failed {
                output.push_str(line);
                output.push('\n');
            }
        } else {
            self.other.push(line.to_owned());
        }
        None
    }

    fn end_test(&mut self, text: &str) -> Option<Event> {
        let result = ["ok", "FAILED"].into_iter().find(|result| text.ends_with(result));
        let result = result.or_else(|| text.starts_with("ignored").then_some("ignored"))?;
        let (name, group) = (self.running.take()?, self.results.groups.last_mut()?);
        match result {
            "ok" => group.passed.push(name.clone()),
            "FAILED" => group.failed.push((name.clone(), String::new())),
            _ => group.skipped.push((name.clone(), text.trim_start_matches("ignored").trim_start_matches(", ").into())),
        }
        Some(Event { test: format!("{}::{name}", group.name), result })
    }

    fn add_report(&mut self, report: &str) {
        let (word, rest) = report.split_once(' ').unwrap_or((report, ""));
        match word {
            "group" => self.results.groups.push(Group { name: rest.to_owned(), ..Group::default() }),
            "skip" => self.add_skip(rest),
            "status" => self.close_group(rest),
            "impossible" => self.results.impossible = Some(rest.trim().to_owned()),
            "end" => self.ended = true,
            _ => self.other.push(report.to_owned()),
        }
    }

    /// `group::name: reason`. A test that skips several of its cases has several lines.
    fn add_skip(&mut self, line: &str) {
        let (test, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
        let Some(group) = self.results.groups.last_mut() else { return };
        let name = test.split_once("::").map_or(test, |(_, name)| name);
        group.passed.retain(|passed| passed != name);
        group.skipped.push((name.to_owned(), reason.to_owned()));
    }

    /// A test executable that ends badly without a failed test has been killed.
    fn close_group(&mut self, status: &str) {
        let running = self.running.take();
        self.output_of = None;
        let output = mem::take(&mut self.other);
        let Some(group) = self.results.groups.last_mut() else { return };
        if status != "0" && (group.failed.is_empty() || running.is_some()) {
            let name = running.unwrap_or_else(|| "(the whole group)".to_owned());
            group.failed.push((name, format!("exit status {status}\n{}\n", output.join("\n"))));
        }
    }

    /// The results. A machine that did not say that it is done has failed, in the test that was running.
    pub(crate) fn finish(mut self, out_of_time: bool) -> Results {
        if !self.ended {
            let why = if out_of_time { "the machine was out of time" } else { "the machine ended" };
            let tail = self.other.split_off(self.other.len().saturating_sub(40)).join("\n");
            let name = self.running.take().unwrap_or_else(|| "(between tests)".to_owned());
            if self.results.groups.is_empty() {
                self.results.groups.push(Group { name: "(boot)".to_owned(), ..Group::default() });
            }
            if let Some(group) = self.results.groups.last_mut() {
                group.failed.push((name, format!("{why}; last on its console:\n{tail}\n")));
            }
        }
        self.results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Group> {
        let mut console = Console::default();
        for line in text.lines() {
            console.add_line(line);
        }
        console.finish(false).groups
    }

    fn names(tests: &[(String, String)]) -> Vec<&str> {
        tests.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn passed_failed_and_skipped_tests_are_told_apart() {
        let groups = read(
            "@@ group top\n\nrunning 4 tests\ntest a ... ok\ntest b ... FAILED\ntest c ... ok\ntest d ... ignored, slow\n\n\
             failures:\n\n---- b stdout ----\nb is wrong\n\nfailures:\n    b\n\n\
             test result: FAILED. 2 passed; 1 failed\n@@ skip top::c: needs loop devices: none\n@@ status 101\n@@ end",
        );
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].passed, ["a"]);
        assert_eq!(groups[0].failed, [("b".to_owned(), "b is wrong\n\n".to_owned())]);
        assert_eq!(names(&groups[0].skipped), ["d", "c"]);
        assert_eq!(groups[0].skipped[1].1, "needs loop devices: none");
    }

    #[test]
    fn output_before_the_result_does_not_hide_it() {
        let groups =
            read("@@ group top\ntest a ... noise\nmore noise\nok\ntest b ... okay? FAILED\n@@ status 101\n@@ end");
        assert_eq!(groups[0].passed, ["a"]);
        assert_eq!(names(&groups[0].failed), ["b"]);
    }

    #[test]
    fn machine_that_stops_has_failed_in_the_running_test() {
        let groups = read("@@ group top\ntest a ... ok\ntest b ... Kernel panic - not syncing");
        assert_eq!(names(&groups[0].failed), ["b"]);
        assert_eq!(names(&read("Kernel panic")[0].failed), ["(between tests)"]);
    }

    #[test]
    fn mechanism_that_does_not_work_has_a_reason() {
        let mut console = Console::default();
        for line in ["@@ impossible iotrace: cannot attach: errno 524 ", "@@ end"] {
            console.add_line(line);
        }
        let results = console.finish(false);
        assert_eq!(results.impossible.as_deref(), Some("iotrace: cannot attach: errno 524"));
        assert_eq!(results.groups, []);
    }

    #[test]
    fn killed_executable_has_failed() {
        let groups = read("@@ group top\ntest a ... \n@@ status 139\n@@ end");
        assert_eq!(names(&groups[0].failed), ["a"]);
    }
}
