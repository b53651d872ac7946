//! `iotrace block`: what fio and databases write is charged to their files and processes, at least 99 % of the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;
use std::process::Command;

/// Fails unless 99 % of the bytes of files that were written are of files and processes that `ours` picks.
#[track_caller]
fn assert_charged(rows: &[Value], least: u64, ours: impl Fn(&Value) -> bool) {
    let own = |file: &Value| file["what"] == "metadata" || file["what"] == "journal";
    let (all, charged) = (bytes_of(rows, "write", |file| !own(file)), bytes_of(rows, "write", |file| ours(file)));
    assert!(all >= least, "only {all} bytes were written");
    assert!(charged * 100 >= all * 99, "{charged} of {all} bytes: {rows:#?}");
}

fn below(file: &Value, disk: &LoopDisk) -> bool {
    file["path"].as_str().is_some_and(|path| path.starts_with(disk.dir().to_str().unwrap()))
}

fn fio(disk: &LoopDisk) {
    let watch = Watch::new(disk, &[]);
    let place = format!("--directory={}", disk.dir().display());
    let job =
        ["--name=job", "--numjobs=3", "--rw=randwrite", "--bs=8k", "--size=4m", "--ioengine=psync", "--fallocate=none"];
    run(Command::new("fio").args(job).arg(place).arg("--output=/dev/null"));
    let (run, grown) = watch.end(disk);
    assert_whole(&run, grown);
    assert_charged(&run.rows, 12 << 20, |file| {
        below(file, disk) && file["path"].as_str().unwrap().contains("/job.") && file["comm"] == "fio"
    });
    // Each job has a process and a file of its own.
    for job in 0..3 {
        let path = disk.dir().join(format!("job.{job}.0"));
        let mut pids: Vec<&Value> = files(&run.rows, "write")
            .map(|(_, file)| file)
            .filter(|file| is_at(file, &path))
            .map(|file| &file["pid"])
            .collect();
        pids.dedup();
        assert_eq!(pids.len(), 1, "{job}: {pids:?}");
    }
}

fn sqlite(disk: &LoopDisk) {
    let watch = Watch::new(disk, &[]);
    let inserts = "insert into t values (randomblob(1000));".repeat(97);
    let statements = format!(
        "create table t (a); begin; {inserts} commit; {}",
        "update t set a = randomblob(900) where rowid = 7;".repeat(7)
    );
    let pid = run(Command::new("sqlite3").arg(disk.dir().join("db")).arg(statements));
    let (run, grown) = watch.end(disk);
    assert_whole(&run, grown);
    assert_charged(&run.rows, 97_000, |file| below(file, disk) && file["pid"] == pid);
}

fn postgresql(disk: &LoopDisk) {
    let server = Postgres::new(disk.dir());
    let watch = Watch::new(disk, &[]);
    // A server writes whenever it likes: it is there only while the disk is watched.
    server.start();
    server.bench(&["--initialize", "--scale=1", "--quiet"]);
    server.bench(&["--client=3", "--transactions=53", "--no-vacuum"]);
    server.stop();
    let (run, grown) = watch.end(disk);
    assert_whole(&run, grown);
    let data = server.data().to_str().unwrap();
    assert_charged(&run.rows, 20 << 20, |file| {
        file["comm"] == "postgres" && file["path"].as_str().is_some_and(|path| path.starts_with(data))
    });
}

#[test]
fn what_fio_writes_on_ext4_is_charged_to_its_jobs() {
    need!(bpf, loop_devices, fio);
    fio(&LoopDisk::new(64));
}

#[test]
fn what_fio_writes_on_xfs_is_charged_to_its_jobs() {
    need!(bpf, xfs, fio);
    fio(&LoopDisk::xfs());
}

#[test]
fn what_fio_writes_on_btrfs_is_charged_to_its_jobs() {
    need!(bpf, btrfs, fio);
    fio(&LoopDisk::btrfs());
}

#[test]
fn what_sqlite_writes_on_ext4_is_charged_to_it() {
    need!(bpf, loop_devices, sqlite);
    sqlite(&LoopDisk::new(64));
}

#[test]
fn what_sqlite_writes_on_xfs_is_charged_to_it() {
    need!(bpf, xfs, sqlite);
    sqlite(&LoopDisk::xfs());
}

#[test]
fn what_sqlite_writes_on_btrfs_is_charged_to_it() {
    need!(bpf, btrfs, sqlite);
    sqlite(&LoopDisk::btrfs());
}

#[test]
fn what_postgresql_writes_on_ext4_is_charged_to_it() {
    need!(bpf, loop_devices, postgresql);
    postgresql(&LoopDisk::new(320));
}

#[test]
fn what_postgresql_writes_on_xfs_is_charged_to_it() {
    need!(bpf, xfs, postgresql);
    postgresql(&LoopDisk::xfs());
}

#[test]
fn what_postgresql_writes_on_btrfs_is_charged_to_it() {
    need!(bpf, btrfs, postgresql);
    postgresql(&LoopDisk::btrfs_of(320));
}
