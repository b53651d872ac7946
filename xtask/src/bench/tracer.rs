//! iotrace as a child: started until it traces, looked at, ended with SIGINT.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::interrupt;

/// How the line begins that says that tracing has begun.
const TRACING: &str = "iotrace: tracing";
/// How long it may take to begin, and to end.
const LIMIT: Duration = Duration::from_secs(60);
/// It ends by itself if this process dies; no measurement lasts so long.
const DURATION: &str = "120s";
/// `--strict` and something was lost.
const LOST: i32 = 3;
/// The summary line is shorter.
const LAST: usize = 16 << 10;

/// What becomes of standard output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Nothing.
    Discarded,
    /// It is read through a pipe and its last line kept.
    LastLine,
}

/// A running iotrace that has begun to trace. Dropping it kills it.
pub(crate) struct Tracer {
    child: Child,
    /// What it says after that it traces.
    words: Receiver<(Instant, String)>,
    last_line: Option<JoinHandle<String>>,
    /// From just before it was started to its line.
    pub(crate) began_after: Duration,
    /// CPU time it had used by then, all its threads together.
    pub(crate) began_cpu: Duration,
    /// What it says that it traces with.
    pub(crate) mechanism: String,
}

/// What is known once it has ended.
pub(crate) struct Ended {
    /// Whether `--strict` was given and something was lost.
    pub(crate) lost: bool,
    /// The last line of its output, when that was asked for.
    pub(crate) last_line: String,
    /// From the signal to its end.
    pub(crate) after: Duration,
}

/// Memory of the process and, in the kernel, of its maps; bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Resident now: `VmRSS`.
    pub(crate) resident: u64,
    /// Resident at most so far: `VmHWM`.
    pub(crate) peak: u64,
    /// Of `resident`, what belongs to no file: `RssAnon`.
    pub(crate) anonymous: u64,
    /// What the kernel says its maps take: `memlock` of their descriptors.
    pub(crate) maps: u64,
}

impl Tracer {
    /// Starts a command and waits until it traces; its own words if it does not.
    pub(crate) fn start(iotrace: &Path, arguments: &[String], output: Output) -> Result<Self> {
        interrupt::check()?;
        let piped = output == Output::LastLine;
        let begin = Instant::now();
        let mut child = Command::new(iotrace)
            .args(arguments)
            .args(["--duration", DURATION])
            .stdin(Stdio::null())
            .stdout(if piped { Stdio::piped() } else { Stdio::null() })
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start of {}", iotrace.display()))?;
        let words = child.stderr.take().map(lines).context("standard error")?;
        let last_line = child.stdout.take().map(|stdout| thread::spawn(move || last_line(stdout)));
        let mut tracer = Self {
            child,
            words,
            last_line,
            began_after: Duration::ZERO,
            began_cpu: Duration::ZERO,
            mechanism: String::new(),
        };
        let name = || format!("iotrace {}", arguments.join(" "));
        let (began, line) = tracing_line(&tracer.words).with_context(name)?;
        tracer.began_cpu = tracer.cpu_time()?;
        tracer.began_after = began.duration_since(begin);
        let words = line.strip_prefix(TRACING).and_then(|rest| rest.trim_start().strip_prefix("with "));
        tracer.mechanism = words.and_then(|rest| rest.split(';').next()).unwrap_or("?").to_owned();
        Ok(tracer)
    }

    /// CPU time used so far, all its threads together.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.pid()?)
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let proc = Path::new("/proc").join(self.child.id().to_string());
        let status = fs::read_to_string(proc.join("status")).context("status of iotrace")?;
        let field = |name| kibibytes(&status, name).with_context(|| format!("no {name} in /proc/PID/status"));
        let mut maps = 0;
        for descriptor in fs::read_dir(proc.join("fdinfo")).context("descriptors of iotrace")? {
            // A descriptor may be closed meanwhile.
            let info = fs::read_to_string(descriptor?.path()).unwrap_or_default();
            maps += map_bytes(&info);
        }
        Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")?, anonymous: field("RssAnon:")?, maps })
    }

    /// Ends it and waits until it is gone.
    pub(crate) fn stop(mut self) -> Result<Ended> {
        let asked = Instant::now();
        kill(self.pid()?, Signal::SIGINT).context("SIGINT to iotrace")?;
        let status = self.wait()?;
        let after = asked.elapsed();
        let lost = status.code() == Some(LOST);
        if !status.success() && !lost {
            let words: Vec<String> = self.words.iter().map(|(_, line)| line).collect();
            bail!("iotrace ended with {status}: {}", words.join("; "));
        }
        let last_line = self.last_line.take().map(JoinHandle::join).transpose();
        let last_line = last_line.map_err(|_| anyhow!("reader of iotrace's output"))?.unwrap_or_default();
        Ok(Ended { lost, last_line, after })
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("end of iotrace")? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        bail!("iotrace did not end within {LIMIT:?} of SIGINT")
    }

    fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id()).context("process id")?))
    }
}

/// CPU time that a process has used, all its threads together.
pub(super) fn cpu_time(pid: Pid) -> Result<Duration> {
    Ok(clock_getcpuclockid(pid)?.now().with_context(|| format!("CPU clock of process {pid}"))?.into())
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Ended by `stop` already, unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines with the time when they came. The thread ends with the stream.
fn lines(stream: impl Read + Send + 'static) -> Receiver<(Instant, String)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Read on without a receiver, so that the writer never waits.
            let _ = sender.send((Instant::now(), line));
        }
    });
    receiver
}

fn tracing_line(stderr: &Receiver<(Instant, String)>) -> Result<(Instant, String)> {
    let deadline = Instant::now() + LIMIT;
    let mut words = String::new();
    loop {
        match stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((time, line)) if line.starts_with(TRACING) => return Ok((time, line)),
            Ok((_, line)) => words = words + "\n  " + &line,
            Err(RecvTimeoutError::Timeout) => bail!("did not trace within {LIMIT:?}{words}"),
            Err(RecvTimeoutError::Disconnected) => bail!("cannot trace here:{words}"),
        }
    }
}

/// The last line of a stream, of which little is kept.
fn last_line(mut stream: impl Read) -> String {
    let mut chunk = vec![0; 64 << 10];
    let mut tail = VecDeque::with_capacity(LAST + chunk.len());
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        tail.extend(&chunk[..length]);
        tail.drain(..tail.len().saturating_sub(LAST));
    }
    let tail = String::from_utf8_lossy(tail.make_contiguous()).into_owned();
    tail.lines().last().unwrap_or_default().to_owned()
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// What the descriptor's map takes; 0 when it is none.
fn map_bytes(info: &str) -> u64 {
    let value = |name| info.lines().find_map(|line: &str| line.strip_prefix(name)).map(str::trim);
    value("map_type:").and(value("memlock:")).and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_why_it_cannot_trace_is_told() {
        let error =
            tracing_line(&lines(&b"iotrace: needs CAP_BPF\nrun with sudo\n"[..])).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("cannot trace here:\n  iotrace: needs CAP_BPF\n  run with sudo"));
    }

    #[test]
    fn lines_before_the_tracing_line_are_no_failure() -> Result<()> {
        let stderr = lines(&b"note\niotrace: tracing with tracepoint; ctrl-c to stop\n"[..]);
        assert_eq!(tracing_line(&stderr)?.1, "iotrace: tracing with tracepoint; ctrl-c to stop");
        Ok(())
    }

    #[test]
    fn last_line_of_a_long_stream() {
        let mut stream = b"{\"type\":\"read\"}\n".repeat(100_000);
        stream.extend(b"{\"type\":\"summary\"}\n");
        assert_eq!(last_line(&stream[..]), "{\"type\":\"summary\"}");
        assert_eq!(last_line(&b""[..]), "");
    }

    #[test]
    fn memory_is_read_from_proc() {
        assert_eq!(kibibytes("Name:\tiotrace\nVmRSS:\t    1024 kB\n", "VmRSS:"), Some(1 << 20));
        assert_eq!(kibibytes("Name:\tiotrace\n", "VmRSS:"), None);
        assert_eq!(map_bytes("pos:\t0\nmap_type:\t1\nmemlock:\t4096\n"), 4096);
        assert_eq!(map_bytes("pos:\t0\nprog_type:\t26\nmemlock:\t4096\n"), 0);
    }
}
