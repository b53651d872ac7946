//! `iotrace diagnose`: the right cause comes first, and nothing else is named.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    need,
    workload::{
        lives::{MANY, MANY_BYTES},
        sizes,
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
};

/// A program that does something else meanwhile.
struct Noise(Child);

impl Noise {
    /// Copies a file in large pieces, with pauses, until it is dropped.
    fn start(directory: &std::path::Path) -> Self {
        let script = "while :; do dd if=/dev/zero of=noise bs=1M count=8 conv=notrunc; dd if=noise of=/dev/null bs=1M; sleep 0.2; done";
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: the call is async-signal-safe.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, || {
                libc::setpgid(0, 0);
                Ok(())
            });
        }
        Self(command.spawn().unwrap())
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        // SAFETY: a group of its own, which it leads.
        unsafe { libc::kill(-(self.0.id() as i32), libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

/// The rules of what was found that costs something, in their order.
fn rules(rows: &[Value]) -> Vec<&str> {
    let findings = rows.iter().filter(|row| row["type"] == "finding" && row["severity"] != "info");
    findings.map(|row| row["rule"].as_str().unwrap()).collect()
}

/// What a program is told to be wrong, with noise beside it.
fn diagnosed(noise: &std::path::Path, disk: &str, program: &[&str]) -> Vec<Value> {
    let _noise = Noise::start(noise);
    let mut run = Iotrace::new("diagnose").json().args(["-d", "60s", "--disk", disk]).start();
    run.wait_tracing();
    let status = Command::new(program[0]).args(&program[1..]).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    run.interrupt().complete().rows
}

#[test]
fn an_agent_that_syncs_each_line_is_named() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let (place, noise) = (disk.dir().to_owned(), tempfile::tempdir().unwrap());
    let log = place.join("agent.log");
    let of = format!("of={}", log.display());
    // A file descriptor with O_DSYNC: each of its writes is a sync.
    let rows = diagnosed(
        noise.path(),
        disk.name(),
        &["dd", "if=/dev/zero", &of, "bs=120", "count=1009", "oflag=dsync,append", "conv=notrunc"],
    );
    assert_eq!(rules(&rows), ["sync-per-write"], "{rows:#?}");
    let found = &rows[0];
    assert_eq!(
        (&found["rank"], &found["comm"], &found["path"]),
        (&json!(1), &json!("dd"), &json!(log.to_str().unwrap()))
    );
    assert_eq!((&found["disk"], &found["host_path"]), (&json!(disk.name()), &found["path"]));
    let evidence = &found["evidence"][0];
    let counts = ["writes", "sync_writes", "write_bytes"].map(|name| evidence[name].as_u64().unwrap());
    assert_eq!(counts, [1009, 1009, 1009 * 120]);
}

#[test]
fn records_without_a_buffer_are_named() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let (place, noise) = (disk.dir().to_owned(), tempfile::tempdir().unwrap());
    let log = place.join("access.log");
    // It does not grow: how soon the disk is full depends on how fast this machine is.
    std::fs::File::create_new(&log).unwrap().set_len(32 << 20).unwrap();
    let of = format!("of={}", log.display());
    let rows =
        diagnosed(noise.path(), disk.name(), &["dd", "if=/dev/zero", &of, "bs=58", "count=500009", "conv=notrunc"]);
    assert_eq!(rules(&rows), ["small-writes"], "{rows:#?}");
    let evidence = &rows[0]["evidence"][0];
    assert_eq!((&evidence["writes"], &evidence["write_bytes"]), (&json!(500_009), &json!(500_009 * 58)));
    assert_eq!(rows[0]["path"], json!(log.to_str().unwrap()));
    let sizes = &rows[0]["evidence"][1];
    assert_eq!((&sizes["type"], &sizes["path"]), (&json!("write_sizes"), &rows[0]["path"]));
    assert_eq!(sizes["buckets"], json!([{"le_bytes": 63, "count": 500_009}]));
}

#[test]
fn small_writes_have_a_histogram_of_their_sizes() {
    need!(bpf, loop_devices);
    let (disk, noise) = (LoopDisk::new(64), tempfile::tempdir().unwrap());
    let scene = Scene::on(env!("CARGO_BIN_EXE_workload"), disk.dir());
    let command: Vec<String> =
        scene.command("sizes", &[]).into_iter().map(|word| word.into_string().unwrap()).collect();
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let rows = diagnosed(noise.path(), disk.name(), &words);
    let found = rows.iter().find(|row| row["rule"] == "small-writes").unwrap_or_else(|| panic!("{rows:#?}"));
    // Each size stands at an end of a class: nothing, 1, 2 and 3, 4 to 7, ...
    let mut expected = BTreeMap::<Option<u64>, u64>::new();
    let mut add = |bytes: u64, count| {
        let le = (bytes + 1).next_power_of_two() - 1;
        *expected.entry(Some(le).filter(|le| *le < 1 << 14)).or_default() += count;
    };
    add(sizes::SMALL.1 as u64, sizes::SMALL.0);
    for bits in 0..sizes::BITS {
        add((1 << bits) - 1, sizes::EACH);
        add(1 << bits, sizes::EACH);
    }
    let (top, evidence) = (&found["evidence"][0], &found["evidence"][1]);
    let buckets = evidence["buckets"].as_array().unwrap();
    let counted = buckets.iter().map(|bucket| (bucket["le_bytes"].as_u64(), bucket["count"].as_u64().unwrap()));
    assert_eq!(counted.clone().collect::<BTreeMap<_, _>>(), expected);
    let all: u64 = counted.map(|(_, count)| count).sum();
    assert_eq!(top["writes"].as_u64().unwrap(), all + sizes::FAILED);
    assert_eq!(top["errors"].as_u64().unwrap(), sizes::FAILED);
}

#[test]
fn a_thread_that_makes_and_removes_files_is_named_with_their_pattern() {
    need!(bpf, loop_devices);
    let (disk, noise) = (LoopDisk::new(64), tempfile::tempdir().unwrap());
    let scene = Scene::on(env!("CARGO_BIN_EXE_workload"), disk.dir());
    let command: Vec<String> =
        scene.command("lives-of-many", &[]).into_iter().map(|word| word.into_string().unwrap()).collect();
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let rows = diagnosed(noise.path(), disk.name(), &words);
    assert_eq!(rules(&rows), ["temp-file-churn"], "{rows:#?}");
    let evidence = &rows[0]["evidence"][0];
    let counts =
        ["files", "created", "deleted", "write_bytes", "read_bytes"].map(|name| evidence[name].as_u64().unwrap());
    let (many, bytes) = (MANY as u64, (MANY * MANY_BYTES) as u64);
    assert_eq!(counts, [many, many, many, bytes, bytes]);
    let pattern = disk.dir().join("<uuid>/<n>.txt");
    assert_eq!((&rows[0]["comm"], &rows[0]["path"]), (&json!("workload"), &json!(pattern.to_str().unwrap())));
}

#[test]
fn a_log_that_is_opened_for_each_line_is_named() {
    need!(bpf, loop_devices);
    let (disk, noise) = (LoopDisk::new(64), tempfile::tempdir().unwrap());
    let log = disk.dir().join("app.log");
    let script = "i=0; while [ $i -lt 5003 ]; do echo 'a line of text' >> \"$0\"; i=$((i+1)); done";
    let rows = diagnosed(noise.path(), disk.name(), &["sh", "-c", script, log.to_str().unwrap()]);
    assert_eq!(rules(&rows), ["reopened-per-write"], "{rows:#?}");
    assert_eq!((&rows[0]["comm"], &rows[0]["path"]), (&json!("sh"), &json!(log.to_str().unwrap())));
    assert!(rows[0]["details"][0].as_str().unwrap().starts_with("5003 opens for writing, "), "{}", rows[0]);
    assert_eq!(
        (&rows[0]["evidence"][0]["writes"], &rows[0]["evidence"][0]["write_bytes"]),
        (&json!(5003), &json!(5003 * 15))
    );
}

#[test]
fn copying_in_large_pieces_is_not_wrong() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let (place, noise) = (disk.dir().to_owned(), tempfile::tempdir().unwrap());
    let of = format!("of={}", place.join("copy").display());
    let rows = diagnosed(noise.path(), disk.name(), &["dd", "if=/dev/zero", &of, "bs=1M", "count=31", "conv=fsync"]);
    assert_eq!(rules(&rows), [""; 0], "{rows:#?}");
}

/// Fills a file system, then tries to go on: 7 writes and 3 opens of new files fail for want of room (of inodes). Remounted, 5 opens
/// fail because it is read-only.
const FAILING: &str = "
import os, subprocess, sys, errno
os.chdir(sys.argv[1])
def count(call, wanted, times):
    failed = 0
    while failed < times:
        try: call()
        except OSError as error:
            assert error.errno == wanted, error
            failed += 1
log = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
try:
    while True: os.write(log, bytes(65536))
except OSError: pass
# What was kept for blocks that were not allocated yet is free again.
os.fsync(log)
count(lambda: os.write(log, bytes(4096)), errno.ENOSPC, 6)
for name in range(100000):
    try: os.close(os.open('x%d' % name, os.O_WRONLY | os.O_CREAT))
    except OSError as error: break
made = 0
def new():
    global made
    os.close(os.open('new' * 60 + str(made), os.O_WRONLY | os.O_CREAT))
    made += 1
count(new, errno.ENOSPC, 3)
os.close(log)
subprocess.run(['mount', '-o', 'remount,ro', sys.argv[1]], check=True)
count(lambda: os.open('log', os.O_WRONLY), errno.EROFS, 5)
";

#[test]
fn what_fails_is_told_by_file_and_errno() {
    need!(bpf, loop_devices, python);
    let disk = LoopDisk::new(8);
    let program = ["python3", "-c", FAILING, disk.dir().to_str().unwrap()];
    let run = Iotrace::new("diagnose").json().program(program).run().complete();
    let failures =
        run.rows.iter().filter(|row| row["rule"] == "failing-io").flat_map(|row| row["evidence"].as_array().unwrap());
    let failures = failures.map(|row| {
        let name =
            std::path::Path::new(row["path"].as_str().unwrap()).strip_prefix(disk.dir()).unwrap().to_str().unwrap();
        (
            name.trim_end_matches(char::is_numeric),
            row["op"].as_str().unwrap(),
            row["errno"].as_str().unwrap(),
            row["count"].as_u64().unwrap(),
        )
    });
    let mut failures: Vec<_> = failures.collect();
    failures.sort_unstable();
    let new = "new".repeat(60);
    let truth = [
        ("log", "open", "EROFS", 5),
        ("log", "write", "ENOSPC", 7),
        (new.as_str(), "open", "ENOSPC", 3),
        ("x", "open", "ENOSPC", 1),
    ];
    assert_eq!(failures, truth, "{:#?}", run.rows);
    let first = &run.rows[0];
    assert_eq!(
        (&first["severity"], &first["comm"], &first["disk"]),
        (&json!("critical"), &json!("python3"), &json!(disk.name()))
    );
}

/// Holds a deleted file open, and writes a little.
const HOLDING: &str = "
import os, sys, time
os.chdir(sys.argv[1])
free = os.statvfs('.')
held = os.open('old.log', os.O_WRONLY | os.O_CREAT)
os.posix_fallocate(held, 0, int(free.f_bavail * free.f_frsize * 0.98))
os.unlink('old.log')
log = os.open('new.log', os.O_WRONLY | os.O_CREAT)
os.write(log, bytes(4096))
print('ready', flush=True)
time.sleep(60)
";

#[test]
fn deleted_files_that_fill_a_file_system_are_found() {
    need!(bpf, loop_devices, python);
    let disk = LoopDisk::new(64);
    let mut run = Iotrace::new("diagnose").json().args(["-d", "60s", "--disk", disk.name()]).start();
    run.wait_tracing();
    let place = disk.dir().to_str().unwrap();
    let mut holder = Command::new("python3").args(["-c", HOLDING, place]).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    let rows = run.interrupt().complete().rows;
    let pid = holder.id();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(rules(&rows), ["file-system-full"], "{rows:#?}");
    let details: Vec<&str> = rows[0]["details"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let line = details.iter().find(|line| line.contains("in 1 deleted files")).unwrap_or_else(|| panic!("{details:?}"));
    assert!(line.ends_with(&format!("python3 ({pid}) has {place}/old.log")), "{line}");
}

#[test]
fn the_exit_code_tells_only_when_it_is_asked_to() {
    need!(bpf);
    let place = tempfile::tempdir().unwrap();
    let of = format!("of={}", place.path().join("log").display());
    let wrong = || ["dd", "if=/dev/zero", &of, "bs=58", "count=200003"].map(str::to_owned);
    Iotrace::new("diagnose").args(["--exit-code", "-q"]).program(wrong()).run().exited(10);
    Iotrace::new("diagnose").args(["-q"]).program(wrong()).run().exited(0);
    let nothing = Iotrace::new("diagnose").args(["--exit-code", "-q"]).program(["true"]).run().exited(0);
    assert!(nothing.stdout.starts_with("nothing wrong found in "), "{}", nothing.stdout);
}

#[test]
fn a_rule_is_explained_without_tracing() {
    let page = Iotrace::new("diagnose").args(["--explain", "sync-per-write"]).run().exited(0);
    assert!(page.stdout.starts_with("# sync-per-write\n"), "{}", page.stdout);
    let wrong = Iotrace::new("diagnose").args(["--explain", "no-such-rule"]).run().exited(2);
    assert!(wrong.stderr.contains("sync-per-write"), "{}", wrong.stderr);
}
