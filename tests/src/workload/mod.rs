//! The program that knows the truth: it makes system calls in prime numbers and writes down what each returned.
//!
//! ```text
//! workload SCENARIO --dir DIR --log FILE [--full DIR] [--device DEV] [--count N] [--threads T] [--wait] [--check] [--status N]
//! ```
//!
//! The log is written with one write at the very end, to a path outside DIR, so that rows for paths in DIR are not disturbed.

pub mod aio;
pub mod arena;
pub mod block;
pub mod calls;
pub mod changes;
pub mod copies;
pub mod copyups;
pub mod flood;
pub mod fsyncs;
pub mod interrupts;
pub mod lives;
pub mod mmap;
pub mod op;
pub mod open;
pub mod opens;
pub mod overlay;
pub mod paths;
pub mod rec;
pub mod sizes;
pub mod sys;
pub mod threads;
pub mod uring;

use crate::{log::End, procio::Account};
use arena::Arena;
use rec::Rec;
use std::{io::Write, path::PathBuf};
use sys::syscall;

/// Command line of the workload.
#[derive(Debug, Default)]
pub struct Args {
    /// Which scenario.
    pub scenario: String,
    /// Where it works.
    pub dir: PathBuf,
    /// Where the log goes.
    pub log: PathBuf,
    /// A directory on a small file system that may be filled.
    pub full: Option<PathBuf>,
    /// A block device that may be overwritten.
    pub device: Option<PathBuf>,
    /// `flood`: how many writes.
    pub count: u64,
    /// `flood`: by how many threads.
    pub threads: u64,
    /// `fsyncs`, `calls`: also call sync(2), which waits for the whole machine.
    pub sync: bool,
    /// Begin when a byte comes, or the end of the file, on standard input.
    pub wait: bool,
    /// Compare every path with /proc/self/fd (reads links, no data).
    pub check: bool,
    /// Exit status.
    pub status: i32,
    /// What a child that runs this program anew inherited: the arena's and a file's descriptor.
    pub inherited: (i32, i32),
}

impl Args {
    fn parse() -> Self {
        let mut args = Self { count: 10_007, threads: 1, ..Self::default() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--dir" => args.dir = std::fs::canonicalize(value()).unwrap(),
                "--log" => args.log = value().into(),
                "--full" => args.full = Some(std::fs::canonicalize(value()).unwrap()),
                "--device" => args.device = Some(value().into()),
                "--count" => args.count = value().parse().unwrap(),
                "--threads" => args.threads = value().parse().unwrap(),
                "--sync" => args.sync = true,
                "--wait" => args.wait = true,
                "--check" => args.check = true,
                "--status" => args.status = value().parse().unwrap(),
                "--arena" => args.inherited.0 = value().parse().unwrap(),
                "--inherited" => args.inherited.1 = value().parse().unwrap(),
                _ if args.scenario.is_empty() && !word.starts_with('-') => args.scenario = word,
                _ => panic!("unknown argument {word}"),
            }
        }
        args
    }
}

/// Reads /proc/self/io with one call, which is not in the log.
pub fn proc_io_text() -> String {
    let mut text = [0u8; 4096];
    let path = c"/proc/self/io";
    let fd = sys::must(syscall!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY, 0), "/proc/self/io");
    let len = sys::must(syscall!(libc::SYS_read, fd, text.as_mut_ptr(), text.len()), "/proc/self/io") as usize;
    syscall!(libc::SYS_close, fd);
    std::str::from_utf8(&text[..len]).unwrap().to_owned()
}

/// The counters of /proc/self/io, and how many bytes the call returned that read them.
fn proc_io() -> (Account, u64) {
    let text = proc_io_text();
    (Account::parse(&text).unwrap(), text.len() as u64)
}

/// Runs the scenario that the command line names.
pub fn main() {
    // With an arena for each thread, glibc now and then reads /proc/sys/vm/overcommit_memory (shrink_heap of malloc/arena.c).
    // SAFETY: no other thread runs yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    let args = Args::parse();
    match args.scenario.as_str() {
        "exit" => std::process::exit(args.status),
        "exec-child" => return calls::exec_child(&args),
        _ => {}
    }
    let mut rec = Rec::new(Arena::new(), true);
    if args.wait {
        syscall!(libc::SYS_read, 0, rec.buffer.as_mut_ptr(), 1);
    }
    let (before, len) = proc_io();
    match args.scenario.as_str() {
        "calls" => calls::run(&mut rec, &args),
        "paths" => paths::run(&mut rec, &args),
        "threads" => threads::run(&mut rec, &args.dir),
        "flood" => flood::run(&mut rec, &args),
        "opens" => opens::run(&mut rec, &args),
        "fsyncs" => fsyncs::run(&mut rec, &args),
        "interrupts" => interrupts::run(&mut rec, &args.dir),
        "lives" => lives::run(&mut rec, &args),
        "lives-of-many" => lives::run_many(&mut rec, &args),
        "sizes" => sizes::run(&mut rec, &args),
        "block" => block::run(&mut rec, &args),
        "aio" => aio::run(&mut rec, &args),
        "mmap" => mmap::run(&mut rec, &args),
        "mmap-inside-calls" => mmap::run_inside_calls(&mut rec, &args),
        "overlay" => overlay::run(&mut rec, &args),
        "changes" => changes::run(&mut rec, &args),
        "copyups" => copyups::run(&mut rec, &args),
        "copies" => copies::run(&mut rec, &args),
        "uring" => uring::run(&mut rec, &args),
        "uring-polled" => uring::run_polled(&mut rec, &args),
        "uring-broken-links" => uring::run_broken_links(&mut rec, &args),
        other => panic!("unknown scenario {other:?}"),
    }
    let (after, _) = proc_io();
    let arena = rec.arena();
    rec.finish();
    if args.scenario == "calls" {
        calls::run_exec_children(arena, &args);
    }
    let end = End { end: std::process::id(), io: after.since(before, len) };
    let mut text = arena.lines().to_vec();
    serde_json::to_writer(&mut text, &end).unwrap();
    text.push(b'\n');
    std::fs::File::create(&args.log).unwrap().write_all(&text).unwrap();
    std::process::exit(args.status);
}
