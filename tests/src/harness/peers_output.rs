//! What peers print.

use serde_json::{Map, Value};
use std::str::FromStr;

/// The first `N` words of a line, and the rest, in which there may be spaces.
fn words<const N: usize>(line: &str) -> Option<([&str; N], &str)> {
    let (mut words, mut rest) = ([""; N], line.trim_start());
    for word in &mut words {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        (*word, rest) = (&rest[..end], rest[end..].trim_start());
    }
    words.iter().all(|word| !word.is_empty()).then_some((words, rest))
}

/// Lines that begin with a number: neither headers nor messages.
fn rows(output: &str) -> impl Iterator<Item = &str> {
    output
        .lines()
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()) && !line.contains("loadavg"))
}

#[track_caller]
fn number<T: FromStr>(word: &str, line: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word:?} is no number in {line:?}"))
}

/// A row of filetop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // named as the columns
pub struct Counted {
    pub tid: u32,
    pub file: String,
    pub reads: u64,
    pub writes: u64,
    /// Whole KiB.
    pub read_kib: u64,
    pub write_kib: u64,
}

impl Counted {
    /// All rows: `TID COMM READS WRITES R_Kb W_Kb T FILE`.
    #[track_caller]
    pub fn all(output: &str) -> Vec<Self> {
        let row = |line| {
            let ([tid, _comm, reads, writes, read, write, _kind], file) = words(line)?;
            Some(Self {
                tid: number(tid, line),
                file: file.to_owned(),
                reads: number(reads, line),
                writes: number(writes, line),
                read_kib: number(read, line),
                write_kib: number(write, line),
            })
        };
        rows(output).filter_map(row).collect()
    }
}

/// A row of opensnoop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // named as the columns
pub struct Opened {
    pub pid: u32,
    /// -1 for one that failed.
    pub fd: i64,
    pub errno: i64,
    pub path: String,
}

impl Opened {
    /// All rows: `PID COMM FD ERR PATH`.
    #[track_caller]
    pub fn all(output: &str) -> Vec<Self> {
        let row = |line| {
            let ([pid, _comm, fd, errno], path) = words(line)?;
            let path = path.to_owned();
            Some(Self { pid: number(pid, line), fd: number(fd, line), errno: number(errno, line), path })
        };
        rows(output).filter_map(row).collect()
    }
}

/// A row of biosnoop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // named as the columns
pub struct Requested {
    pub pid: u32,
    pub disk: String,
    /// What it is, as the kernel's trace events write it: `R`, `WS`, `FF`.
    pub kind: String,
    pub sector: u64,
    pub bytes: u64,
}

impl Requested {
    /// All rows: `TIME COMM PID DISK T SECTOR BYTES LAT`. The name of a thread of the kernel may have a space; none is
    /// expected in others.
    #[track_caller]
    pub fn all(output: &str) -> Vec<Self> {
        let row = |line| {
            let ([_time, _comm, pid, disk, kind, sector, bytes], _latency) = words(line)?;
            let (disk, kind) = (disk.to_owned(), kind.to_owned());
            Some(Self { pid: number(pid, line), disk, kind, sector: number(sector, line), bytes: number(bytes, line) })
        };
        rows(output).filter_map(row).collect()
    }
}

/// How many values the histograms of biolatency hold: the numbers after the colons of `8 -> 15 : 3 |***   |`.
#[track_caller]
pub fn histogram_sum(output: &str) -> u64 {
    let count = |line: &str| -> u64 {
        let (_, rest) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} is no bucket"));
        number(rest.split_whitespace().next().unwrap_or_default(), line)
    };
    rows(output).map(count).sum()
}

/// The maps that bpftrace prints at its end, with `-f json`: lines of `{"type": "map", "data": {"@name": {"key": value}}}`.
pub fn maps(output: &str) -> Map<String, Value> {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let maps = lines.filter(|line| line["type"] == "map");
    maps.filter_map(|line| line["data"].as_object().cloned()).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_filetop_are_read() {
        let output = "12:00:00 loadavg: 0.10 0.03 0.01 1/70 300\nTID     COMM             READS  WRITES R_Kb    W_Kb    T FILE\n\
            301     workload         2      0      64      0       R three bytes\n\n";
        let row = Counted { tid: 301, file: "three bytes".into(), reads: 2, writes: 0, read_kib: 64, write_kib: 0 };
        assert_eq!(Counted::all(output), [row]);
    }

    #[test]
    fn rows_of_opensnoop_are_read() {
        let output = "PID    COMM              FD ERR PATH\n24509  cat               -1   2 /etc/not here\n24509  cat   -1  14 \n";
        let row = |errno, path: &str| Opened { pid: 24_509, fd: -1, errno, path: path.into() };
        assert_eq!(Opened::all(output), [row(2, "/etc/not here"), row(14, "")]);
    }

    #[test]
    fn rows_of_biosnoop_are_read() {
        let output = "TIME(s)     COMM           PID     DISK    T      SECTOR     BYTES   LAT(ms)\n\
            0.123456    workload       301     loop0   WS     128        4096      0.050\n";
        let (disk, kind) = ("loop0".into(), "WS".into());
        assert_eq!(Requested::all(output), [Requested { pid: 301, disk, kind, sector: 128, bytes: 4_096 }]);
    }

    #[test]
    fn buckets_of_all_histograms_are_summed() {
        let output = "Tracing block device I/O... Hit Ctrl-C to end.\n\ndisk = loop0\n     usecs               : count    distribution\n\
                     32 -> 63         : 8        |****************************************|\n\
                     64 -> 127        : 1        |*****                                   |\n";
        assert_eq!(histogram_sum(output), 9);
    }

    #[test]
    fn maps_of_bpftrace_are_read_by_name() {
        let output = "{\"type\": \"attached_probes\", \"count\": 1, \"data\": {\"probes\": 1}}\n\
            {\"type\": \"map\", \"data\": {\"@n\": {\"dd\": 145}}}\n{\"type\": \"map\", \"data\": {\"@sum\": {\"dd\": -725}}}\n";
        let maps = maps(output);
        assert_eq!((&maps["@n"]["dd"], &maps["@sum"]["dd"]), (&145.into(), &Value::from(-725)));
    }
}
