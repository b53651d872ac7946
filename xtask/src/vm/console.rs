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
    /// Tests that failed, and passed when they were run again, with what they printed at first. They are among those that passed.
    pub(crate) unstable: Vec<(String, String)>,
    /// Tests that cannot run there, with the reason.
    pub(crate) skipped: Vec<(String, String)>,
}

impl Group {
    /// Whether this is the machine's own failure and not a test's.
    pub(crate) fn is_machine(&self) -> bool {
        self.name.starts_with('(') || self.failed.iter().any(|(test, _)| test.starts_with('('))
    }
}

/// A test has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// `group::name`.
    pub(crate) test: String,
    /// `ok`, `FAILED` or `ignored`.
    pub(crate) result: &'static str,
}

/// What the kernel's verifier told about a program that it accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The function's name.
    pub(crate) name: String,
    /// Instructions that it went through.
    pub(crate) instructions: u64,
    /// What loading took in the guest.
    pub(crate) nanoseconds: u64,
}

/// What a machine did with one mechanism.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    /// The mechanism.
    pub(crate) mechanism: String,
    /// One for each test executable.
    pub(crate) groups: Vec<Group>,
    /// Why the mechanism does not work on that kernel, by its own words.
    pub(crate) impossible: Option<String>,
    /// Each load of a program.
    pub(crate) programs: Vec<Program>,
    /// Seconds from start to end.
    pub(crate) took: u64,
}

/// Reads a console, line by line.
#[derive(Debug, Default)]
pub(crate) struct Console {
    all: Vec<Results>,
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
            let group = self.all.last_mut().and_then(|results| results.groups.last_mut());
            if let Some((_, output)) = group.and_then(|group| group.failed.iter_mut().find(|(test, _)| test == name)) {
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
        let (name, group) = (self.running.take()?, self.all.last_mut()?.groups.last_mut()?);
        match result {
            "ok" => group.passed.push(name.clone()),
            "FAILED" => group.failed.push((name.clone(), String::new())),
            _ => group.skipped.push((name.clone(), text.trim_start_matches("ignored").trim_start_matches(", ").into())),
        }
        Some(Event { test: format!("{}::{name}", group.name), result })
    }

    fn add_report(&mut self, report: &str) {
        let (word, rest) = report.split_once(' ').unwrap_or((report, ""));
        match (word, self.all.last_mut()) {
            ("mechanism", _) => self.all.push(Results { mechanism: rest.to_owned(), ..Results::default() }),
            ("end", _) => self.ended = true,
            ("group", Some(results)) => results.groups.push(Group { name: rest.to_owned(), ..Group::default() }),
            ("skip", Some(_)) => self.add_skip(rest),
            ("unstable", Some(_)) => self.forgive(rest),
            ("status", Some(_)) => self.close_group(rest),
            ("impossible", Some(results)) => results.impossible = Some(rest.trim().to_owned()),
            ("program", Some(results)) => results.programs.extend(program(rest)),
            ("took", Some(results)) => results.took = rest.parse().unwrap_or_default(),
            _ => self.other.push(report.to_owned()),
        }
    }

    /// The mechanism that is being tested.
    pub(crate) fn mechanism(&self) -> &str {
        self.all.last().map_or("", |results| &results.mechanism)
    }

    /// `group::name: reason`. A test that skips several of its cases has several lines.
    fn add_skip(&mut self, line: &str) {
        let (test, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
        let Some(group) = self.group() else { return };
        let name = test.split_once("::").map_or(test, |(_, name)| name);
        group.passed.retain(|passed| passed != name);
        group.skipped.push((name.to_owned(), reason.to_owned()));
    }

    /// A test that failed has passed at the second try.
    fn forgive(&mut self, name: &str) {
        let Some(group) = self.group() else { return };
        let Some(place) = group.failed.iter().position(|(failed, _)| failed == name) else { return };
        let failed = group.failed.remove(place);
        group.passed.push(failed.0.clone());
        group.unstable.push(failed);
    }

    /// A test executable that ends badly without a failed test has been killed.
    fn close_group(&mut self, status: &str) {
        let running = self.running.take();
        self.output_of = None;
        let output = mem::take(&mut self.other);
        let Some(group) = self.group() else { return };
        if status != "0" && (group.failed.is_empty() || running.is_some()) {
            let name = running.unwrap_or_else(|| "(the whole group)".to_owned());
            group.failed.push((name, format!("exit status {status}\n{}\n", output.join("\n"))));
        }
    }

    fn group(&mut self) -> Option<&mut Group> {
        self.all.last_mut()?.groups.last_mut()
    }

    /// The results, in the order of these mechanisms. A machine that did not say that it is done has failed in the test
    /// that was running, and with the mechanisms that it did not come to.
    pub(crate) fn finish(mut self, mechanisms: &[String], out_of_time: bool) -> Vec<Results> {
        if !self.ended {
            let why = if out_of_time { "the machine was out of time" } else { "the machine ended" };
            let tail = self.other.split_off(self.other.len().saturating_sub(40)).join("\n");
            let name = self.running.take().unwrap_or_else(|| "(between tests)".to_owned());
            let failed = (name, format!("{why}; last on its console:\n{tail}\n"));
            match self.group() {
                Some(group) => group.failed.push(failed),
                None => self.fail("(boot)", failed),
            }
        }
        for mechanism in mechanisms {
            if self.all.iter().all(|results| results.mechanism != *mechanism) {
                self.all.push(Results { mechanism: mechanism.clone(), ..Results::default() });
                self.fail("(boot)", ("(not reached)".to_owned(), "the machine did not come to it\n".to_owned()));
            }
        }
        self.all
    }

    /// A failure outside of all groups.
    fn fail(&mut self, group: &str, failed: (String, String)) {
        let group = Group { name: group.to_owned(), failed: vec![failed], ..Group::default() };
        match self.all.last_mut() {
            Some(results) => results.groups.push(group),
            None => self.all.push(Results { mechanism: "(none)".into(), groups: vec![group], ..Results::default() }),
        }
    }
}

/// `name instructions nanoseconds`.
fn program(line: &str) -> Option<Program> {
    let mut words = line.split_whitespace();
    Some(Program {
        name: words.next()?.to_owned(),
        instructions: words.next()?.parse().ok()?,
        nanoseconds: words.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Vec<Results> {
        let mut console = Console::default();
        for line in text.lines() {
            console.add_line(line);
        }
        console.finish(&["fentry".into()], false)
    }

    fn read(text: &str) -> Vec<Group> {
        read_all(&format!("@@ mechanism fentry\n{text}")).remove(0).groups
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
    fn what_passes_the_second_time_is_unstable() {
        let groups = read(
            "@@ group top\ntest a ... FAILED\ntest b ... FAILED\n\nfailures:\n\n---- a stdout ----\ntoo slow\n\nfailures:\n    a\n    b\n\n\
             test result: FAILED. 0 passed; 2 failed\n@@ unstable a\n@@ status 101\n@@ end",
        );
        assert_eq!((groups[0].passed.as_slice(), names(&groups[0].failed)), (["a".to_owned()].as_slice(), vec!["b"]));
        assert_eq!(groups[0].unstable, [("a".to_owned(), "too slow\n\n".to_owned())]);
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
        let all = read_all(
            "@@ mechanism fentry\n@@ impossible iotrace: cannot attach: errno 524 \n@@ mechanism kprobe\n@@ group top\n\
             test a ... ok\n@@ status 0\n@@ took 7\n@@ end",
        );
        assert_eq!(all[0].impossible.as_deref(), Some("iotrace: cannot attach: errno 524"));
        assert_eq!(all[0].groups, []);
        assert_eq!((all[1].mechanism.as_str(), all[1].groups[0].passed.len(), all[1].took), ("kprobe", 1, 7));
    }

    #[test]
    fn mechanism_that_was_not_reached_has_failed() {
        let all = read_all("Kernel panic");
        assert_eq!(all[1].mechanism, "fentry");
        assert_eq!(names(&all[1].groups[0].failed), ["(not reached)"]);
    }

    #[test]
    fn programs_have_counts() {
        let all = read_all("@@ mechanism fentry\n@@ program sys_exit 1500 2000000\n@@ program odd\n@@ end");
        assert_eq!(all[0].programs, [Program { name: "sys_exit".into(), instructions: 1500, nanoseconds: 2_000_000 }]);
    }

    #[test]
    fn killed_executable_has_failed() {
        let groups = read("@@ group top\ntest a ... \n@@ status 139\n@@ end");
        assert_eq!(names(&groups[0].failed), ["a"]);
    }
}
