//! Copies inside the kernel: one read and one write of the bytes that the call returned, whatever the file system does.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, log::Kind, need};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Compares rows and events of copies on `disk`, and from there to a scratch directory.
#[track_caller]
fn compare(disk: &LoopDisk) {
    let elsewhere = tempfile::tempdir().unwrap();
    let options = ["--full", elsewhere.path().to_str().unwrap()];
    for command in ["top", "events"] {
        let place = tempfile::tempdir_in(disk.dir()).unwrap();
        let scene = Scene::on(WORKLOAD, place.path());
        let program = scene.command("copies", &options);
        let log = if command == "top" {
            let run = Iotrace::new("top").json().args(["-a", "-r", "0"]).program(program).run().complete();
            assert_rows(&scene, &scene.log(), &run.rows, |_| true);
            scene.log()
        } else {
            let run = Iotrace::new("events").args(["--buffer", "64MiB"]).program(program).run().complete();
            assert_events(&scene, &scene.log(), &run.rows, |_| true);
            scene.log()
        };
        let bytes = |kind| {
            let copies = log.ops.iter().filter(|op| op.call == "copy_file_range" && op.kind == kind);
            copies.map(|op| op.bytes() * op.count).sum::<u64>()
        };
        assert_eq!(bytes(Kind::Read), bytes(Kind::Write));
        assert!(bytes(Kind::Read) > 5_000_000, "something was copied");
    }
}

#[test]
fn on_ext4_each_copy_is_one_read_and_one_write() {
    need!(bpf, loop_devices);
    compare(&LoopDisk::new(64));
}

#[test]
fn on_xfs_that_shares_blocks_each_copy_is_one_read_and_one_write() {
    need!(bpf, xfs);
    compare(&LoopDisk::xfs());
}

#[test]
fn on_btrfs_that_shares_blocks_each_copy_is_one_read_and_one_write() {
    need!(bpf, btrfs);
    compare(&LoopDisk::btrfs());
}
