//! Runs iotrace, with a limit on its time.

use serde_json::Value;
use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// No run takes longer, on a real machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How many times slower this machine is: `IOTRACE_TEST_SLOWDOWN`, 1 unless it is set.
pub fn slowdown() -> u32 {
    std::env::var("IOTRACE_TEST_SLOWDOWN").map_or(1, |text| text.parse().expect("IOTRACE_TEST_SLOWDOWN is a number"))
}

/// The commands that `IOTRACE_TEST_MECHANISM` concerns: it forces a mechanism on every run that does not name one.
const TRACING_COMMANDS: [&str; 9] = ["top", "fsync", "open", "latency", "disk", "block", "events", "diagnose", "wait"];

/// The line on stderr that says that tracing has begun.
const TRACING: &str = "iotrace: tracing with ";

/// The program under test: `IOTRACE_BIN`, or `iotrace` in the directory above the test's own.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("IOTRACE_BIN").map_or_else(
        || {
            let test = std::env::current_exe().unwrap(); // target/debug/deps/NAME-HASH
            test.parent().and_then(Path::parent).unwrap().join("iotrace")
        },
        PathBuf::from,
    );
    assert!(path.exists(), "{} is not built: cargo build --package iotrace, or set IOTRACE_BIN", path.display());
    path
}

/// A run to be started.
#[derive(Debug)]
pub struct Iotrace {
    args: Vec<OsString>,
    program: Vec<OsString>,
    file: Option<PathBuf>,
    user: Option<u32>,
    capabilities: Vec<&'static str>,
    within: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

impl Iotrace {
    /// `iotrace COMMAND`.
    pub fn new(command: &str) -> Self {
        Self {
            args: vec![command.into()],
            program: Vec::new(),
            file: None,
            user: None,
            capabilities: Vec::new(),
            within: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds `--json`; the run's [`Output`] has rows then.
    pub fn json(self) -> Self {
        self.args(["--json"])
    }

    /// Adds `-o FILE`; the rows come from there.
    pub fn output(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self.args(["-o".into(), file.as_os_str().to_owned()])
    }

    /// Adds `-- PROGRAM ARGS`.
    pub fn program<I: IntoIterator<Item: Into<OsString>>>(mut self, words: I) -> Self {
        self.program = words.into_iter().map(Into::into).collect();
        self
    }

    /// Runs it as another user, from a copy that this user can reach.
    pub fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// With [`Self::user`]: gives it these capabilities (`bpf`), which without this are none.
    pub fn capabilities(mut self, names: &[&'static str]) -> Self {
        self.capabilities = names.to_vec();
        self
    }

    /// Has a script of the shell run as root before it, in a mount namespace of its own.
    pub fn within(mut self, script: &str) -> Self {
        let script = format!("{script} && exec \"$@\"");
        self.within = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(Into::into).to_vec();
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The words before its arguments; and the place of its copy, when it runs as another user.
    fn words(&self) -> (Vec<OsString>, Option<tempfile::TempDir>) {
        let mut words = self.within.clone();
        let Some(uid) = self.user else {
            words.push(binary().into());
            return (words, None);
        };
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(binary(), place.path().join("iotrace")).unwrap();
        let set: String = self.capabilities.iter().map(|name| format!(",+{name}")).collect();
        let sets = ["inh-caps", "bounding-set", "ambient-caps"].map(|name| format!("--{name}=-all{set}"));
        let user = [format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()];
        words.push("setpriv".into());
        words.extend(user.into_iter().chain(sets).map(OsString::from));
        words.push(place.path().join("iotrace").into());
        (words, Some(place))
    }

    /// Starts it and waits for its end.
    #[track_caller]
    pub fn run(self) -> Output {
        self.start().wait()
    }

    /// Starts it.
    #[track_caller]
    pub fn start(self) -> Running {
        let (words, copy) = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(&self.args);
        if copy.is_some() {
            command.current_dir("/");
        }
        if let Some(mechanism) = std::env::var_os("IOTRACE_TEST_MECHANISM")
            && TRACING_COMMANDS.iter().any(|name| self.args[0] == *name)
            && self.args.iter().all(|arg| arg != "--mechanism")
        {
            command.arg("--mechanism").arg(mechanism);
        }
        if !self.program.is_empty() {
            command.arg("--").args(&self.program);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE").env("NO_COLOR", "1").process_group(0);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let (from, to) = (child.stderr.take().unwrap(), Arc::clone(&stderr));
            move || {
                for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                    let mut text = to.lock().unwrap();
                    text.push_str(&String::from_utf8_lossy(&line));
                    text.push('\n');
                }
            }
        });
        let stdin = child.stdin.take();
        let until = Instant::now() + LIMIT * slowdown();
        let stdout = child.stdout.take();
        let mut running = Running {
            child,
            stdin,
            stdout,
            collector: None,
            reader: Some(reader),
            stderr,
            until,
            file: self.file,
            _copy: copy,
        };
        running.collect();
        running
    }
}

/// A run that has begun. Dropped, it is killed with all that it started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    collector: Option<JoinHandle<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    stderr: Arc<Mutex<String>>,
    until: Instant,
    file: Option<PathBuf>,
    _copy: Option<tempfile::TempDir>,
}

impl Running {
    fn collect(&mut self) {
        let mut from = self.stdout.take().unwrap();
        self.collector = Some(std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = from.read_to_end(&mut all);
            all
        }));
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until it says that it traces.
    #[track_caller]
    pub fn wait_tracing(&mut self) {
        loop {
            if self.stderr().lines().any(|line| line.starts_with(TRACING)) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("iotrace ended ({status}) before it traced: {}", self.stderr());
            }
            self.check_time();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so the number is its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Stops it as Ctrl-C does.
    #[track_caller]
    pub fn interrupt(self) -> Output {
        self.signal(libc::SIGINT);
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        self.stdin = None;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            self.check_time();
            std::thread::sleep(Duration::from_millis(5));
        };
        let stdout = String::from_utf8(self.collector.take().unwrap().join().unwrap()).expect("the output is UTF-8");
        self.reader.take().unwrap().join().unwrap();
        let text = match &self.file {
            // A device such as /dev/full has no end.
            Some(file) if file.is_file() => fs::read_to_string(file).unwrap_or_default(),
            Some(_) => String::new(),
            None => stdout.clone(),
        };
        let mut rows: Vec<Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        let last = rows.last().is_some_and(|row| row["type"] == "summary");
        let summary = if last { rows.pop().unwrap() } else { Value::Null };
        Output { status, stdout, stderr: self.stderr(), rows, summary }
    }

    #[track_caller]
    fn check_time(&mut self) {
        if Instant::now() > self.until {
            self.kill();
            panic!("iotrace took more than {:?}: {}", LIMIT * slowdown(), self.stderr());
        }
    }

    fn kill(&mut self) {
        // SAFETY: the group was made for this child, which has not been waited for.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// What a run left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr.
    pub stderr: String,
    /// With `--json`: the lines before the summary.
    pub rows: Vec<Value>,
    /// With `--json`: the last line.
    pub summary: Value,
}

impl Output {
    /// Fails unless it ended with this exit status.
    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit status; stderr: {}", self.stderr);
        self
    }

    /// Requests that had not ended, and how old the oldest was.
    pub fn in_flight(&self) -> (u64, Duration) {
        let disks = self.summary["in_flight"].as_array().unwrap().iter();
        disks.fold((0, Duration::ZERO), |(requests, oldest), disk| {
            let age = Duration::from_nanos(disk["oldest_ns"].as_u64().unwrap());
            (requests + disk["requests"].as_u64().unwrap(), oldest.max(age))
        })
    }

    /// Fails unless it succeeded and lost nothing.
    #[track_caller]
    pub fn complete(self) -> Self {
        let output = self.exited(0);
        assert_eq!(output.summary["type"], "summary", "the last line is the summary; stderr: {}", output.stderr);
        for counter in ["lost", "unmatched", "maps_full"] {
            if counter == "unmatched" && hides_ends() && tells_requests(&output.summary) {
                continue;
            }
            assert_eq!(output.summary[counter], 0, "{counter} in {}", output.summary);
        }
        output
    }
}

/// Whether this is the guest kernel that CI has: it runs no programs on top of its init, and so hides the end of a request where an
/// interrupt reports it just there (docs/kernels.md, Preemption). What is told is what happened; sums are still compared.
pub(super) fn hides_ends() -> bool {
    nix::sys::utsname::uname().unwrap().release().to_string_lossy().contains("-fc-")
}

/// Whether a run has followed requests to disks.
fn tells_requests(summary: &Value) -> bool {
    ["block", "disk", "diagnose", "events", "latency"].iter().any(|command| summary["command"] == *command)
}
