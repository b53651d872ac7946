//! Runs another tracer beside iotrace.

use super::slowdown;
use std::{
    fs,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// None takes longer to start, or to end, on a real machine.
const LIMIT: Duration = Duration::from_secs(20);

/// System calls in which the main thread of a peer waits for events or for its interval. Whatever it has to attach is
/// attached then.
#[cfg(target_arch = "x86_64")]
const WAITING: &[i64] = &[libc::SYS_clock_nanosleep, libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_ppoll];
#[cfg(not(target_arch = "x86_64"))]
const WAITING: &[i64] = &[libc::SYS_clock_nanosleep, libc::SYS_epoll_pwait, libc::SYS_ppoll];

/// Binds the calling thread, and all that it starts from now on, to one processor. A peer comes first there: it has taken an
/// event before the thread that made it goes on, so that no buffer runs over, however slow the machine is.
pub fn share_one_processor() {
    // SAFETY: zeros are a value of this plain structure, and it outlives the calls.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}

/// A peer that traces. Dropped, it is killed.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    output: Option<JoinHandle<String>>,
    errors: Option<JoinHandle<String>>,
    until: Instant,
}

impl Peer {
    /// Starts one and waits until it traces.
    #[track_caller]
    pub fn start(name: &str, args: &[&str]) -> Self {
        let dir = std::env::var_os("IOTRACE_PEERS").expect("the test needs peers");
        let mut command = Command::new(Path::new(&dir).join(name));
        // Without TZ and /etc/localtime, opensnoop would look for that file at each line, and show each of these opens.
        command.args(args).env("TZ", "UTC0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (output, errors) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let until = Instant::now() + LIMIT * slowdown();
        let mut peer = Self { child, output: Some(output), errors: Some(errors), until };
        while !peer.waits() {
            peer.check(name);
        }
        // SAFETY: the structure outlives the call; the child has not been waited for, so the number is its own.
        unsafe {
            let priority = libc::sched_param { sched_priority: 1 };
            assert_eq!(libc::sched_setscheduler(peer.child.id() as i32, libc::SCHED_FIFO, &priority), 0);
        }
        peer
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so the number is its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Ends it as Ctrl-C does; what it has written to stdout and to stderr.
    #[track_caller]
    pub fn interrupt(mut self) -> (String, String) {
        self.signal(libc::SIGINT);
        self.until = Instant::now() + LIMIT * slowdown();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < self.until, "the peer does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |thread: Option<JoinHandle<String>>| thread.unwrap().join().unwrap();
        let (output, errors) = (text(self.output.take()), text(self.errors.take()));
        assert!(status.success() || status.signal() == Some(libc::SIGINT), "{status}: {errors}");
        (output, errors)
    }

    /// Whether it waits in one of those calls: the file begins with the call's number.
    fn waits(&self) -> bool {
        let call = fs::read_to_string(format!("/proc/{}/syscall", self.child.id())).unwrap_or_default();
        let number = call.split_whitespace().next().and_then(|number| number.parse().ok());
        number.is_some_and(|number| WAITING.contains(&number))
    }

    #[track_caller]
    fn check(&mut self, name: &str) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let errors = self.errors.take().unwrap().join().unwrap();
            panic!("{name} ended ({status}) before it traced: {errors}");
        }
        assert!(Instant::now() < self.until, "{name} does not trace");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    })
}
