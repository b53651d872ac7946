//! The stories of hosts that are slow, played for real: what goes on, and what `diagnose` says meanwhile.
//!
//! One after the other, each on a disk of its own, with a program beside it that does nothing wrong on the same disk.

pub(crate) mod agent;
pub(crate) mod container;
pub(crate) mod healthy;
pub(crate) mod held;
pub(crate) mod usual;
pub(crate) mod words;

use iotrace_tests::harness::{Iotrace, LoopDisk};
use serde_json::Value;
use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One scenario at a time: each would see the others.
static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no other scenario is played.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program with all that it starts. Dropped, all are ended.
pub(crate) struct Program(Child);

impl Program {
    /// Starts one.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap())
    }

    /// A script of the shell in a directory.
    pub(crate) fn script(directory: &Path, script: &str) -> Self {
        Self::start(Command::new("sh").args(["-c", script]).current_dir(directory))
    }

    /// One that reads and writes a little in large pieces, with pauses: nothing is wrong with it.
    pub(crate) fn noise(directory: &Path) -> Self {
        const SCRIPT: &str = "while :; do dd if=/dev/zero of=noise bs=1M count=4 conv=notrunc; \
            dd if=noise of=/dev/null bs=1M; sleep 0.2; done";
        Self::script(directory, SCRIPT)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: a group of its own, which it leads, and it has not been waited for.
        unsafe { libc::kill(-(self.0.id() as i32), libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

/// What was found.
pub(crate) struct Diagnosis {
    rows: Vec<Value>,
}

impl Diagnosis {
    /// What is found on a disk in so many seconds.
    #[track_caller]
    pub(crate) fn of(iotrace: Iotrace, disk: &LoopDisk, seconds: u32) -> Self {
        Self::with(iotrace.args(["--disk", disk.name()]), seconds)
    }

    /// What is found with these options in so many seconds.
    #[track_caller]
    pub(crate) fn with(iotrace: Iotrace, seconds: u32) -> Self {
        Self::while_it(iotrace, seconds, || {})
    }

    /// The same, of what is begun as soon as it watches.
    #[track_caller]
    pub(crate) fn while_it(iotrace: Iotrace, seconds: u32, begin: impl FnOnce()) -> Self {
        let mut running = iotrace.json().args(["-d", &seconds.to_string(), "--buffer", "64MiB"]).start();
        running.wait_tracing();
        begin();
        let run = running.wait().exited(0);
        assert_eq!([&run.summary["lost"], &run.summary["maps_full"]], [0, 0], "{}", run.summary);
        Self { rows: run.rows }
    }

    /// The rules that found something, the first first.
    pub(crate) fn rules(&self) -> Vec<&str> {
        let findings = self.rows.iter().filter(|row| row["severity"] != "info");
        findings.map(|row| row["rule"].as_str().unwrap()).collect()
    }

    /// The first finding, which must be of this rule.
    #[track_caller]
    pub(crate) fn first(&self, rule: &str) -> &Value {
        let first = &self.rows[0];
        assert_eq!(first["rule"], rule, "{self}");
        first
    }

    /// The finding of a rule, whatever else there is.
    #[track_caller]
    pub(crate) fn finding(&self, rule: &str) -> &Value {
        self.rows.iter().find(|row| row["rule"] == rule).unwrap_or_else(|| panic!("no {rule}: {self}"))
    }

    /// Fails unless all that was found is of these rules.
    #[track_caller]
    pub(crate) fn only(&self, rules: &[&str]) {
        assert!(self.rules().iter().all(|found| rules.contains(found)), "{self}");
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for row in &self.rows {
            writeln!(f, "{} {}: {}\n  {}", row["severity"], row["rule"], row["headline"], row["details"])?;
        }
        Ok(())
    }
}
