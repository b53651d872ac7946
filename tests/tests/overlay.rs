//! overlayfs: each call counts once, under the path that the program used.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn is_inside(scene: &Scene, row: &Value) -> bool {
    path_of(row).is_some_and(|path| scene.holds(&path))
}

#[test]
fn every_row_is_equal_to_the_programs_own_log() {
    need!(bpf, overlayfs, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = Iotrace::new("top").json().args(["-a", "-r", "0"]).program(scene.command("overlay", &[])).run();
    let run = run.complete();
    assert_rows(&scene, &scene.log(), &run.rows, |_| true);
    let merged = format!("{}/merged/", scene.dir().display());
    let (through, directly): (Vec<&Value>, Vec<&Value>) = run
        .rows
        .iter()
        .filter(|row| is_inside(&scene, row))
        .partition(|row| row["path"].as_str().unwrap().starts_with(&merged));
    assert!(through.iter().all(|row| row["fs"] == "overlay"), "{through:?}");
    let lower = format!("{}/lower/", scene.dir().display());
    assert!(directly.iter().all(|row| row["path"].as_str().unwrap().starts_with(&lower)), "{directly:?}");
}

#[test]
fn each_call_is_one_event() {
    need!(bpf, overlayfs, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = Iotrace::new("events").program(scene.command("overlay", &[])).run().complete();
    assert_events(&scene, &scene.log(), &run.rows, |_| true);
}

#[test]
fn a_write_that_syncs_is_no_sync_of_its_own() {
    need!(bpf, overlayfs, loop_devices);
    let disk = LoopDisk::new(64);
    let scene = Scene::on(WORKLOAD, disk.dir());
    let run = Iotrace::new("fsync").json().program(scene.command("overlay", &[])).run().complete();
    for (name, writes) in [("merged/o_sync", 11), ("merged/o_dsync", 7)] {
        let path = scene.dir().join(name);
        let rows: Vec<&Value> = run.rows.iter().filter(|row| row["path"] == path.to_str().unwrap()).collect();
        let [row] = rows[..] else { panic!("one row of {name}: {rows:?}") };
        let counts = (&row["writes"], &row["sync_writes"], &row["syncs"]);
        assert_eq!(counts, (&writes.into(), &writes.into(), &0.into()), "{row}");
    }
}

/// The options of an overlay name its layers as whoever mounted it saw them. Here the same names lead to other files.
#[test]
fn layers_of_another_namespace_are_not_looked_for_here() {
    need!(bpf, overlayfs);
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for layer in ["lower", "upper"] {
        std::fs::create_dir(at(layer)).unwrap();
        std::fs::write(at(layer).join("file"), "not this one").unwrap();
    }
    let script = "mount -t tmpfs tmpfs . && cd $PWD && mkdir lower upper work merged && echo lower > lower/kept && \
        mount -t overlay -o lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work overlay merged && \
        echo x > merged/file && sleep 2";
    let words = ["unshare", "--mount", "sh", "-c", &format!("cd {} && {script}", place.path().display())];
    let run = Iotrace::new("events").args(["--op", "write", "--path", "*/merged/file"]).program(words).run().complete();
    let [row] = &run.rows[..] else { panic!("one write: {:?}", run.rows) };
    assert_eq!((&row["fs"], &row["host_path"]), (&"overlay".into(), &Value::Null), "{row}");
}

/// An ordinary user's overlay is mounted in a namespace of the user's own, where this one cannot see it; but its layers are here.
#[test]
fn a_rootless_overlay_has_host_paths_where_its_layers_are() {
    need!(bpf, overlayfs);
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(place.path(), Some(65_534), Some(65_534)).unwrap();
    let words = |script: &str| {
        let script = format!("cd {} && {script}", place.path().display());
        let user = "setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user --map-root-user --mount sh -c";
        user.split(' ').map(str::to_owned).chain([script]).collect::<Vec<_>>()
    };
    let mount = "mkdir -p lower upper work merged && echo base > lower/kept && mount -t overlay \
        -o lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work,userxattr overlay merged";
    let possible = words(mount);
    let possible = std::process::Command::new(&possible[0]).args(&possible[1..]).output().unwrap();
    if !possible.status.success() {
        let why = String::from_utf8_lossy(&possible.stderr).replace('\n', " ");
        iotrace_tests::skip!(format!("needs overlays of ordinary users (Linux 5.11): {why}"));
    }
    let script = format!("{mount} && echo x > merged/file && echo y >> merged/kept && sleep 1");
    let run = Iotrace::new("events").args(["--op", "write", "--path", "*/merged/*"]).program(words(&script));
    let run = run.run().complete();
    let found: Vec<_> = run.rows.iter().map(|row| row["host_path"].as_str().unwrap().to_owned()).collect();
    let upper = |name: &str| place.path().join("upper").join(name).to_str().unwrap().to_owned();
    assert_eq!(found, [upper("file"), upper("kept")], "{:?}", run.rows);
    assert_eq!(std::fs::read_to_string(&found[1]).unwrap(), "base\ny\n");
}
