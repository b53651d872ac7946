//! What `iotrace diagnose` gives as evidence is what `top`, `fsync`, `wait` and `disk` show of the same workload.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;
use std::{
    fs::File,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Batches that are written and synced.
const BATCHES: u64 = 11;
/// Writes of each, and bytes of each write.
const WRITES: u64 = 7;
const BYTES: u64 = 30_011;
/// With pauses, so that nothing is wrong with it.
const WORKLOAD: &str = "
import os, sys, time
name, batches, writes, size = sys.argv[1], *map(int, sys.argv[2:])
table = os.open(name, os.O_WRONLY | os.O_CREAT)
for batch in range(batches):
    for write in range(writes): os.write(table, bytes(size))
    os.fsync(table)
    time.sleep(0.1)
";

/// Lets it write, and says its process id.
fn work(path: &Path) -> u32 {
    let numbers = [BATCHES, WRITES, BYTES].map(|number| number.to_string());
    let mut program = Command::new("python3").args(["-c", WORKLOAD]).arg(path).args(numbers).spawn().unwrap();
    assert!(program.wait().unwrap().success());
    program.id()
}

/// A program that writes to a pipe. Dropped, it is ended.
struct Writer(Child);

impl Writer {
    /// Waits until it sleeps: the pipe is full, as it does nothing else.
    fn until_blocked(&self) {
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        while !stat().contains(") S ") {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The row whose fields all are those of another.
#[track_caller]
fn like<'a>(run: &'a Output, row: &Value, fields: &[&str]) -> &'a Value {
    let mut same = run.rows.iter().filter(|other| fields.iter().all(|field| other[field] == row[field]));
    let found = same.next().unwrap_or_else(|| panic!("no row like {row:#} in {:#?}", run.rows));
    assert!(same.next().is_none(), "more than one row like {row:#}");
    found
}

#[track_caller]
fn assert_equal(evidence: &Value, row: &Value, fields: &[&str]) {
    for field in fields {
        assert!(evidence.pointer(field).is_some(), "no {field} in {evidence:#}");
        assert_eq!(evidence.pointer(field), row.pointer(field), "{field} of {evidence:#} and of {row:#}");
    }
}

/// A row of evidence.
#[track_caller]
fn of<'a>(found: &'a Value, kind: &str) -> &'a Value {
    let mut evidence = found["evidence"].as_array().unwrap().iter();
    evidence.find(|row| row["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {found:#}"))
}

/// Commands that trace beside each other from now on.
#[track_caller]
fn start<const N: usize>(commands: [&str; N], filter: [&str; 2]) -> [Running; N] {
    let mut runs = commands.map(|command| Iotrace::new(command).json().args(["-d", "1h"]).args(filter).start());
    runs.iter_mut().for_each(Running::wait_tracing);
    runs
}

#[test]
fn a_file_and_a_disk_are_as_other_commands_show_them() {
    need!(bpf, loop_devices, python);
    let disk = LoopDisk::new(64);
    let path = disk.dir().join("table");
    // What grows may be a log without end.
    File::create_new(&path).unwrap().set_len(BATCHES * WRITES * BYTES).unwrap();
    disk.settle();
    let runs = start(["diagnose", "top", "fsync", "disk"], ["--disk", disk.name()]);
    let pid = work(&path);
    // What the journal would still write later.
    disk.sync();
    let [diagnose, top, fsync, counted] = runs.map(|run| run.interrupt().complete());

    let found = &diagnose.rows[0];
    assert_eq!(found["rule"], "nothing-wrong", "{:#?}", diagnose.rows);
    let file = of(found, "top");
    let truth = [u64::from(pid), BATCHES * WRITES, BATCHES * WRITES * BYTES, BATCHES];
    assert_eq!(["pid", "writes", "write_bytes", "syncs"].map(|name| file[name].as_u64().unwrap()), truth, "{file:#}");
    let counts = ["/reads", "/read_bytes", "/writes", "/write_bytes", "/syncs", "/sync_writes", "/errors"];
    assert_equal(file, like(&top, file, &["type", "pid", "path"]), &counts);
    assert_equal(file, like(&fsync, file, &["pid", "path"]), &["/writes", "/write_bytes", "/syncs", "/sync_writes"]);

    let requests = of(found, "disk");
    let kinds = ["reads", "writes", "flushes", "discards"];
    let fields = kinds.iter().flat_map(|kind| ["count", "bytes", "merged"].map(|of| format!("/counted/{kind}/{of}")));
    let fields: Vec<String> = fields.collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_equal(requests, like(&counted, requests, &["type", "name"]), &fields);
    assert!(requests["counted"]["writes"]["bytes"].as_u64().unwrap() >= BATCHES * WRITES * BYTES, "{requests:#}");
}

#[test]
fn waits_are_as_wait_shows_them() {
    /// So often somebody reads, for a while.
    const TIMES: u64 = 11;
    need!(bpf);
    let script = "while :; do echo a line of the log; done";
    let mut writer = Writer(Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap());
    let pid = writer.0.id();
    let filter = ["--pid", &pid.to_string()];
    let [wait] = start(["wait"], filter);
    let began = Instant::now();
    let [diagnose] = start(["diagnose"], filter);
    let mut pipe = writer.0.stdout.take().unwrap();
    for _ in 0..TIMES {
        writer.until_blocked();
        pipe.read_exact(&mut [0; 30_011]).unwrap();
    }
    writer.until_blocked();
    // Nobody reads for longer than all that took.
    std::thread::sleep(began.elapsed() + Duration::from_secs(1));
    let [diagnose, wait] = [diagnose, wait].map(|run| run.interrupt().complete());

    let found = &diagnose.rows[0];
    assert_eq!(found["rule"], "stdout-not-drained", "{:#?}", diagnose.rows);
    let waits = of(found, "wait");
    assert!(waits["waits"].as_u64().unwrap() >= TIMES, "{waits:#}");
    let peers: Vec<&Value> = waits["peers"].as_array().unwrap().iter().map(|peer| &peer["pid"]).collect();
    assert_eq!(peers, [&Value::from(std::process::id())], "{waits:#}");
    let row = like(&wait, waits, &["type", "pid", "path", "op", "reason"]);
    assert_equal(waits, row, &["/waits", "/waiting", "/function", "/peers/0/pid", "/limit"]);
}
