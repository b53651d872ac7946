//! Other tracers as children. They do not say when they have begun: they hold descriptors then.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::interrupt;
use super::tracer::cpu_time;

/// How long one may take to begin.
const LIMIT: Duration = Duration::from_secs(90);
/// And to end.
const END: Duration = Duration::from_secs(20);
/// One that has had the same descriptors for so long has begun.
const STEADY: Duration = Duration::from_millis(800);
const LOOK: Duration = Duration::from_millis(50);

/// A running tracer. Dropping it kills it.
pub(crate) struct Peer {
    child: Child,
    errors: PathBuf,
}

impl Peer {
    /// Starts a program and waits until it traces; its own words if it does not.
    pub(crate) fn start(words: &[String], output: &Path, scratch: &Path) -> Result<Self> {
        interrupt::check()?;
        let (program, arguments) = words.split_first().context("no program")?;
        let errors = scratch.join("peer.stderr");
        let child = Command::new(program)
            .args(arguments)
            // Without it, opensnoop would look for /etc/localtime at each line, and show each of these opens.
            .env("TZ", "UTC0")
            .stdin(Stdio::null())
            .stdout(File::create(output).context("output of a peer")?)
            .stderr(File::create(&errors).context("words of a peer")?)
            .spawn()
            .with_context(|| format!("start of {program}"))?;
        let mut peer = Self { child, errors };
        peer.wait_until_steady()?;
        Ok(peer)
    }

    fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id()).context("process id")?))
    }

    /// CPU time used so far, all its threads together.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.pid()?)
    }

    /// Ends it as ctrl-c does, or by force.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill(self.pid()?, Signal::SIGINT).context("SIGINT to a peer")?;
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if self.child.try_wait().context("end of a peer")?.is_some() {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        eprintln!("xtask: it did not end within {END:?} of SIGINT");
        Ok(())
    }

    fn wait_until_steady(&mut self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let (mut last, mut since) = (0, Instant::now());
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("a peer")? {
                return self.refuse(status);
            }
            let held = held(Path::new("/proc").join(self.child.id().to_string()).as_path());
            if held == 0 || held != last {
                (last, since) = (held, Instant::now());
            } else if since.elapsed() > STEADY {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        bail!("did not trace within {LIMIT:?}")
    }

    fn refuse(&self, status: ExitStatus) -> Result<()> {
        let words = fs::read_to_string(&self.errors).unwrap_or_default();
        let is_error = |line: &&str| line.to_lowercase().contains("error");
        let last = || words.lines().rev().find(|line| !line.trim().is_empty());
        let words = words.lines().find(is_error).or_else(last).unwrap_or("no word why");
        ensure!(status.success(), "{status}: {}", words.trim());
        bail!("it ended: {}", words.trim())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Ended by `stop` already, unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Descriptors by which it traces: of attached programs, of events, of fanotify; and processes that it stops.
fn held(proc: &Path) -> usize {
    let descriptors = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    let tracing = targets.filter(|target| {
        let target = target.to_string_lossy();
        ["bpf-prog", "bpf_link", "bpf-link", "raw-tracepoint", "perf_event", "fanotify"]
            .iter()
            .any(|kind| target.contains(kind))
    });
    tracing.count() + stopped(proc)
}

/// Whether a process says that this one traces it.
fn stopped(proc: &Path) -> usize {
    if fs::read_to_string(proc.join("comm")).is_ok_and(|name| name.trim() != "strace") {
        return 0;
    }
    let pid = proc.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let line = format!("TracerPid:\t{pid}\n");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter(|entry| fs::read_to_string(entry.path().join("status")).is_ok_and(|s| s.contains(&line))).count()
}
