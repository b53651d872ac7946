//! The other end of [`super::load`]: starts the load's process and asks it.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::interrupt;
use super::load::{Done, Request};
use super::operation::{Clock, Operation};

/// The process that makes the operations. It ends when this is dropped, or when this process dies.
pub(crate) struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts it, with its files in `dir`, and waits until it is ready.
    pub(crate) fn start(dir: &Path, disk: Option<&Path>) -> Result<Self> {
        let mut child = Command::new(env::current_exe().context("path of this program")?)
            .args(["bench", "--load"])
            .arg(dir)
            .args(disk.into_iter().flat_map(|disk| [Path::new("--disk"), disk]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start of the load")?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(anyhow!("the load has no pipes"));
        };
        let mut worker = Self { child, requests, answers: BufReader::new(answers) };
        worker.answer()?;
        Ok(worker)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has something done.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Done> {
        interrupt::check()?;
        writeln!(self.requests, "{}", serde_json::to_string(request)?).context("request to the load")?;
        self.answer()
    }

    /// Nanoseconds per operation.
    pub(crate) fn measure(
        &mut self,
        operation: Operation,
        clock: Clock,
        slices: usize,
        pause: Duration,
    ) -> Result<f64> {
        Ok(self.ask(&Request::Measure { operation, clock, slices, pause })?.ns)
    }

    fn answer(&mut self) -> Result<Done> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("answer of the load")?;
        interrupt::check()?;
        ensure!(!line.is_empty(), "the load ended early");
        serde_json::from_str::<Result<Done, String>>(&line)
            .context("answer of the load")?
            .map_err(|error| anyhow!(error))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
