//! `iotrace diagnose` on hosts that are slow: the first finding names process, file, container and disk, and no other cause is named.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

#[path = "../scenarios/mod.rs"]
mod scenarios;

use iotrace_tests::{harness::*, need, skip};
use scenarios::{Diagnosis, agent, alone, container, healthy, held, usual, words};
use serde_json::json;

#[test]
fn j1_a_container_writes_its_log_without_end() {
    need!(bpf, loop_devices, containers);
    let _alone = alone();
    let node = container::Node::start();
    let _playing = node.play(container::APP_LOG);
    let found = node.diagnosis(5);
    let first = found.first("runaway-log");
    node.assert_names(first, "sh", "/var/log/app.log");
    assert_eq!(first["severity"], "critical", "{found}");
    found.only(&["runaway-log"]);
}

#[test]
fn j2_an_agent_syncs_each_line_on_a_full_disk() {
    need!(bpf, loop_devices, python);
    let _alone = alone();
    let agent = agent::play();
    let found = Diagnosis::of(Iotrace::new("diagnose"), &agent.disk, 3);
    let first = found.first("sync-per-write");
    let named = ["pid", "path", "host_path", "disk", "severity"].map(|name| &first[name]);
    let (log, disk) = (agent.log.to_str().unwrap(), agent.disk.name());
    assert_eq!(
        named,
        [&json!(agent.program.pid()), &json!(log), &json!(log), &json!(disk), &json!("critical")],
        "{found}"
    );
    assert!(first["fs_free_pct"].as_f64().unwrap() <= 2.0, "{first:#}");
    // That is so too. Whether the disk is busy with it depends on how fast it is.
    assert_eq!(found.finding("file-system-full")["disk"], disk, "{found}");
    found.only(&["sync-per-write", "file-system-full", "disk-saturated"]);
}

#[test]
fn j3_records_of_58_bytes_on_overlayfs() {
    need!(bpf, loop_devices, containers);
    let _alone = alone();
    let node = container::Node::start();
    let _playing = node.play(container::RECORDS);
    let found = node.diagnosis(3);
    let first = found.first("small-writes");
    node.assert_names(first, "dd", "/data/access.log");
    assert_eq!(first["fs"], "overlay");
    assert!(first["headline"].as_str().unwrap().contains("58B"), "{found}");
    found.only(&["small-writes"]);
}

#[test]
fn j4_a_slow_node_is_slow_for_one_of_five_reasons() {
    need!(bpf, loop_devices, containers);
    let _alone = alone();
    let node = container::Node::start();
    {
        let _playing = node.play(container::READS).slow();
        let found = node.diagnosis(3);
        let first = found.first("disk-saturated");
        node.assert_names(first, "dd", "/data/table");
        assert!(first["headline"].as_str().unwrap().contains("reads too much"), "{found}");
        found.only(&["disk-saturated"]);
    }
    {
        let _playing = node.play(container::WRITES).slow();
        let found = node.diagnosis(3);
        let first = found.first("disk-saturated");
        node.assert_names(first, "dd", "/data/table");
        assert!(first["headline"].as_str().unwrap().contains("writes too much"), "{found}");
        found.only(&["disk-saturated"]);
    }
    {
        let _playing = node.play(container::SYNCS);
        let found = node.diagnosis(3);
        node.assert_names(found.first("sync-per-write"), "dd", "/data/journal");
        // A slow disk is busy with that, too.
        found.only(&["sync-per-write", "disk-saturated"]);
    }
    {
        node.enlarge_image();
        let _playing = node.play(container::COPY_UPS).slow();
        let found = node.diagnosis(3);
        let first = found.first("copy-up-storm");
        let path = first["path"].as_str().unwrap();
        assert!(path.starts_with("/data/model."), "{found}");
        node.assert_names(first, "sh", path);
        found.only(&["copy-up-storm"]);
    }
    {
        let _bothering = node.bother();
        let found = node.diagnosis(3);
        let first = found.first("runtime-metadata");
        assert_eq!((&first["role"], &first["pid"]), (&json!("runtime"), &json!(node.containerd.pid())), "{found}");
        assert!(first["path"].as_str().unwrap().ends_with("/meta.db"), "{found}");
        found.only(&["runtime-metadata"]);
    }
}

#[test]
fn j5_a_thread_makes_and_removes_a_thousand_files_for_a_request() {
    need!(bpf, loop_devices, python);
    let _alone = alone();
    let app = words::Words::start();
    let before = app.written_by_the_main_thread();
    let asking = std::sync::atomic::AtomicBool::new(true);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            while asking.load(std::sync::atomic::Ordering::Relaxed) {
                app.ask();
            }
        });
        let found = std::panic::catch_unwind(|| Diagnosis::of(Iotrace::new("diagnose"), &app.disk, 4));
        asking.store(false, std::sync::atomic::Ordering::Relaxed);
        found.unwrap()
    });
    // Whoever looks at the main thread sees nothing of it.
    assert_eq!(app.written_by_the_main_thread(), before);
    let first = found.first("temp-file-churn");
    let named = (&first["pid"], &first["comm"], &first["disk"]);
    assert_eq!(named, (&json!(app.program.pid()), &json!("python3"), &json!(app.disk.name())), "{found}");
    let path = first["path"].as_str().unwrap();
    assert_eq!(path, format!("{}/<uuid>/<n>.txt", app.disk.dir().display()), "{found}");
    found.only(&["temp-file-churn"]);
}

#[test]
fn j6_a_container_is_blocked_because_its_reader_stopped() {
    need!(bpf, loop_devices, containers);
    let _alone = alone();
    let node = container::Node::start();
    let playing = node.play(container::PRINTS);
    let shim = node.shim();
    // The client that hangs stops the shim, and that the container; then the shim itself hangs.
    for (stopped, state) in [(playing.client(), "sleeping"), (shim, "stopped")] {
        let pid = playing.stop_reader(stopped);
        let found = node.diagnosis_of_container(3);
        container::send(stopped, libc::SIGCONT);
        let first = found.first("stdout-not-drained");
        let named = ["pid", "comm", "severity"].map(|name| &first[name]);
        assert_eq!(named, [&json!(pid), &json!("sh"), &json!("critical")], "{found}");
        assert_eq!(
            (&first["container"]["runtime"], &first["container"]["id"]),
            (&json!("containerd"), &json!(container::NAME))
        );
        let peers = first["evidence"][0]["peers"].as_array().unwrap();
        let readers: Vec<_> = peers.iter().map(|peer| (&peer["pid"], &peer["state"])).collect();
        assert_eq!(readers, [(&json!(shim), &json!(state))], "{first:#}");
        let headline = format!("sh ({pid}) in web is blocked on a pipe that containerd-shim ({shim}) does not drain");
        assert_eq!(first["headline"], headline);
        found.only(&["stdout-not-drained"]);
    }
}

#[test]
fn a_container_waits_because_of_its_limit() {
    const LIMIT: u64 = 1 << 20;
    need!(bpf, loop_devices, containers);
    let _alone = alone();
    let node = container::Node::start();
    let _playing = node.play(container::WRITES_LITTLE).limited(LIMIT);
    let found = node.diagnosis(3);
    let first = found.first("io-limit");
    node.assert_names(first, "dd", "/data/table");
    let limit = &first["evidence"][0]["limit"];
    assert_eq!((&limit["cgroup"], &limit["write_bytes"]), (&json!("/k8s.io/web"), &json!(LIMIT)), "{first:#}");
    assert_eq!(first["severity"], "critical", "{found}");
    found.only(&["io-limit"]);
}

#[test]
fn a_writer_waits_for_its_dirty_pages() {
    need!(bpf, loop_devices);
    let _alone = alone();
    let disk = LoopDisk::new(128);
    let Some((_settings, _writer)) = held::dirty(&disk) else {
        skip!("the kernel cannot limit dirty pages of one disk")
    };
    let found = Diagnosis::of(Iotrace::new("diagnose"), &disk, 3);
    let first = found.first("dirty-throttling");
    let table = disk.dir().join("table");
    assert_eq!(first["comm"], "dd", "{first:#}");
    // Where the machine is very busy, the file of a wait has been seen to be unknown; it is never another one.
    let path = &first["path"];
    assert!(path.is_null() || *path == json!(table.to_str().unwrap()), "{first:#}");
    found.only(&["dirty-throttling"]);
}

#[test]
fn one_waits_for_the_journal_because_another_syncs() {
    need!(bpf, loop_devices, python);
    let _alone = alone();
    let disk = LoopDisk::new(64);
    let (syncers, victim) = held::journal(&disk);
    let found = Diagnosis::of(Iotrace::new("diagnose"), &disk, 3);
    let first = found.finding("journal-contention");
    let named = ["pid", "path", "disk"].map(|name| &first[name]);
    let path = |name: &str| json!(disk.dir().join(name).to_str().unwrap());
    assert_eq!(named, [&json!(syncers.pid()), &path("table"), &json!(disk.name())], "{found}");
    let waits = &first["evidence"][0];
    assert_eq!((&waits["pid"], &waits["path"]), (&json!(victim.pid()), &path("orders")), "{first:#}");
    // Whether the disk is busy too depends on how fast it is.
    found.only(&["journal-contention", "disk-saturated"]);
}

/// `3.98s`: on a busy machine it may be more.
fn is_about_4_seconds(text: &str) -> bool {
    text.strip_suffix('s').and_then(|text| text.parse().ok()).is_some_and(|seconds: f64| (3.0..8.0).contains(&seconds))
}

#[test]
fn a_disk_does_not_answer() {
    need!(bpf, loop_devices);
    let _alone = alone();
    let below = LoopDisk::new(64);
    let disk = LoopDisk::new_on(&below, 16);
    let table = disk.dir().join("table");
    std::fs::write(&table, [0; 4096]).unwrap();
    disk.settle();
    let frozen = Frozen::new(&below);
    let mut writer = None;
    // The file system writes by itself what is 5 seconds old.
    let found = Diagnosis::while_it(Iotrace::new("diagnose").args(["--disk", disk.name()]), 4, || {
        let words = ["if=/dev/zero", "bs=4k", "count=1", "oflag=direct", "conv=notrunc", "status=none"];
        let to = format!("of={}", table.display());
        writer = Some(std::process::Command::new("dd").args(words).arg(to).spawn().unwrap());
    });
    drop(frozen);
    let mut writer = writer.unwrap();
    assert!(writer.wait().unwrap().success());
    let first = found.first("disk-hangs");
    let named = ["pid", "comm", "path", "disk", "severity"].map(|name| &first[name]);
    let (path, pid) = (json!(table.to_str().unwrap()), json!(writer.id()));
    assert_eq!(named, [&pid, &json!("dd"), &path, &json!(disk.name()), &json!("critical")], "{found}");
    let headline = first["headline"].as_str().unwrap();
    let oldest = headline.strip_prefix(&format!("{} hangs: a request has not ended for ", disk.name()));
    assert!(oldest.is_some_and(is_about_4_seconds), "{found}");
    let details: Vec<_> = first["details"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let length = details[0].strip_prefix("no request to it has ended in ");
    assert!(length.is_some_and(is_about_4_seconds), "{found}");
    assert_eq!(details[1], format!("the oldest request is of dd ({})", writer.id()), "{found}");
    assert!(
        details[2].starts_with("its bytes are in ") && details[2].contains(below.dir().to_str().unwrap()),
        "{found}"
    );
    let waits = details[3].strip_prefix(&format!("dd ({}) waits in write of {}, ", writer.id(), table.display()));
    assert!(waits.is_some_and(is_about_4_seconds), "{found}");
    assert_eq!(first["evidence"][0]["counted"]["in_flight"], 1, "{first:#}");
    found.only(&["disk-hangs"]);
}

/// A program on a disk of its own, beside one that does nothing wrong, and what is found: the rule with process, file and disk. The disk
/// may be busy with it, depending on how fast it is.
#[track_caller]
fn is_found(rule: &str, file: Option<&str>, start: impl FnOnce(&std::path::Path) -> scenarios::Program) {
    let _alone = alone();
    let disk = LoopDisk::new(1024);
    let _noise = scenarios::Program::noise(disk.dir());
    let program = start(disk.dir());
    std::thread::sleep(std::time::Duration::from_millis(500));
    let found = Diagnosis::of(Iotrace::new("diagnose"), &disk, 3);
    let first = found.first(rule);
    assert_eq!((&first["pid"], &first["disk"]), (&json!(program.pid()), &json!(disk.name())), "{found}");
    if let Some(file) = file {
        assert_eq!(first["path"], disk.dir().join(file).to_str().unwrap(), "{found}");
    }
    assert_ne!(first["severity"], "info", "{found}");
    found.only(&[rule, "disk-saturated"]);
}

#[test]
fn small_files_are_synced_one_by_one() {
    need!(bpf, loop_devices, python);
    is_found("sync-per-file", None, usual::syncs_files);
}

#[test]
fn a_file_is_read_again_and_again() {
    need!(bpf, loop_devices, python);
    is_found("read-again", Some("settings"), usual::reads_again);
}

#[test]
fn a_file_is_read_byte_by_byte() {
    need!(bpf, loop_devices, python);
    is_found("one-byte-reads", Some("table"), usual::reads_bytes);
}

#[test]
fn a_file_is_read_in_order_around_the_page_cache() {
    need!(bpf, loop_devices, python);
    is_found("missing-read-ahead", Some("table"), usual::reads_around);
}

#[test]
fn a_container_prints_without_end() {
    need!(bpf, loop_devices, containers);
    let _alone = alone();
    let node = container::Node::start();
    let log = node.disk.dir().join("web.log");
    let _playing = node.play_to(&log, container::PRINTS_MUCH);
    let found = node.diagnosis(3);
    let first = found.finding("container-output");
    assert_eq!((&first["path"], &first["disk"]), (&json!(log.to_str().unwrap()), &json!(node.disk.name())), "{found}");
    assert_eq!((&first["pid"], &first["container"]["id"]), (&json!(node.shim()), &json!(container::NAME)), "{first:#}");
    assert_eq!(first["role"], "runtime", "{first:#}");
    // Its log grows meanwhile, and how fast depends on the machine.
    found.only(&["container-output", "runaway-log", "disk-saturated"]);
}

#[test]
fn a_runtime_fetches_an_image() {
    need!(bpf, loop_devices, containers);
    let _alone = alone();
    let node = container::Node::start();
    let _client = node.fetch_images();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let found = node.diagnosis(4);
    let first = found.first("image-unpack");
    let named = ["pid", "comm", "disk", "role"].map(|name| &first[name]);
    let expected = [&json!(node.containerd.pid()), &json!("containerd"), &json!(node.disk.name()), &json!("runtime")];
    assert_eq!(named, expected, "{found}");
    found.only(&["image-unpack", "disk-saturated"]);
}

/// Nothing that costs something is found in two seconds of a program on a disk of its own.
#[track_caller]
fn is_healthy(what: &str, start: impl FnOnce(&std::path::Path) -> scenarios::Program) {
    let _alone = alone();
    let disk = LoopDisk::new(64);
    let _program = start(disk.dir());
    // What it has to do once, to begin, is done.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let found = Diagnosis::of(Iotrace::new("diagnose"), &disk, 2);
    assert_eq!(found.rules(), [""; 0], "{what}: {found}");
}

#[test]
fn a_compiler_is_healthy() {
    need!(bpf, loop_devices, compiler);
    is_healthy("compile", healthy::compile);
}

#[test]
fn a_web_server_from_the_page_cache_is_healthy() {
    need!(bpf, loop_devices, python);
    is_healthy("web", healthy::web);
}

#[test]
fn a_database_within_its_means_is_healthy() {
    need!(bpf, loop_devices, python);
    is_healthy("database", healthy::database);
}

#[test]
fn an_idle_machine_and_a_busy_processor_are_healthy() {
    need!(bpf, loop_devices);
    is_healthy("idle", healthy::idle);
    is_healthy("busy", healthy::busy);
}
