//! `iotrace disk`: what it counts is what `/sys/block/DISK/stat` and `iostat -x` count.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    os::linux::fs::MetadataExt,
    process::{Command, Stdio},
};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn number(row: &Value, path: &str) -> u64 {
    row.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {row}"))
}

/// The rows of a device.
fn rows<'a>(run: &'a Output, name: &str) -> Vec<&'a Value> {
    run.rows.iter().filter(|row| row["name"] == name).collect()
}

/// The only row of a device.
#[track_caller]
fn row<'a>(run: &'a Output, name: &str) -> &'a Value {
    let rows = rows(run, name);
    assert_eq!(rows.len(), 1, "{name} in {:?}", run.rows);
    rows[0]
}

fn counted(row: &Value) -> BlockStat {
    let sectors = |path| number(row, path) / 512;
    BlockStat {
        reads: number(row, "/counted/reads/count"),
        read_sectors: sectors("/counted/reads/bytes"),
        writes: number(row, "/counted/writes/count"),
        write_sectors: sectors("/counted/writes/bytes"),
        discards: number(row, "/counted/discards/count"),
        discard_sectors: sectors("/counted/discards/bytes"),
        flushes: number(row, "/counted/flushes/count"),
    }
}

fn sum(rows: &[&Value]) -> BlockStat {
    rows.iter().map(|row| counted(row)).fold(BlockStat::default(), |sum, one| sum + one)
}

/// Traced requests of an operation.
fn traced(row: &Value, op: &str) -> u64 {
    let ops = row["ops"].as_array().unwrap();
    ops.iter().filter(|of_op| of_op["op"] == op).map(|of_op| number(of_op, "/count")).sum()
}

/// Direct reads and writes of a device, in requests of 64 KiB.
fn copy(device: &std::path::Path, reads: u32, writes: u32) -> [String; 3] {
    let device = device.display();
    let dd = |what: String| format!("dd {what} bs=64k status=none");
    let read = dd(format!("if={device} of=/dev/null iflag=direct count={reads}"));
    let write = dd(format!("if=/dev/zero of={device} oflag=direct count={writes}"));
    ["sh".into(), "-c".into(), format!("{read} && {write}")]
}

#[test]
fn counts_are_those_of_the_disks_statistics() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let run = Iotrace::new("disk").json().args(["--disk", disk.name()]);
    let before = BlockStat::of(disk.name());
    let run = run.program(scene.command("block", &["--device", disk.path().to_str().unwrap()])).run().complete();
    let grown = BlockStat::of(disk.name()) - before;
    let row = row(&run, disk.name());
    assert_eq!(counted(row), grown);
    assert!(grown.reads == 11 && grown.flushes == 4, "{grown:?}");
    assert_eq!((traced(row, "read"), traced(row, "flush")), (grown.reads, grown.flushes));
    assert_eq!(traced(row, "discard"), grown.discards);
    // A write that only flushes is counted as a write, and the flush that the device gets for it besides.
    assert_eq!(traced(row, "write") + traced(row, "write_zeroes") + grown.flushes, grown.writes);
    let all: u64 = row["ops"].as_array().unwrap().iter().map(|op| number(op, "/count")).sum();
    assert_eq!(number(row, "/requests/count"), all);
    assert_eq!(run.rows.len(), 1, "--disk shows one disk: {:?}", run.rows);
}

#[test]
fn intervals_add_up_to_the_whole() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::raw(16);
    let before = BlockStat::of(disk.name());
    let run = Iotrace::new("disk").json().args(["--disk", disk.name(), "-i", "20ms"]);
    let run = run.program(copy(&disk.path(), 211, 223)).run().complete();
    let rows = rows(&run, disk.name());
    assert_eq!(sum(&rows), BlockStat::of(disk.name()) - before);
    assert_eq!((sum(&rows).reads, sum(&rows).writes), (211, 223));
    let requests: u64 =
        rows.iter().filter(|row| !row["requests"].is_null()).map(|row| number(row, "/requests/count")).sum();
    assert_eq!(requests, 211 + 223);
    for row in rows {
        assert!(number(row, "/interval_ns") > 0 && row["counted"]["util_pct"].as_f64().unwrap() <= 100.0, "{row}");
    }
}

#[test]
fn partitions_stand_on_their_disk_and_that_on_the_disk_of_its_file() {
    need!(bpf, loop_devices, partitions);
    let disk = LoopDisk::raw(16);
    let (one, two) = (Partition::new(&disk, 1, 2048, 8192), Partition::new(&disk, 2, 10240, 8192));
    let program =
        copy(&one.path(), 13, 17).join(" ").replacen("sh -c ", "", 1) + " && " + &copy(&two.path(), 19, 23)[2];
    let run =
        Iotrace::new("disk").json().args(["--disk", disk.name()]).program(["sh", "-c", &program]).run().complete();
    let (whole, one, two) = (row(&run, disk.name()), row(&run, one.name()), row(&run, two.name()));
    assert_eq!(counted(whole), counted(one) + counted(two));
    assert_eq!((counted(one).reads, counted(one).writes, counted(two).reads, counted(two).writes), (13, 17, 19, 23));
    for partition in [one, two] {
        assert_eq!((&partition["disk"], &partition["device_type"]), (&disk.name().into(), &"part".into()));
        assert_eq!(partition["on"], serde_json::json!([whole["dev"]]));
    }
    assert_eq!(whole["device_type"], "loop");
    let file = whole["backing_file"].as_str().unwrap();
    let dev = std::fs::metadata(file).unwrap().st_dev();
    let below = format!("{}:{}", libc::major(dev), libc::minor(dev));
    // Of a file system without a device of its own, a mount table may tell the device, or not.
    assert!(libc::major(dev) == 0 || whole["on"] == serde_json::json!([below]), "{whole} is not on {below}");
}

#[test]
fn the_table_is_a_tree() {
    need!(bpf, loop_devices, partitions);
    let disk = LoopDisk::raw(16);
    let partition = Partition::new(&disk, 1, 2048, 8192);
    let run = Iotrace::new("disk").args(["--disk", disk.name()]).variable("LC_ALL", "C");
    let run = run.program(copy(&partition.path(), 13, 17)).run().exited(0);
    let (causes, lines): (Vec<&str>, Vec<&str>) = run.stdout.lines().partition(|line| line.starts_with("    "));
    let names: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().last()).collect();
    assert!(causes.iter().all(|line| line.contains("% dd (")) && !causes.is_empty(), "{}", run.stdout);
    assert_eq!(names, ["DISK", disk.name(), &format!("`{}", partition.name())], "{}", run.stdout);
}

#[test]
fn idle_disks_are_hidden_unless_all_are_asked_for() {
    need!(bpf, loop_devices);
    let (disk, idle) = (LoopDisk::raw(16), LoopDisk::raw(16));
    let run =
        |options: &[&str]| Iotrace::new("disk").json().args(options).program(copy(&disk.path(), 3, 5)).run().complete();
    assert_eq!(rows(&run(&[]), idle.name()).len(), 0);
    let all = run(&["-a"]);
    assert_eq!(counted(row(&all, idle.name())), BlockStat::default());
    assert_eq!(counted(row(&all, disk.name())).reads, 3);
}

#[test]
fn a_partition_that_appears_and_one_that_vanishes_lose_nothing_else() {
    need!(bpf, loop_devices, partitions);
    let disk = LoopDisk::raw(16);
    let before = BlockStat::of(disk.name());
    let mut run = Iotrace::new("disk").json().args(["-i", "50ms", "-d", "50s"]).start();
    run.wait_tracing();
    let done = |reads, writes| {
        let partition = Partition::new(&disk, 1, 2048, 8192);
        let words = copy(&partition.path(), reads, writes);
        assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success());
        partition
    };
    // Each has less than the one before: of two with the same name and number, the kernel's counters tell only that apart.
    drop(done(13, 19));
    drop(done(11, 17));
    let partition = done(7, 11);
    let run = run.interrupt().complete();
    assert_eq!(sum(&rows(&run, disk.name())), BlockStat::of(disk.name()) - before);
    let seen = sum(&rows(&run, partition.name()));
    // Of the first two, what was done after an interval's end and before the partition went is its disk's alone.
    assert!((7..=31).contains(&seen.reads) && (11..=47).contains(&seen.writes), "{seen:?}");
}

/// The rows that iostat prints of a device: the first since the boot, the second of the interval.
struct Iostat {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    name: String,
    headers: Vec<String>,
}

impl Iostat {
    fn start(disk: &LoopDisk, seconds: u32) -> Self {
        let mut command = Command::new("iostat");
        command.args(["-x", "-d", disk.name(), &seconds.to_string(), "2"]).env("LC_ALL", "C").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, name: disk.name().into(), headers: Vec::new() }
    }

    /// The next row, by its columns.
    fn row(&mut self) -> std::collections::HashMap<String, f64> {
        loop {
            let line = self.lines.next().expect("iostat prints two reports").unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.split_first() {
                Some((&"Device", headers)) => self.headers = headers.iter().map(|&word| word.into()).collect(),
                Some((name, values)) if *name == self.name => {
                    let values = values.iter().map(|word| word.parse().unwrap());
                    return self.headers.iter().cloned().zip(values).collect();
                }
                _ => {}
            }
        }
    }
}

impl Drop for Iostat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// iostat prints two decimals of a second's or a request's part. Its interval holds the whole workload and nothing else, so times
/// its interval its rates are numbers of requests and of milliseconds: whole ones. How long its interval was, which on a busy machine
/// is more than was asked for, follows from the bytes that were read.
#[test]
fn iostat_says_the_same() {
    need!(bpf, loop_devices, iostat);
    let seconds = 4 * slowdown();
    let disk = LoopDisk::raw(64);
    let mut iostat = Iostat::start(&disk, seconds);
    iostat.row();
    let device = disk.path();
    let large = |reads, writes| copy(&device, reads, writes)[2].replace("bs=64k", "bs=1M");
    let run = Iotrace::new("disk").json().args(["--disk", disk.name()]);
    let run = run.program(["sh", "-c", &large(41, 37)]).run().complete();
    let theirs = iostat.row();
    let ours = row(&run, disk.name());
    let kib = |field: &str| number(ours, &format!("/counted/{field}/bytes")) as f64 / 1024.0;
    let interval = kib("reads") / theirs["rkB/s"];
    assert!((0.99..1.5).contains(&(interval / f64::from(seconds))), "{interval} s: {theirs:?} {ours}");
    let rate = |name: &str| theirs[name] * interval;
    for (field, name) in [("reads", "r/s"), ("writes", "w/s"), ("discards", "d/s"), ("flushes", "f/s")] {
        assert_eq!(
            number(ours, &format!("/counted/{field}/count")),
            rate(name).round() as u64,
            "{name}: {theirs:?} {ours}"
        );
    }
    for (field, name, count) in [("reads", "r_await", "r/s"), ("writes", "w_await", "w/s")] {
        let await_ms = theirs[name] * rate(count).round();
        let counted_ms = number(ours, &format!("/counted/{field}/sum_ns")) / 1_000_000;
        assert_eq!(counted_ms, await_ms.round() as u64, "{name}: {theirs:?} {ours}");
        // The kernel rounds each look down, and takes the time a little after the tracepoint.
        let op = field.trim_end_matches('s');
        let of_op = ours["ops"].as_array().unwrap().iter().find(|of_op| of_op["op"] == op).unwrap();
        let (traced_ms, counted_ms) = (number(of_op, "/sum_ns") as f64 / 1e6, counted_ms as f64);
        assert!((traced_ms - counted_ms).abs() <= 1.0 + counted_ms / 4.0, "{op}: {traced_ms} ms {counted_ms} ms");
    }
    assert!((kib("writes") / rate("wkB/s") - 1.0).abs() < 0.01, "{theirs:?} {ours}");
    let busy_ms = number(ours, "/counted/busy_ns") as f64 / 1e6;
    assert!((busy_ms - rate("%util") * 10.0).abs() <= 1.0 + busy_ms / 100.0, "{theirs:?} {ours}");
    let queue_ms = ours["counted"]["queue_len"].as_f64().unwrap() * number(ours, "/interval_ns") as f64 / 1e6;
    assert!(
        (queue_ms - rate("aqu-sz") * 1000.0).abs() <= 0.005 * interval * 1000.0 + queue_ms / 100.0,
        "{theirs:?} {ours}"
    );
}

#[test]
fn causes_are_those_who_kept_the_disk_busy() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let file = |name: &str| disk.dir().join(name).display().to_string();
    let writes = [("large", 401), ("small", 11)];
    for (name, blocks) in writes {
        std::fs::write(file(name), vec![1; blocks << 16]).unwrap();
    }
    disk.settle();
    let run = Iotrace::new("disk").json().args(["--disk", disk.name()]);
    let before = BlockStat::of(disk.name());
    // Each block is a request, and nothing waits for the journal.
    let write = |(name, blocks): (&str, usize)| {
        format!("dd if=/dev/zero of={} bs=64k count={blocks} conv=notrunc oflag=direct status=none", file(name))
    };
    let run = run.program(["sh", "-c", &writes.map(write).join(" && ")]).run().complete();
    let grown = BlockStat::of(disk.name()) - before;
    let row = row(&run, disk.name());
    let causes = row["causes"].as_array().unwrap();
    assert!((1..=3).contains(&causes.len()), "{row}");
    // Which one took most time is for the disk to say: those of one may have stood behind something else's.
    let times: Vec<u64> = causes.iter().map(|cause| number(cause, "/device_ns")).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{row}");
    for (name, blocks) in writes {
        let of_file = causes.iter().find(|cause| cause["comm"] == "dd" && cause["path"] == file(name));
        // Besides these two the file system may write of its own, which leaves one out.
        assert!(of_file.is_some() || causes.len() == 3, "{name}: {row}");
        if let Some(cause) = of_file {
            assert_eq!((number(cause, "/requests"), number(cause, "/bytes")), (blocks as u64, (blocks << 16) as u64));
        }
    }
    let all = number(row, "/requests/device/sum_ns") as f64;
    for cause in causes {
        let share = number(cause, "/device_ns") as f64 / all;
        assert!((cause["share"].as_f64().unwrap() - share).abs() < 1e-6, "{row}");
    }
    assert!(times.iter().sum::<u64>() as f64 <= all, "{row}");
    let requests: u64 = causes.iter().map(|cause| number(cause, "/requests")).sum();
    assert!(requests <= grown.reads + grown.writes + grown.flushes, "{row}");
    // Each request is one event of the summary.
    assert_eq!(run.summary["events"], number(row, "/requests/count"));
}

#[test]
fn a_path_chooses_among_the_causes() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let writes = ["one", "two"].map(|name| disk.dir().join(name).display().to_string());
    let script =
        writes.each_ref().map(|file| format!("dd if=/dev/zero of={file} bs=64k count=31 oflag=direct status=none"));
    let run = Iotrace::new("disk").json().args(["--disk", disk.name(), "--path", "*/two"]);
    let run = run.program(["sh", "-c", &script.join(" && ")]).run().complete();
    let row = row(&run, disk.name());
    let [cause] = row["causes"].as_array().unwrap().as_slice() else { panic!("one cause: {row}") };
    assert_eq!((&cause["path"], number(cause, "/bytes")), (&writes[1].as_str().into(), 31 << 16), "{row}");
    // The disk's own figures are of all.
    assert!(number(row, "/counted/writes/bytes") >= 62 << 16 && cause["share"].as_f64().unwrap() < 1.0, "{row}");
}
