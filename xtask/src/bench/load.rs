//! The process whose operations are measured: loops over system calls, on one core, as its standard input says.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, alarm};
use serde::{Deserialize, Serialize};

use super::loops::{CREATED_IN, Loops};
use super::operation::{Clock, Operation};
use super::stats::median;

/// A measurement is made of slices, shorter than what a scheduler gives at a time, so that most are run in one piece.
pub(crate) const SLICE: Duration = Duration::from_millis(2);
/// On a busy machine, a measurement ends after so many times what it would take alone.
const PATIENCE: u32 = 2;
/// But not before it has so many slices.
const FEWEST_SLICES: usize = 6;
/// Slices that create files are long: so many times fewer.
const FEWER: usize = 10;
/// A sync takes now longer and now shorter, by the state of the journal: so many times more.
const MORE: usize = 4;
/// A load that is stuck is ended by the kernel, in seconds.
const LIMIT: u32 = 300;
/// Length of the name of a long directory.
const LONG: usize = 240;

/// A line on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Time an operation, in slices with pauses before them.
    Measure { operation: Operation, clock: Clock, slices: usize, pause: Duration },
    /// Do it for so long, at a rate per second or as fast as it goes.
    Repeat { operation: Operation, rate: Option<u64>, length: Duration },
    /// Create so many files, with a byte in each, so many long directories down, and remove them at the next request of this kind.
    Files { count: u32, depth: u32 },
    /// Make so many processes, one after the other, each of which writes a byte to the same file.
    Processes { count: u32 },
}

/// A line on standard output, unless something failed: then that is the line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Operations done.
    pub(crate) operations: u64,
    /// `Measure`: the median slice's nanoseconds per operation; else nanoseconds of time in all.
    pub(crate) ns: f64,
}

/// Serves requests until standard input ends. The first line is given without a request, when all is ready.
pub(crate) fn serve(dir: &Path, disk: Option<&Path>) -> Result<()> {
    pin().context("bind the load to a core")?;
    let load = Load::new(dir, disk).context("prepare the load")?;
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
    loops: Loops,
    /// Where `Files` creates its files.
    many: PathBuf,
    /// Operations per slice, in the order of [`Operation::ALL`].
    counts: [u64; Operation::ALL.len()],
}

impl Load {
    fn new(dir: &Path, disk: Option<&Path>) -> io::Result<Self> {
        let loops = Loops::new(dir, disk)?;
        let mut load = Self { loops, many: dir.join(CREATED_IN).join("many"), counts: [1; Operation::ALL.len()] };
        for operation in Operation::ALL {
            if operation != Operation::DirectRead || disk.is_some() {
                load.counts[operation as usize] = load.calibrate(operation)?;
            }
        }
        Ok(load)
    }

    /// How many operations fill a slice.
    fn calibrate(&self, operation: Operation) -> io::Result<u64> {
        let mut count = operation.whole(4);
        loop {
            let time = self.time(operation, Clock::Wall, count)?.max(Duration::from_nanos(1));
            if time >= SLICE {
                return Ok(operation.whole((count as f64 * SLICE.div_duration_f64(time)).ceil() as u64));
            }
            if operation == Operation::Create {
                return Ok(count);
            }
            count *= 2;
        }
    }

    fn answer(&self, request: &Request) -> io::Result<Done> {
        match *request {
            Request::Measure { operation, clock, slices, pause } => self.measure(operation, clock, slices, pause),
            Request::Repeat { operation, rate, length } => self.repeat(operation, rate, length),
            Request::Files { count, depth } => self.files(count, depth),
            Request::Processes { count } => self.processes(count),
        }
    }

    fn measure(&self, operation: Operation, clock: Clock, slices: usize, pause: Duration) -> io::Result<Done> {
        let count = self.counts[operation as usize];
        let (slices, fewest) = match operation {
            Operation::Create => (slices.div_ceil(FEWER), 1),
            Operation::WriteFsync => (slices * MORE, FEWEST_SLICES.min(slices)),
            _ => (slices, FEWEST_SLICES.min(slices)),
        };
        // Not counted: caches are cold, and the tracer meets the file. Created files are new each time.
        if operation != Operation::Create {
            self.loops.repeat(operation, count)?;
        }
        let patience = PATIENCE * u32::try_from(slices).unwrap_or(u32::MAX);
        let deadline = Instant::now() + (SLICE + pause) * patience;
        let mut times = Vec::with_capacity(slices);
        while times.len() < slices && (times.len() < fewest || Instant::now() < deadline) {
            thread::sleep(pause);
            times.push(self.time(operation, clock, count)?.as_secs_f64() * 1e9 / count as f64);
        }
        Ok(Done { operations: count * times.len() as u64, ns: median(times) })
    }

    fn repeat(&self, operation: Operation, rate: Option<u64>, length: Duration) -> io::Result<Done> {
        const BATCH: u64 = 100;
        const TICK: Duration = Duration::from_millis(1);
        let began = Instant::now();
        let mut done = 0;
        loop {
            let elapsed = began.elapsed();
            if elapsed >= length {
                return Ok(Done { operations: done, ns: elapsed.as_secs_f64() * 1e9 });
            }
            let due = rate.map_or(done + BATCH, |rate| (rate as f64 * elapsed.as_secs_f64()) as u64);
            self.loops.repeat(operation, due - done)?;
            done = due;
            if rate.is_some() {
                thread::sleep(TICK);
            }
        }
    }

    fn files(&self, count: u32, depth: u32) -> io::Result<Done> {
        let began = Instant::now();
        if self.many.exists() {
            fs::remove_dir_all(&self.many)?;
        }
        let deepest = (0..depth).fold(self.many.clone(), |directory, _| directory.join("d".repeat(LONG)));
        fs::create_dir_all(&deepest)?;
        for file in 0..count {
            fs::write(deepest.join(format!("file-{file}")), "x")?;
        }
        Ok(Done { operations: count.into(), ns: began.elapsed().as_secs_f64() * 1e9 })
    }

    fn processes(&self, count: u32) -> io::Result<Done> {
        let began = Instant::now();
        for _ in 0..count {
            // SAFETY: the child does nothing but two system calls, so whatever other threads were about does not matter to it.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: the file is open; nothing of this process is to be dropped twice.
                unsafe { libc::_exit(i32::from(self.loops.write_byte() != 1)) };
            }
            let mut status = 0;
            // SAFETY: a child of this process, which has not been waited for.
            if child < 0 || unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
                return Err(io::Error::last_os_error());
            }
            if status != 0 {
                return Err(io::Error::other("a process could not write its byte"));
            }
        }
        Ok(Done { operations: count.into(), ns: began.elapsed().as_secs_f64() * 1e9 })
    }

    /// Time of so many operations.
    fn time(&self, operation: Operation, clock: Clock, count: u64) -> io::Result<Duration> {
        let begin = now(clock)?;
        self.loops.repeat(operation, count)?;
        let time = now(clock)?.saturating_sub(begin);
        self.loops.clean(operation)?;
        Ok(time)
    }
}

fn now(clock: Clock) -> io::Result<Duration> {
    let clock = match clock {
        Clock::Thread => ClockId::CLOCK_THREAD_CPUTIME_ID,
        Clock::Wall => ClockId::CLOCK_MONOTONIC,
    };
    Ok(clock_gettime(clock)?.into())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
