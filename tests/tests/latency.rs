//! `iotrace latency`: requests and bytes are those of /sys/block/DISK/stat.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    log::{Kind, Log},
    need,
};
use serde_json::Value;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn latency(disk: &LoopDisk, scene: &Scene, scenario: &str, options: &[&str]) -> (Output, BlockStat) {
    let run = Iotrace::new("latency").json().args(["--disk", disk.name()]);
    let before = BlockStat::of(disk.name());
    let run = run.program(scene.command(scenario, options)).run().complete();
    (run, BlockStat::of(disk.name()) - before)
}

/// Requests and bytes of the operations whose name begins so: `write` stands for writing zeroes as well.
fn sum(rows: &[Value], disk: &LoopDisk, op: &str) -> (u64, u64) {
    let field = |row: &Value, name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"));
    let of_op = |row: &&Value| row["disk"] == disk.name() && row["op"].as_str().unwrap().starts_with(op);
    rows.iter().filter(of_op).fold((0, 0), |sum, row| (sum.0 + field(row, "count"), sum.1 + field(row, "bytes")))
}

fn compare(run: &Output, disk: &LoopDisk, grown: BlockStat) {
    assert_eq!(sum(&run.rows, disk, "read"), (grown.reads, grown.read_sectors * 512));
    assert_eq!(sum(&run.rows, disk, "discard"), (grown.discards, grown.discard_sectors * 512));
    assert_eq!(sum(&run.rows, disk, "flush"), (grown.flushes, 0));
    assert_eq!(sum(&run.rows, disk, "write").1, grown.write_sectors * 512);
}

fn syncs(log: &Log) -> u64 {
    log.count(|op| op.kind == Kind::Fsync)
}

#[test]
fn direct_requests_are_equal_to_the_disks_statistics() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let (run, grown) = latency(&disk, &scene, "block", &["--device", disk.path().to_str().unwrap()]);
    compare(&run, &disk, grown);
    // The statistics count a request that only flushes as a write of nothing, and the flush that the device gets besides.
    assert_eq!(sum(&run.rows, &disk, "write").0, grown.writes - syncs(&scene.log()));
}

#[test]
fn a_file_systems_requests_are_equal_to_the_disks_statistics() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    disk.settle();
    let (run, grown) = latency(&disk, &scene, "fsyncs", &[]);
    compare(&run, &disk, grown);
    assert!(grown.flushes > 0 && grown.writes > 0, "{grown:?}");
    let writes = sum(&run.rows, &disk, "write").0;
    assert!(writes <= grown.writes && grown.writes - writes <= grown.flushes, "{writes} of {grown:?}");
}

#[test]
fn histograms_hold_every_request_once() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let (run, _) = latency(&disk, &scene, "block", &["--device", disk.path().to_str().unwrap()]);
    assert!(!run.rows.is_empty());
    for row in &run.rows {
        let buckets = row["buckets"].as_array().unwrap();
        let count: u64 = buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum();
        assert_eq!(count, row["count"].as_u64().unwrap(), "{row}");
        for part in [row, &row["queue"], &row["device"]] {
            let number = |name: &str| part[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"));
            let ordered = ["min_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"].map(number);
            assert!(ordered.is_sorted(), "{row}");
            assert!(number("sum_ns") >= number("max_ns"), "{row}");
        }
    }
}

#[test]
fn other_disks_are_left_out() {
    need!(bpf, loop_devices);
    let (scene, disk, other) = (Scene::new(WORKLOAD), LoopDisk::raw(16), LoopDisk::raw(16));
    let (run, _) = latency(&other, &scene, "block", &["--device", disk.path().to_str().unwrap()]);
    assert!(run.rows.iter().all(|row| row["disk"] == other.name()), "{:?}", run.rows);
}

#[test]
fn the_text_draws_a_bar_per_power_of_two() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let run = Iotrace::new("latency").args(["--disk", disk.name()]);
    let run = run.program(scene.command("block", &["--device", disk.path().to_str().unwrap()])).run().exited(0);
    for word in [disk.name(), "read", "write", "flush"] {
        assert!(run.stdout.contains(word), "{word} in {}", run.stdout);
    }
}

#[test]
fn a_heat_map_has_a_column_per_interval_and_a_place_for_every_request() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let device = disk.path();
    let words = scene.command("block", &["--device", device.to_str().unwrap()]);
    let run = |options: &[&str]| {
        let run = Iotrace::new("latency").args(["--disk", disk.name(), "--heatmap", "-i", "10s"]).args(options);
        run.program(words.clone()).run().exited(0)
    };
    let text = run(&[]).stdout;
    // One interval, cut short by the end of the program: one column, in which each power of two that has requests has a shade.
    let reads = text.split("\n\n").find(|map| map.contains(" read: 11 requests")).unwrap_or_else(|| panic!("{text}"));
    let shades = |line: &str| line.chars().filter(|c| "░▒▓█.oO#".contains(*c)).count();
    let drawn: Vec<&str> = reads.lines().skip_while(|line| !line.contains(" read: ")).skip(1).collect();
    let (legend, drawn) = drawn.split_last().unwrap();
    assert!(shades(legend) > 0 && drawn.iter().all(|line| line.split_whitespace().count() <= 2), "{text}");
    let json = run(&["--json"]);
    assert_eq!(sum(&json.rows, &disk, "read").0, 11);
    assert!(json.rows.iter().all(|row| row["type"] == "latency"), "{:?}", json.rows);
}

#[test]
fn a_heat_map_counts_seconds_unless_told_otherwise() {
    need!(bpf);
    let run = Iotrace::new("latency").args(["--heatmap", "-n", "1", "--op", "secure_erase"]).run().exited(0);
    assert!(run.stdout.ends_with("no block requests\n") && run.stdout.contains(" to "), "{}", run.stdout);
}

#[test]
fn flushes_and_writes_past_the_cache_are_told_apart() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    disk.settle();
    let run = Iotrace::new("latency").json().args(["--disk", disk.name(), "--flush"]);
    let before = BlockStat::of(disk.name());
    let run = run.program(scene.command("fsyncs", &[])).run().complete();
    let grown = BlockStat::of(disk.name()) - before;
    compare(&run, &disk, grown);
    for row in &run.rows {
        let flags = row["flags"].as_array().unwrap();
        assert!(flags.iter().all(|flag| flag == "fua" || flag == "preflush"), "{row}");
    }
    assert!(grown.flushes > 0, "{grown:?}");
}

#[test]
fn by_file_and_process_regroup_the_same_requests() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    disk.settle();
    let file = |name: &str| disk.dir().join(name).display().to_string();
    let dd = |name: &str, blocks: u32| {
        format!("dd if=/dev/zero of={} bs=64k count={blocks} conv=fsync status=none", file(name))
    };
    let mut run = Iotrace::new("latency").json().args(["--disk", disk.name(), "--by", "file", "-d", "50s"]).start();
    run.wait_tracing();
    let mut of_process =
        Iotrace::new("latency").json().args(["--by", "process", "-d", "50s", "--path", &file("*")]).start();
    of_process.wait_tracing();
    let before = BlockStat::of(disk.name());
    let script = [dd("large", 101), dd("small", 7)].join(" && ");
    assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let grown = BlockStat::of(disk.name()) - before;
    let (run, of_process) = (run.interrupt().complete(), of_process.interrupt().complete());
    compare(&run, &disk, grown);
    let written = |rows: &[Value], field: &str, value: &str| -> u64 {
        let rows = rows.iter().filter(|row| row[field] == value && row["op"] == "write");
        rows.map(|row| row["bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!(written(&run.rows, "path", &file("large")), 101 << 16);
    assert_eq!(written(&run.rows, "path", &file("small")), 7 << 16);
    assert!(run.rows.iter().all(|row| row["pid"].is_null() && row["others"] == false), "{:?}", run.rows);
    // Two processes of one name, and nobody else had data of these files.
    assert_eq!(written(&of_process.rows, "comm", "dd"), 108 << 16);
    let mut pids: Vec<_> = of_process.rows.iter().map(|row| row["pid"].as_u64()).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 2, "{:?}", of_process.rows);
}
