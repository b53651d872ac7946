//! The process whose operations are measured: loops over system calls, on one core, as its standard input says.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, alarm};
use serde::{Deserialize, Serialize};

use super::stats::median;

/// A measurement is made of slices, shorter than what a scheduler gives at a time, so that most are run in one piece.
pub(crate) const SLICE: Duration = Duration::from_millis(2);
/// Before each slice, so that a tracer can take in what it was sent: an event that finds no room costs less than one
/// that is sent.
pub(crate) const PAUSE: Duration = Duration::from_millis(4);
/// On a busy machine, a measurement ends after so many times what it would take alone.
const PATIENCE: u32 = 2;
/// But not before it has so many slices.
const FEWEST_SLICES: usize = 10;
/// A load that is stuck is ended by the kernel, in seconds.
const LIMIT: u32 = 60;

/// What is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// A system call that does next to nothing and that no command shows.
    Getppid,
    /// Write of one byte at the start of a file.
    Pwrite,
    /// Read of one byte at the start of a file.
    Pread,
    /// Open of a file that exists, and close: two system calls.
    OpenClose,
}

impl Operation {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 4] = [Self::Getppid, Self::Pwrite, Self::Pread, Self::OpenClose];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Getppid => "getppid",
            Self::Pwrite => "pwrite",
            Self::Pread => "pread",
            Self::OpenClose => "open+close",
        }
    }
}

/// A line on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Time an operation.
    Measure { operation: Operation, slices: usize },
    /// Write for so long, at a rate per second or as fast as it goes.
    Write { rate: Option<u64>, length: Duration },
    /// Create so many files, with a byte in each, and remove them at the next request of this kind.
    Files { count: u32 },
}

/// A line on standard output, unless something failed: then that is the line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Operations done.
    pub(crate) operations: u64,
    /// `Measure`: the median slice's nanoseconds of CPU time per operation; else nanoseconds of time in all.
    pub(crate) ns: f64,
}

/// Serves requests until standard input ends. The first line is given without a request, when all is ready.
pub(crate) fn serve(dir: &Path) -> Result<()> {
    pin().context("bind the load to a core")?;
    let load = Load::new(dir).context("prepare the load")?;
    reply(&Ok(Done { operations: 0, ns: 0.0 }))?;
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line.context("requests")?).context("request")?;
        alarm::set(LIMIT);
        let answer = load.answer(&request).map_err(|error| format!("{request:?}: {error}"));
        alarm::cancel();
        reply(&answer)?;
    }
    Ok(())
}

fn reply(answer: &Result<Done, String>) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?).and_then(|()| out.flush()).context("answer")
}

/// Stays on the last of the cores that we may use: the first serves most interrupts.
fn pin() -> nix::Result<()> {
    let me = Pid::from_raw(0);
    let allowed = sched_getaffinity(me)?;
    let last = (0..CpuSet::count()).rev().find(|&cpu| allowed.is_set(cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or(0))?;
    sched_setaffinity(me, &one)
}

struct Load {
    file: File,
    path: CString,
    /// Where `Files` creates its files.
    many: PathBuf,
    /// Operations per slice, in the order of [`Operation::ALL`].
    counts: [u64; Operation::ALL.len()],
}

impl Load {
    fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join("file");
        fs::write(&path, "x")?;
        let file = File::options().read(true).write(true).open(&path)?;
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut load = Self { file, path, many: dir.join("many"), counts: [0; Operation::ALL.len()] };
        for operation in Operation::ALL {
            load.counts[operation as usize] = load.calibrate(operation)?;
        }
        Ok(load)
    }

    /// How many operations fill a slice.
    fn calibrate(&self, operation: Operation) -> io::Result<u64> {
        let mut count = 64;
        loop {
            let time = self.time(operation, count)?.max(Duration::from_nanos(1));
            if time >= SLICE {
                return Ok((count as f64 * SLICE.div_duration_f64(time)).ceil() as u64);
            }
            count *= 2;
        }
    }

    fn answer(&self, request: &Request) -> io::Result<Done> {
        match *request {
            Request::Measure { operation, slices } => self.measure(operation, slices),
            Request::Write { rate, length } => self.write(rate, length),
            Request::Files { count } => self.files(count),
        }
    }

    fn measure(&self, operation: Operation, slices: usize) -> io::Result<Done> {
        let count = self.counts[operation as usize];
        // Not counted: caches are cold, and the tracer meets the file.
        self.repeat(operation, count)?;
        let patience = PATIENCE * u32::try_from(slices).unwrap_or(u32::MAX);
        let deadline = Instant::now() + (SLICE + PAUSE) * patience;
        let mut times = Vec::with_capacity(slices);
        while times.len() < slices && (times.len() < FEWEST_SLICES || Instant::now() < deadline) {
            thread::sleep(PAUSE);
            times.push(self.time(operation, count)?.as_secs_f64() * 1e9 / count as f64);
        }
        Ok(Done { operations: count * times.len() as u64, ns: median(times) })
    }

    fn write(&self, rate: Option<u64>, length: Duration) -> io::Result<Done> {
        const BATCH: u64 = 1000;
        const TICK: Duration = Duration::from_millis(1);
        let began = Instant::now();
        let mut done = 0;
        loop {
            let elapsed = began.elapsed();
            if elapsed >= length {
                return Ok(Done { operations: done, ns: elapsed.as_secs_f64() * 1e9 });
            }
            let due = rate.map_or(done + BATCH, |rate| (rate as f64 * elapsed.as_secs_f64()) as u64);
            self.repeat(Operation::Pwrite, due - done)?;
            done = due;
            if rate.is_some() {
                thread::sleep(TICK);
            }
        }
    }

    fn files(&self, count: u32) -> io::Result<Done> {
        let began = Instant::now();
        if self.many.exists() {
            fs::remove_dir_all(&self.many)?;
        }
        fs::create_dir(&self.many)?;
        for file in 0..count {
            fs::write(self.many.join(format!("file-{file}")), "x")?;
        }
        Ok(Done { operations: count.into(), ns: began.elapsed().as_secs_f64() * 1e9 })
    }

    /// CPU time of so many operations: what others run meanwhile on this core is not in it.
    fn time(&self, operation: Operation, count: u64) -> io::Result<Duration> {
        let begin = cpu_time()?;
        self.repeat(operation, count)?;
        Ok(cpu_time()?.saturating_sub(begin))
    }

    /// System calls by libc and `while` by hand: this program is built without optimisation, and the loop must not cost
    /// what it measures.
    fn repeat(&self, operation: Operation, mut count: u64) -> io::Result<()> {
        let (fd, path) = (self.file.as_raw_fd(), self.path.as_ptr());
        let mut byte = b'x';
        let byte = (&raw mut byte).cast();
        while count > 0 {
            // SAFETY: `fd` is open, `path` ends with a NUL, `byte` is one byte, and all outlive the call; what is opened
            // is closed at once.
            let done = unsafe {
                match operation {
                    Operation::Getppid => libc::syscall(libc::SYS_getppid) >= 0,
                    Operation::Pwrite => libc::pwrite(fd, byte, 1, 0) == 1,
                    Operation::Pread => libc::pread(fd, byte, 1, 0) == 1,
                    Operation::OpenClose => {
                        let opened = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
                        opened >= 0 && libc::close(opened) == 0
                    }
                }
            };
            if !done {
                return Err(io::Error::last_os_error());
            }
            count -= 1;
        }
        Ok(())
    }
}

fn cpu_time() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
