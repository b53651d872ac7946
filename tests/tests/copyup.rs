//! Copy-ups of overlayfs: one for each change of a file of a lower layer, with the bytes that were copied.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{
    harness::*,
    need,
    workload::copyups::{self, STEPS, Step},
};
use serde_json::{Value, json};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// An overlay with the files of the scenario, and the scenario in it.
fn scene(disk: &LoopDisk) -> (Overlay, Scene) {
    let overlay = Overlay::new(disk.dir(), copyups::lower);
    let scene = Scene::on(WORKLOAD, &overlay.at("merged"));
    (overlay, scene)
}

/// The name under which a step shows. Where the kernel tells of a copy-up, a link is not made yet.
fn name(step: &Step, run: &Output) -> &'static str {
    if step.call == "linkat" && run.summary["mechanism"] != "tracepoint" { step.lower } else { step.path }
}

/// What a line must say of a step.
fn expected(step: &Step, overlay: &Overlay, run: &Output, bytes: u64) -> Vec<Value> {
    let merged = overlay.at("merged").join(name(step, run));
    vec![
        json!(step.call),
        json!(merged),
        json!(step.size),
        json!(bytes),
        json!(step.directories),
        json!(step.directory),
    ]
}

fn told(row: &Value) -> Vec<Value> {
    ["call", "path", "size", "bytes", "directories", "directory"].map(|field| row[field].clone()).to_vec()
}

#[test]
fn every_copy_up_shows_once_with_its_bytes() {
    need!(bpf, overlayfs, loop_devices);
    let disk = LoopDisk::new(64);
    let (overlay, scene) = scene(&disk);
    let run = Iotrace::new("copyup").json().args(["-a"]).program(scene.command("copyups", &[])).run().complete();
    let all: Vec<_> = STEPS.iter().map(|step| expected(step, &overlay, &run, step.bytes)).collect();
    assert_eq!(run.rows.iter().map(told).collect::<Vec<_>>(), all);
    for (row, step) in run.rows.iter().zip(STEPS) {
        assert_eq!(row["upper_path"], json!(overlay.at("upper").join(step.path)), "{row}");
        assert_eq!((&row["errno"], &row["comm"], &row["fs"]), (&Value::Null, &json!("workload"), &json!("overlay")));
        assert_eq!(row["disk"], json!(disk.name()), "{row}");
        // The name that it has now is not one of the lower layer.
        let lower =
            if name(step, &run) == step.lower { json!(overlay.at("lower").join(step.lower)) } else { Value::Null };
        assert_eq!(row["lower_path"], lower, "{row}");
        let [latency, sync] = ["latency_ns", "sync_ns"].map(|field| row[field].as_u64().unwrap());
        assert!(latency > 0 && sync <= latency && (sync > 0) == (row["syncs"] != 0), "{row}");
        // Since 6.13 overlayfs may sync directories too.
        assert!(row["syncs"] != 0 || step.bytes == 0, "data are synced: {row}");
    }
}

#[test]
fn files_that_are_not_copied_up_do_not_show() {
    need!(bpf, overlayfs, loop_devices);
    let disk = LoopDisk::new(64);
    let (_overlay, scene) = scene(&disk);
    let run = Iotrace::new("copyup").json().program(scene.command("copyups", &[])).run().complete();
    let files = STEPS.iter().filter(|step| !step.directory).count();
    assert_eq!(run.rows.len(), files, "directories alone only with --all");
    let run = Iotrace::new("copyup").json().args(["-a"]).program(["touch", "-c", "/etc/passwd"]).run().complete();
    assert_eq!(run.rows, Vec::<Value>::new(), "of no overlay");
    // What had the name is gone with the call, for which its file system sets times too.
    let round = "echo 1 >a; echo 2 >b; mv a b";
    let script = format!("cd {}; for i in 1 2 3 4 5; do {round}; done", disk.dir().display());
    let run = Iotrace::new("copyup").json().args(["-a"]).program(["sh", "-c", &script]).run().complete();
    assert_eq!(run.rows, Vec::<Value>::new(), "takes the place of another");
}

#[test]
fn an_open_tells_that_it_waited_for_a_copy_up() {
    need!(bpf, copy_ups, loop_devices);
    let disk = LoopDisk::new(64);
    let (_overlay, scene) = scene(&disk);
    let args = ["--op", "open,copyup", "--path", &scene.glob()];
    let run = Iotrace::new("events").args(args).program(scene.command("copyups", &[])).run().complete();
    let kind = |kind: &str| run.rows.iter().filter(|row| row["type"] == kind).collect::<Vec<_>>();
    let (opens, copies) = (kind("open"), kind("copyup"));
    assert_eq!(copies.len(), STEPS.len());
    // What a directory was copied up for was opened in it.
    let marked: Vec<_> =
        opens.iter().filter(|row| !row["copy_up_ns"].is_null()).map(|row| row["copy_up_ns"].clone()).collect();
    let of_opens: Vec<_> =
        copies.iter().filter(|row| row["call"] == "openat").map(|row| row["latency_ns"].clone()).collect();
    assert_eq!((marked.len(), marked), (of_opens.len(), of_opens));
    assert!(opens.len() > 13, "seven opened one file, and some opens copied nothing: {}", opens.len());
}

#[test]
fn summary_adds_up_by_process_and_file() {
    need!(bpf, overlayfs, loop_devices);
    let disk = LoopDisk::new(64);
    let (overlay, scene) = scene(&disk);
    let args = ["--summary", "--by", "process"];
    let run = Iotrace::new("copyup").json().args(args).program(scene.command("copyups", &[])).run().complete();
    let [row] = &run.rows[..] else { panic!("one process: {:?}", run.rows) };
    let sum = |of: fn(&Step) -> u64| STEPS.iter().map(of).sum::<u64>();
    assert_eq!(row["bytes"], sum(|step| step.bytes), "{row}");
    assert_eq!(row["files"], sum(|step| u64::from(!step.directory)), "{row}");
    assert_eq!(row["directories"], sum(|step| step.directories), "{row}");
    assert_eq!([&row["unknown"], &row["errors"]], [0, 0], "{row}");
    drop(overlay);
}

/// On a file system that can share blocks nothing is copied.
#[test]
fn a_clone_has_a_size_and_no_bytes() {
    need!(bpf, overlayfs, loop_devices, xfs);
    let disk = LoopDisk::xfs();
    let (overlay, scene) = scene(&disk);
    let run = Iotrace::new("copyup").json().args(["-a"]).program(scene.command("copyups", &[])).run().complete();
    let all: Vec<_> = STEPS.iter().map(|step| expected(step, &overlay, &run, 0)).collect();
    assert_eq!(run.rows.iter().map(told).collect::<Vec<_>>(), all);
}

#[test]
fn in_memory_the_bytes_are_not_known() {
    need!(bpf, overlayfs);
    let place = tempfile::tempdir().unwrap();
    let _tmpfs = Tmpfs::at(place.path());
    let overlay = Overlay::new(place.path(), |lower| std::fs::write(lower.join("file"), [1; 5003]).unwrap());
    let file = overlay.at("merged/file");
    let run = Iotrace::new("copyup").json().program(["touch".into(), file.clone()]).run().complete();
    drop(overlay);
    let [row] = &run.rows[..] else { panic!("one copy-up: {:?}", run.rows) };
    assert_eq!((&row["path"], &row["size"], &row["bytes"]), (&json!(file), &json!(5003), &Value::Null), "{row}");
}

/// Where no function of the kernel tells of it, a copy-up that fails is not seen.
#[test]
fn a_copy_up_that_fails_shows_its_error_or_nothing() {
    need!(bpf, overlayfs, loop_devices);
    let disk = LoopDisk::new(16);
    let overlay = Overlay::new(disk.dir(), |lower| std::fs::write(lower.join("file"), vec![1; 8 << 20]).unwrap());
    let script = format!("echo x >> {}; true", overlay.at("merged/file").display());
    let run = Iotrace::new("copyup").json().program(["sh", "-c", &script]).run().complete();
    if run.summary["mechanism"] == "tracepoint" {
        assert_eq!(run.rows, Vec::<Value>::new());
        return;
    }
    let [row] = &run.rows[..] else { panic!("one copy-up: {:?}", run.rows) };
    assert_eq!((&row["errno"], &row["size"]), (&json!("ENOSPC"), &json!(8 << 20)), "{row}");
    assert_eq!(row["path"], json!(overlay.at("merged/file")), "{row}");
}

#[test]
fn a_file_of_the_image_that_is_appended_to_shows_one_copy_up() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let go = tempfile::tempdir().unwrap();
    let mount = format!("type=bind,src={},dst=/go,options=rbind:ro", go.path().display());
    let script = "for i in 1 2 3; do echo more >> /etc/from-image; done; echo new > /data/new";
    let mut run = containerd.iotrace("copyup").json().args(["--container", "web"]).start();
    run.wait_tracing();
    let start = |id| containerd.container("default", id).options(["--mount", &mount]).start(&format!("{script}{WAIT}"));
    let mut started = ["web", "db"].map(start);
    for child in &mut started {
        let mut line = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"done\n");
    }
    let rows = rows_of_all(run);
    let [row] = &rows[..] else { panic!("one copy-up: {rows:?}") };
    assert_eq!((&row["path"], &row["container"]["name"]), (&json!("/etc/from-image"), &json!("web")), "{row}");
    assert_eq!((&row["size"], &row["bytes"], &row["directories"]), (&json!(15), &json!(15), &json!(1)), "{row}");
    let read = |field: &str| std::fs::read_to_string(row[field].as_str().unwrap()).unwrap();
    assert_eq!(read("lower_path"), "from the image\n");
    for field in ["upper_path", "host_path"] {
        assert_eq!(read(field), "from the image\nmore\nmore\nmore\n", "{row}");
    }
    std::fs::write(go.path().join("on"), "").unwrap();
    for child in started {
        assert!(child.wait_with_output().unwrap().status.success());
    }
}
