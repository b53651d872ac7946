//! Lines of `iotrace block` against what is known of the requests.

use super::{BlockStat, Iotrace, LoopDisk, Output, Running, iotrace::hides_ends, path_of};
use serde_json::Value;
use std::{path::Path, process::Command};

/// Traces the requests of a disk, until it is told to stop.
#[derive(Debug)]
pub struct Watch {
    running: Running,
    before: BlockStat,
    disk: String,
}

impl Watch {
    /// Begins, when everything is on the disk that was written before.
    pub fn new(disk: &LoopDisk, options: &[&str]) -> Self {
        disk.settle();
        let tracer = Iotrace::new("block").json().args(["--buffer", "64MiB", "--disk", disk.name()]).args(options);
        let mut running = tracer.start();
        running.wait_tracing();
        Self { running, before: BlockStat::of(disk.name()), disk: disk.name().to_owned() }
    }

    /// Has the kernel write everything out, ends, and gives the lines with what the disk's statistics have grown by.
    #[track_caller]
    pub fn end(self, disk: &LoopDisk) -> (Output, BlockStat) {
        disk.sync();
        let grown = BlockStat::of(&self.disk) - self.before;
        (self.running.interrupt().complete(), grown)
    }
}

/// The process id of a command that was run to its success.
#[track_caller]
pub fn run(command: &mut Command) -> u64 {
    let child = command.spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    u64::from(pid)
}

/// Requests and bytes of the operations whose name begins so: `write` stands for writing zeroes as well.
fn sum(rows: &[Value], op: &str) -> (u64, u64) {
    let of_op = |row: &&Value| row["op"].as_str().unwrap().starts_with(op);
    rows.iter().filter(of_op).fold((0, 0), |sum, row| (sum.0 + 1, sum.1 + row["bytes"].as_u64().unwrap()))
}

/// Fails unless the lines are the disk's statistics, and the files of each line have its bytes. Where the kernel hid ends of
/// requests (`hides_ends`), the lines are less by as many requests as the run tells.
#[track_caller]
pub fn assert_whole(run: &Output, grown: BlockStat) {
    let rows = &run.rows;
    let told = [
        (sum(rows, "read"), (grown.reads, grown.read_sectors * 512)),
        (sum(rows, "discard"), (grown.discards, grown.discard_sectors * 512)),
        (sum(rows, "flush"), (grown.flushes, 0)),
    ];
    let (writes, bytes) = sum(rows, "write");
    let context = format!("{told:?}, writes {writes}, {bytes} bytes: {grown:?}, {}", run.summary);
    match run.in_flight().0 + run.summary["unmatched"].as_u64().unwrap() {
        hidden if hidden > 0 && hides_ends() => {
            println!("{hidden} ends of requests are hidden by the kernel");
            let short: u64 = told.iter().map(|((told, _), (grown, _))| grown - told).sum();
            // See below for writes.
            let (most, least) = (grown.writes - writes, (grown.writes - writes).saturating_sub(grown.flushes));
            assert!((short + least..=short + most).contains(&hidden), "{hidden} are hidden; {context}");
            assert!(
                told.iter().all(|(told, grown)| told.1 <= grown.1) && bytes <= grown.write_sectors * 512,
                "{context}"
            );
        }
        hidden => {
            assert_eq!(hidden, 0, "{context}");
            assert!(told.iter().all(|(told, grown)| told == grown), "{context}");
            assert_eq!(bytes, grown.write_sectors * 512, "{context}");
            // The statistics count a request that only flushes as a write of nothing, and the flush that the device gets besides.
            assert!(writes <= grown.writes && grown.writes - writes <= grown.flushes, "{context}");
        }
    }
    for row in rows {
        let files = row["files"].as_array().unwrap().iter();
        let sum: u64 = files.map(|file| file["bytes"].as_u64().unwrap()).sum();
        assert_eq!(sum, row["bytes"].as_u64().unwrap(), "{row}");
    }
}

/// What requests of an operation carry: of each line's files, with the line.
pub fn files<'a>(rows: &'a [Value], op: &'a str) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let of_op = rows.iter().filter(move |row| row["op"] == op);
    of_op.flat_map(|row| row["files"].as_array().unwrap().iter().map(move |file| (row, file)))
}

/// Bytes of those files of requests that `matches` picks.
pub fn bytes_of(rows: &[Value], op: &str, matches: impl Fn(&Value) -> bool) -> u64 {
    files(rows, op).filter(|(_, file)| matches(file)).map(|(_, file)| file["bytes"].as_u64().unwrap()).sum()
}

/// Whether something is the file with this path.
pub fn is_at(file: &Value, path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    path_of(file).is_some_and(|found| found == path.as_os_str().as_bytes())
}
