//! `iotrace top`: each row is equal to the log.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, log::Op, need, procio};
use serde_json::Value;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// `iotrace top --json -a -r 0 ... -- workload SCENARIO`.
fn top(scene: &Scene, scenario: &str, options: &[&str], args: &[&str]) -> Output {
    let top = Iotrace::new("top").json().args(["-r", "0"]).args(args);
    top.program(scene.command(scenario, options)).run().complete()
}

#[test]
fn every_row_is_equal_to_the_programs_own_log() {
    need!(bpf, loop_devices);
    let (scene, full) = (Scene::new(WORKLOAD), LoopDisk::new(8));
    let file = scene.beside("report");
    let run = Iotrace::new("top").json().output(&file).args(["-a", "-r", "0"]);
    let run = run.program(scene.command("calls", &["--sync", "--full", full.dir().to_str().unwrap()])).run().complete();
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn without_latency_rows_are_the_same_and_have_no_times() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "calls", &["--sync"], &["-a", "--no-latency"]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
    for row in &run.rows {
        for time in ["read_ns", "write_ns", "sync_ns", "max_ns"] {
            assert!(row[time].is_null(), "{row}");
        }
    }
}

#[test]
fn sums_are_equal_to_proc_io() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "calls", &[], &["-a"]);
    let log = scene.log();
    let windowed = truth_by(&log, |op| op.windowed.then(|| process_and_path(op)));
    let seen = rows_by(&run.rows, &scene, &windowed, |row| {
        Some(process_and_path_of_row(row)).filter(|key| windowed.contains_key(key))
    });
    let mut seen = seen.values().fold(Counts::default(), |mut sum, row| {
        sum.add(*row);
        sum
    });
    // Calls that the kernel does not account: splice, and those that fail early (procio).
    for op in log.ops.iter().filter(|op| op.windowed && !procio::is_accounted(op)) {
        let unaccounted = Counts::of(op);
        seen.reads -= unaccounted.reads;
        seen.writes -= unaccounted.writes;
        seen.read_bytes -= unaccounted.read_bytes;
        seen.write_bytes -= unaccounted.write_bytes;
    }
    let io = log.end.io;
    assert_eq!((seen.reads, seen.read_bytes, seen.writes, seen.write_bytes), (io.syscr, io.rchar, io.syscw, io.wchar));
}

#[test]
fn without_all_only_regular_files_and_syncs_of_everything_are_shown() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "calls", &["--sync"], &[]);
    let log = scene.log();
    let inside = |op: &Op| op.regular && op.path_key().is_some_and(|path| scene.holds(&path));
    assert_rows(&scene, &log, &run.rows, |op| inside(op) || op.call == "sync");
    for row in &run.rows {
        let path = row["path"].as_str().unwrap_or_default();
        assert!(!path.starts_with("pipe:") && !path.starts_with("socket:") && path != "/dev/null", "{row}");
    }
}

#[test]
fn a_thread_that_writes_shows_under_its_process() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "threads", &[], &[]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn by_thread_tells_threads_apart() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "calls", &[], &["-a", "--by", "thread"]);
    let truth = truth_by(&scene.log(), |op| Some(format!("{} {}", op.tid, process_and_path(op))));
    let key = |row: &Value| Some(format!("{} {}", row["tid"], process_and_path_of_row(row)));
    assert_same(&rows_by(&run.rows, &scene, &truth, key), &truth);
}

#[test]
fn rows_name_the_thread_and_process() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "threads", &[], &["--by", "thread", "--path", &scene.glob()]);
    let truth = truth_by(&scene.log(), |op| Some(format!("{} {}", op.tid, op.comm)));
    let key = |row: &Value| Some(format!("{} {}", row["tid"], row["comm"].as_str().unwrap()));
    assert_same(&rows_by(&run.rows, &scene, &truth, key), &truth);
}

#[test]
fn by_process_file_and_directory_regroup_the_same_sums() {
    need!(bpf);
    type Key<T> = fn(&T) -> String;
    fn path(op: &Op) -> String {
        path_text(op.path_key().as_deref())
    }
    fn parent(op: &Op) -> String {
        path(op).rsplit_once('/').unwrap().0.to_owned()
    }
    fn row_path(row: &Value) -> String {
        path_text(path_of(row).as_deref())
    }
    let groups: [(&str, Key<Op>, Key<Value>); 3] = [
        ("process", |op| op.pid.to_string(), |row| row["pid"].to_string()),
        ("file", path, row_path),
        ("dir", parent, row_path),
    ];
    for (group, key, row_key) in groups {
        let scene = Scene::new(WORKLOAD);
        let run = top(&scene, "calls", &[], &["--by", group, "--path", &scene.glob()]);
        let inside = |op: &Op| op.regular && op.path_key().is_some_and(|path| scene.holds(&path));
        let truth = truth_by(&scene.log(), |op| inside(op).then(|| key(op)));
        assert_same(&rows_by(&run.rows, &scene, &truth, |row| Some(row_key(row))), &truth);
    }
}

#[test]
fn by_disk_sums_a_whole_disk() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = top(&scene, "fsyncs", &[], &["-a", "--by", "disk"]);
    let truth = truth_by(&scene.log(), |op| (op.call != "syncfs").then(|| disk.name().to_owned()));
    let mut seen = rows_by(&run.rows, &scene, &truth, |row| row["disk"].as_str().map(str::to_owned));
    for row in seen.values_mut() {
        row.syncs -= scene.log().count(|op| op.call == "syncfs"); // of the mount, which is on the disk as well
    }
    assert_same(&seen, &truth);
}

#[test]
fn device_disk_file_system_and_inode_are_the_files_own() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = top(&scene, "threads", &[], &["--path", &scene.glob()]);
    let log = scene.log();
    assert_eq!(run.rows.len(), 2, "{:?}", run.rows);
    for row in &run.rows {
        let op = log.ops.iter().find(|op| op.ino != 0 && op.path.as_deref() == row["path"].as_str()).unwrap();
        assert_eq!(row["ino"], op.ino);
        assert_eq!(row["dev"].as_str(), op.dev.as_deref());
        assert_eq!(row["disk"], disk.name());
        assert_eq!(row["fs"], "ext4");
        assert_eq!(row["comm"], "workload");
    }
}

#[test]
fn intervals_add_up_to_the_whole() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "interrupts", &[], &["-a", "-i", "50ms"]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn sort_keys_order_the_rows() {
    need!(bpf);
    for (sort, columns) in [
        ("reads", vec!["reads"]),
        ("writes", vec!["writes"]),
        ("read-bytes", vec!["read_bytes"]),
        ("write-bytes", vec!["write_bytes"]),
        ("bytes", vec!["read_bytes", "write_bytes", "mmap_read_bytes", "mmap_write_bytes"]),
        ("syncs", vec!["syncs", "sync_writes"]),
        ("time", vec!["read_ns", "write_ns", "sync_ns"]),
        ("errors", vec!["errors"]),
    ] {
        let scene = Scene::new(WORKLOAD);
        let run = top(&scene, "calls", &[], &["-a", "--sort", sort]);
        let value = |row: &Value| columns.iter().map(|column| row[*column].as_u64().unwrap()).sum::<u64>();
        let values: Vec<u64> = run.rows.iter().map(value).collect();
        assert!(values.is_sorted_by(|a, b| a >= b), "--sort {sort}: {values:?}");
        assert!(values[0] > 0, "--sort {sort}");
    }
}

#[test]
fn rows_limits_the_rows_and_a_table_has_20_by_default() {
    need!(bpf);
    for (args, rows) in [(&["-r", "3"][..], 3), (&[][..], 20)] {
        let scene = Scene::new(WORKLOAD);
        let run = Iotrace::new("top").args(["-a"]).args(args).program(scene.command("calls", &[])).run().exited(0);
        // The header, and the line that says that there are more.
        assert_eq!(run.stdout.lines().count(), rows + 2, "{}", run.stdout);
        assert!(run.stdout.contains(&format!("{rows} of ")), "{}", run.stdout);
    }
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("top").json().args(["-a", "-r", "3"]).program(scene.command("calls", &[])).run().complete();
    assert_eq!(run.rows.len(), 3);
}

#[test]
fn json_has_all_rows_unless_it_is_asked_for_less() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("top").json().args(["-a"]).program(scene.command("calls", &[])).run().complete();
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn a_program_that_ends_before_the_last_of_a_count_of_tables_is_counted_to_its_end() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = top(&scene, "calls", &[], &["-a", "-i", "20s", "-n", "5"]);
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn the_table_ends_with_the_whole_path() {
    need!(bpf);
    let scene = Scene::new(WORKLOAD);
    let run = Iotrace::new("top").program(scene.command("threads", &[])).run().exited(0);
    let header = run.stdout.lines().find(|line| line.contains("PATH")).expect("a header");
    let columns: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(columns, ["PID", "COMM", "READS", "WRITES", "R_KB", "W_KB", "SYNCS", "TIME", "PATH"]);
    let path = scene.dir().join("by-thread");
    let row = run.stdout.lines().find(|line| line.ends_with(path.to_str().unwrap())).expect("the file's row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[1], cells[2], cells[3]), ("workload", "503", "1110"));
}
