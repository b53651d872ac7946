//! Where files lie on the host, and their file systems.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde_json::{Value, json};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Child,
};

/// Containers of containerd with their scripts, for [`while_they_run`].
fn started(containers: Vec<(Container<'_>, String)>, go: &str) -> Vec<Child> {
    let mount = format!("type=bind,src={go},dst=/go,options=rbind:ro");
    let start =
        |(container, script): (Container<'_>, String)| container.options(["--mount", &mount]).start(&(script + WAIT));
    containers.into_iter().map(start).collect()
}

#[test]
fn host_paths_are_where_the_bytes_are() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    // One reads the file that both have from the image, the other changes it.
    let scripts = [
        ("web", "echo of web > /data/log; cat /etc/from-image > /data/copy"),
        ("db", "echo of db > /data/log; echo of db >> /etc/from-image"),
    ];
    let containers = scripts.map(|(id, script)| (containerd.container("default", id), script.to_owned()));
    while_they_run(
        containerd.iotrace("events").args(["--op", "write,read"]),
        |go| started(containers.into(), go),
        |rows| {
            let read = |path: Option<&str>| std::fs::read_to_string(path.unwrap()).unwrap();
            let logs = hosts(rows, "/data/log");
            assert_eq!(read(logs["web"].0), "of web\n");
            assert_eq!(read(logs["db"].0), "of db\n");
            let of_image = hosts(rows, "/etc/from-image");
            assert_eq!(read(of_image["web"].0), "from the image\n");
            assert_eq!(read(of_image["db"].0), "from the image\nof db\n");
            assert_ne!(of_image["web"].0, of_image["db"].0);
        },
    );
}

#[test]
fn bind_mounts_and_volumes_have_host_paths() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let host = tempfile::tempdir().unwrap();
    let host = host.path().canonicalize().unwrap();
    let (plain, volume, memory) =
        (host.join("plain dir"), host.join("docker/volumes/pgdata/_data"), host.join("tmpfs"));
    for directory in [&plain, &volume, &memory] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let tmpfs = Tmpfs::at(&memory);
    let bind = |from: &std::path::Path, to: &str| format!("type=bind,src={},dst={to},options=rbind:rw", from.display());
    let mut container = containerd.container("default", "web");
    for mount in [bind(&plain, "/plain"), bind(&volume, "/volume"), bind(&memory, "/memory")] {
        container = container.options(["--mount", &mount]);
    }
    container = container.options(["--mount", "type=tmpfs,src=tmpfs,dst=/own,options=rw"]);
    let script = "for i in plain volume memory own; do echo $i > /$i/file; done".to_owned();
    while_they_run(
        containerd.iotrace("events").args(["--op", "write,read"]),
        |go| started(vec![(container, script)], go),
        |rows| {
            for (path, there, name) in [
                ("/plain/file", &plain, None),
                ("/volume/file", &volume, Some("pgdata")),
                ("/memory/file", &memory, None),
            ] {
                let file = there.join("file");
                assert_eq!(hosts(rows, path)["web"], (file.to_str(), name));
                assert_eq!(std::fs::read_to_string(file).unwrap(), format!("{}\n", &path[1..path.len() - 5]));
            }
            assert_eq!(hosts(rows, "/own/file")["web"], (None, None), "no path of the host leads there");
        },
    );
    drop(tmpfs);
}

#[test]
fn what_is_known_by_its_pages_alone_has_the_containers_path_too() {
    need!(bpf, containers, loop_devices);
    let (disk, volume) = (LoopDisk::new(256), tempfile::tempdir().unwrap());
    let containerd = Containerd::start_on(disk.dir(), &["default"], &[]);
    // In the image, the program is on the disk alone: what is executed has to be brought in by page faults.
    let programs = find(disk.dir(), "busybox");
    assert!(!programs.is_empty());
    for program in &programs {
        evict(program);
    }
    let volume = volume.path().canonicalize().unwrap();
    let mount = format!("type=bind,src={},dst=/volume,options=rbind:rw", volume.display());
    let containers = ["web", "db"].map(|id| {
        let write = |path: &str| format!("echo of {id} | dd of={path} conv=fsync 2>/dev/null");
        let container = containerd.container("default", id).options(["--mount", &mount]);
        (container, format!("{}; {}", write("/data/log"), write(&format!("/volume/{id}"))))
    });
    while_they_run(
        containerd.iotrace("events").args(["--op", "block,mmap"]),
        |go| started(containers.into(), go),
        |rows| {
            let written = rows.iter().filter(|row| row["type"] == "block" && row["op"] == "write");
            let files: Vec<Value> = written.flat_map(|row| row["files"].as_array().unwrap().clone()).collect();
            let files: Vec<Value> = files.into_iter().filter(|file| !file["container"]["name"].is_null()).collect();
            let read = |path: Option<&str>| std::fs::read_to_string(path.unwrap()).unwrap();
            let logs = hosts(&files, "/data/log");
            for id in ["web", "db"] {
                assert_eq!(read(logs[id].0), format!("of {id}\n"));
                let path = format!("/volume/{id}");
                let file = volume.join(id);
                assert_eq!(hosts(&files, &path)[id].0, file.to_str());
            }
            let faults: Vec<Value> = rows.iter().filter(|row| row["type"] == "mmap_read").cloned().collect();
            let programs: Vec<Option<&str>> = programs.iter().map(|path| path.to_str()).collect();
            let faults = hosts(&faults, "/bin/busybox");
            assert!(!faults.is_empty());
            assert!(faults.values().all(|(host, _)| programs.contains(host)), "{faults:?}");
        },
    );
}

/// All files of a name below a directory.
fn find(directory: &Path, name: &str) -> Vec<PathBuf> {
    let found = std::process::Command::new("find").arg(directory).args(["-type", "f", "-name", name]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(|line| Path::new(line).canonicalize().unwrap()).collect()
}

/// Takes a file out of memory.
fn evict(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
}

#[test]
fn a_file_of_the_host_has_the_same_path_there_and_what_is_free() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(16);
    let file = disk.dir().canonicalize().unwrap().join("file");
    let write = format!("dd if=/dev/zero of={} bs=1M count=3 2>/dev/null", file.display());
    let run = Iotrace::new("top").json().program(["sh", "-c", &write]).run().complete();
    let row = run.rows.iter().find(|row| row["path"] == file.to_str().unwrap()).unwrap();
    assert_eq!((&row["host_path"], &row["volume"], &row["role"]), (&row["path"], &Value::Null, &Value::Null));
    assert_eq!(row["mount"], disk.dir().canonicalize().unwrap().to_str().unwrap());
    let df = |what: &str| {
        let output = std::process::Command::new("df").args([what, file.to_str().unwrap()]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().trim_end_matches('%').parse::<f64>().unwrap()
    };
    for (field, used) in [("fs_free_pct", df("--output=pcent")), ("fs_inodes_free_pct", df("--output=ipcent"))] {
        let free = row[field].as_f64().unwrap();
        assert!((100.0 - free - used).abs() <= 1.1, "{field}: {free}, df: {used}");
    }
}

#[test]
fn events_tell_the_mount_of_their_file_and_what_is_free_there() {
    need!(bpf, loop_devices);
    let disk = LoopDisk::new(16);
    let place = disk.dir().canonicalize().unwrap();
    let file = place.join("file");
    let write = format!("dd if=/dev/zero of={} bs=1M count=3 2>/dev/null", file.display());
    let args = ["--op", "open,write", "--path", file.to_str().unwrap()];
    let run = Iotrace::new("events").args(args).program(["sh", "-c", &write]).run().complete();
    let kinds: Vec<_> = run.rows.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["open", "write", "write", "write"]);
    for row in &run.rows {
        assert_eq!((&row["mount"], &row["host_path"]), (&json!(place), &json!(file)), "{row}");
        assert!(row["fs_free_pct"].as_f64().is_some_and(|free| free > 0.0 && free < 100.0), "{row}");
        assert!(row["fs_inodes_free_pct"].as_f64().is_some_and(|free| free > 0.0 && free < 100.0), "{row}");
    }
}
