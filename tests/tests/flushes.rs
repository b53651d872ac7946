//! `iotrace block`: flushes are charged to who asked for them, though a thread of the block layer sends them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Writes to what is there already, so that a sync has nothing to do but the data: no journal.
fn overwrite(path: &Path, options: &[&str]) -> Command {
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", &format!("of={}", path.display()), "bs=4k", "status=none"]).args(options);
    dd
}

/// Those who asked for the flushes.
fn askers(rows: &[Value]) -> impl Iterator<Item = &Value> {
    rows.iter().filter(|row| row["op"] == "flush").flat_map(|row| row["files"].as_array().unwrap())
}

#[test]
fn a_flush_of_a_device_is_charged_to_who_asked_for_it() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::raw(16);
    let watch = Watch::new(&disk, &[]);
    let pids: BTreeSet<u64> = (0..3).map(|_| run(&mut overwrite(&disk.path(), &["count=5", "conv=fsync"]))).collect();
    let own = u64::from(std::process::id());
    let (run, grown) = watch.end(&disk);
    assert_whole(&run, grown);
    assert!(grown.flushes >= 3, "{grown:?}");
    let seen: BTreeSet<u64> =
        askers(&run.rows).map(|asker| asker["pid"].as_u64().unwrap()).filter(|pid| *pid != own).collect();
    assert_eq!(seen, pids, "{:#?}", run.rows);
    for asker in askers(&run.rows) {
        assert_eq!((&asker["charged_by"], asker["bytes"].as_u64()), (&"submitter".into(), Some(0)), "{asker}");
        assert!(is_at(asker, &disk.path()), "{asker}");
    }
    let of_nobody = run.rows.iter().filter(|row| row["op"] == "flush" && row["pid"].is_null());
    assert_eq!(of_nobody.count(), 0, "{:#?}", run.rows);
}

#[test]
fn a_flush_names_the_file_that_was_synced() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let at = |name: &str| disk.dir().join(name);
    for name in ["data", "each"] {
        fs::write(at(name), vec![1; 65536]).unwrap();
    }
    let watch = Watch::new(&disk, &["--op", "flush"]);
    let data = run(&mut overwrite(&at("data"), &["count=3", "conv=notrunc,fdatasync"]));
    let each = run(&mut overwrite(&at("each"), &["count=7", "conv=notrunc", "oflag=dsync"]));
    let (run, grown) = watch.end(&disk);
    assert_eq!(run.rows.len() as u64, grown.flushes);
    let of =
        |path: &Path, pid: u64| askers(&run.rows).filter(|asker| is_at(asker, path) && asker["pid"] == pid).count();
    assert_eq!((of(&at("data"), data), of(&at("each"), each)), (1, 7), "{:#?}", run.rows);
    // What else there is the journal asked for, or this test's own sync.
    for asker in askers(&run.rows).filter(|asker| asker["pid"] != data && asker["pid"] != each) {
        let own = asker["pid"] == u64::from(std::process::id());
        assert!(own || asker["path"] == "[ext4 journal]" && asker["pid"].is_null(), "{asker}");
    }
}

#[test]
fn a_flush_for_several_names_them_all() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let path = |number: usize| disk.dir().join(format!("file{number}"));
    for number in 0..11 {
        fs::write(path(number), vec![1; 65536]).unwrap();
    }
    let watch = Watch::new(&disk, &["--op", "flush"]);
    let start = |number: usize| overwrite(&path(number), &["count=13", "conv=notrunc", "oflag=dsync"]).spawn().unwrap();
    let children: Vec<Child> = (0..11).map(start).collect();
    let pids: Vec<u64> = children.iter().map(|child| u64::from(child.id())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let (run, grown) = watch.end(&disk);
    assert_eq!(run.rows.len() as u64, grown.flushes);
    for (number, pid) in pids.into_iter().enumerate() {
        let own = askers(&run.rows).filter(|asker| asker["pid"] == pid);
        let (right, wrong): (Vec<_>, Vec<_>) = own.partition(|asker| is_at(asker, &path(number)));
        assert_eq!((right.len(), wrong.len()), (13, 0), "{pid}: {:#?}", run.rows);
    }
}

#[test]
fn filters_of_processes_know_who_asked() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(64);
    let file = disk.dir().join("file");
    fs::write(&file, vec![1; 65536]).unwrap();
    disk.sync();
    let run = Iotrace::new("block").json().args(["--disk", disk.name(), "--op", "flush"]);
    let script = format!("dd if=/dev/zero of={} bs=4k count=7 conv=notrunc oflag=dsync status=none", file.display());
    let mut other = overwrite(&file, &["count=3", "conv=notrunc,fdatasync"]);
    let run = run.program(["sh", "-c", &script]).start();
    assert!(other.stdout(Stdio::null()).status().unwrap().success());
    let run = run.wait().complete();
    assert_eq!(run.rows.len(), 7, "{:#?}", run.rows);
    assert!(run.rows.iter().all(|row| row["comm"] == "dd" && is_at(row, &file)), "{:#?}", run.rows);
    assert_eq!(run.rows.iter().map(|row| row["pid"].as_u64()).collect::<BTreeSet<_>>().len(), 1, "{:#?}", run.rows);
}

#[test]
fn discards_and_flushes_are_those_of_the_disks_statistics() {
    need!(bpf, loop_devices);
    let (scene, disk) = (Scene::new(WORKLOAD), LoopDisk::raw(16));
    let watch = Watch::new(&disk, &[]);
    let mut workload = scene.command("block", &["--device", disk.path().to_str().unwrap()]).into_iter();
    let pid = run(Command::new(workload.next().unwrap()).args(workload));
    let (run, grown) = watch.end(&disk);
    assert_whole(&run, grown);
    assert!(grown.discards > 0 && grown.flushes >= 4, "{grown:?}");
    let of_workload = askers(&run.rows).filter(|asker| asker["pid"] == pid);
    assert_eq!(of_workload.count(), 4, "{:#?}", run.rows);
}
