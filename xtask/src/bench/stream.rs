//! Programs that write a line per event to a file: how many operations per second they take without losing one.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::contestants::fill;
use super::load::Request;
use super::loops::NAME;
use super::operation::Operation::{self, OpenClose, Pwrite};
use super::peer::Peer;
use super::tracer::{Output, Tracer};
use super::{Bench, Plan, interrupt};

/// Operations per second. Above the last, as many as go.
const LADDER: &[u64] = &[
    1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000, 70_000, 100_000, 150_000,
    200_000, 300_000, 500_000, 700_000,
];
/// A rate counts when one of so many tries at it loses nothing: the machine is shared.
const TRIES: usize = 2;
/// To take in and write what is under way. Not all programs do that when they are asked to end.
const SETTLE: Duration = Duration::from_millis(1500);

/// What is compared, and by which operation: its name, the words to start it and whether it is iotrace.
const STREAMS: &[(Operation, &str, bool, &[&str])] = &[
    (Pwrite, "events", true, &["events", "-o", "OUTPUT", "--pid", "LOAD", "--op", "write"]),
    (Pwrite, "bpftrace: line per write", false, &["bpftrace", "-e", WRITES, "LOAD"]),
    (OpenClose, "open", true, &["open", "-o", "OUTPUT", "--pid", "LOAD"]),
    (OpenClose, "opensnoop", false, &["opensnoop", "-p", "LOAD"]),
    (OpenClose, "opensnoop -F", false, &["opensnoop", "-F", "-p", "LOAD"]),
];

/// What `events` tells of a write, with the file's name for its path.
const WRITES: &str = "fentry:vfs_write /pid == $1/ { @s[tid] = nsecs; } fexit:vfs_write /@s[tid]/ \
    { printf(\"%llu %d %d %d %s %s %d %d %llu\\n\", nsecs, pid, tid, uid, comm, str(args.file->f_path.dentry->d_name.name), \
    args.count, retval, nsecs - @s[tid]); delete(@s, tid); }";

/// One program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stream {
    /// Its name.
    pub(crate) name: String,
    /// What was done beside it.
    pub(crate) operation: Operation,
    /// As many operations as went.
    pub(crate) flood: Flood,
    /// Operations per second, as done, at the highest rate at which it lost nothing.
    pub(crate) lossless: Option<f64>,
}

/// One try.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Flood {
    /// Operations done per second.
    pub(crate) rate: f64,
    /// Share of them that has no line.
    pub(crate) lost: f64,
    /// CPU time of the program itself for each line, ns; `None` without lines.
    pub(crate) line_ns: Option<f64>,
}

/// Measures those that run here.
pub(crate) fn measure(bench: &mut Bench, plan: &Plan) -> Result<Vec<Stream>> {
    let mut all = Vec::new();
    for &(operation, name, ours, words) in STREAMS {
        if !ours && !plan.peers {
            continue;
        }
        eprintln!("xtask: events without loss: {name}");
        let mut try_at = |rate| try_at(bench, plan, operation, ours, words, rate);
        let flood = match try_at(None) {
            Ok(flood) => flood,
            Err(error) => {
                interrupt::check()?;
                eprintln!("xtask: no {name}: {error:#}");
                continue;
            }
        };
        let lossless = if flood.lost == 0.0 { Some(flood.rate) } else { search(&mut try_at)? };
        all.push(Stream { name: name.to_owned(), operation, flood, lossless });
    }
    Ok(all)
}

/// By halving the ladder.
fn search(try_at: &mut dyn FnMut(Option<u64>) -> Result<Flood>) -> Result<Option<f64>> {
    let (mut good, mut bad, mut best) = (0, LADDER.len() + 1, None);
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        let mut kept_up = None;
        for _ in 0..TRIES {
            let tried = try_at(LADDER.get(middle - 1).copied())?;
            if tried.lost == 0.0 {
                kept_up = Some(tried.rate);
                break;
            }
        }
        match kept_up {
            Some(rate) => (good, best) = (middle, Some(rate)),
            None => bad = middle,
        }
    }
    Ok(best)
}

fn try_at(
    bench: &mut Bench,
    plan: &Plan,
    operation: Operation,
    ours: bool,
    words: &[&str],
    rate: Option<u64>,
) -> Result<Flood> {
    let output = bench.scratch.path().join("stream");
    let mut words = fill(words, bench.worker.pid());
    for word in &mut words {
        if word == "OUTPUT" {
            *word = output.display().to_string();
        }
    }
    let request = Request::Repeat { operation, rate, length: plan.pace };
    let (done, cpu) = if ours {
        let tracer = Tracer::start(&bench.iotrace, &words, Output::Discarded)?;
        let before = tracer.cpu_time()?;
        let done = bench.worker.ask(&request)?;
        thread::sleep(SETTLE);
        let cpu = tracer.cpu_time()?.saturating_sub(before);
        tracer.stop()?;
        (done, cpu)
    } else {
        let peer = Peer::start(&words, &output, bench.scratch.path())?;
        let before = peer.cpu_time()?;
        let done = bench.worker.ask(&request)?;
        thread::sleep(SETTLE);
        let cpu = peer.cpu_time()?.saturating_sub(before);
        peer.stop()?;
        (done, cpu)
    };
    let told = lines(&output).context("output")?;
    let _ = std::fs::remove_file(&output);
    let lost = done.operations.saturating_sub(told) as f64 / done.operations.max(1) as f64;
    let line_ns = (told > 0).then(|| cpu.as_nanos() as f64 / told as f64);
    Ok(Flood { rate: done.operations as f64 / (done.ns / 1e9), lost, line_ns })
}

/// Lines that name the load's file.
fn lines(output: &Path) -> io::Result<u64> {
    let name = NAME.as_bytes();
    let (mut reader, mut line, mut count) = (BufReader::with_capacity(1 << 20, File::open(output)?), Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        count += u64::from(line.windows(name.len()).any(|part| part == name));
        line.clear();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(limit: u64) -> Result<(Option<f64>, usize)> {
        let mut tries = 0;
        let best = search(&mut |rate| {
            tries += 1;
            let rate = rate.unwrap_or(2_000_000);
            Ok(Flood { rate: rate as f64, lost: if rate > limit { 0.5 } else { 0.0 }, line_ns: None })
        })?;
        Ok((best, tries))
    }

    #[test]
    fn search_finds_the_highest_rate_without_loss() -> Result<()> {
        assert_eq!(limit(99_999)?.0, Some(70_000.0));
        assert_eq!(limit(700_000)?.0, Some(700_000.0));
        assert_eq!(limit(10)?.0, None);
        assert!(limit(12_345)?.1 <= 10);
        Ok(())
    }
}
