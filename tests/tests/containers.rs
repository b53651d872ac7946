//! Containers of a real containerd: names and filters.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn two_containers_of_one_image_are_told_apart_by_name() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let mut run = containerd.iotrace("top").json().args(["-r", "0", "-d", "50s"]).start();
    run.wait_tracing();
    containerd.container("default", "web").run(&writes("/data/log", 61, 101));
    containerd.container("default", "db").run(&writes("/data/log", 67, 103));
    let rows = rows_of_all(run);
    assert_eq!(written(&rows, "/data/log", "name"), expected([("web", 61, 101), ("db", 67, 103)]));
    for (field, value) in [("runtime", "containerd"), ("image", IMAGE)] {
        let all = BTreeMap::from([(value.to_owned(), (204, 61 * 101 + 67 * 103))]);
        assert_eq!(written(&rows, "/data/log", field), all);
    }
}

#[test]
fn a_container_that_lives_50_ms_is_named() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let mut run = containerd.iotrace("events").args(["--op", "write", "--path", "/data/short"]).start();
    run.wait_tracing();
    let script = writes("/data/short", 59, 7) + "; usleep 50000";
    containerd.container("default", "short").annotation("nerdctl/name", "brief").run(&script);
    let rows = rows_of_all(run);
    let fields =
        |row: &Value| [row["container"]["name"].clone(), row["container"]["image"].clone(), row["bytes"].clone()];
    let seen: Vec<[Value; 3]> = rows.iter().map(fields).collect();
    assert_eq!(seen, vec![[json!("brief"), json!(IMAGE), json!(59)]; 7]);
}

#[test]
fn container_shows_one_container_and_those_that_join() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    for (by, argument) in [("name", "web"), ("id", "web-1")] {
        let mut run =
            containerd.iotrace("top").json().args(["-a", "-r", "0", "-d", "50s", "--container", argument]).start();
        run.wait_tracing();
        for (id, name, size) in [("web-1", "web", 61), ("db", "db", 67), ("web-2", "webserver", 71)] {
            let container = containerd.container("default", id).annotation("nerdctl/name", name);
            container.run(&writes("/data/log", size, 101));
        }
        let rows = rows_of_all(run);
        assert_eq!(written(&rows, "/data/log", "id"), expected([("web-1", 61, 101)]), "by {by}");
        let others: Vec<_> = rows.iter().filter(|row| row["container"]["id"] != "web-1").collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

#[test]
fn by_container_adds_up_all_processes_of_each() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let args = ["-r", "0", "-d", "50s", "--by", "container", "--op", "write", "--path", "/data/*"];
    let mut run = containerd.iotrace("top").json().args(args).start();
    run.wait_tracing();
    for (id, size) in [("web", 61), ("db", 67)] {
        let script = [writes("/data/a", size, 101), writes("/data/b", size, 103)].join("; ");
        containerd.container("default", id).run(&script);
    }
    let rows = rows_of_all(run);
    let seen: BTreeMap<_, _> =
        rows.iter().map(|row| (row["container"]["name"].as_str().unwrap(), &row["writes"])).collect();
    assert_eq!((rows.len(), seen), (2, BTreeMap::from([("web", &json!(204)), ("db", &json!(204))])));
    assert!(rows.iter().all(|row| row["pid"].is_null() && row["path"].is_null()), "{rows:?}");
}

#[test]
fn fsync_by_container_adds_up_all_syncs_of_each() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let args = ["-r", "0", "-d", "50s", "--by", "container", "--path", "/data/*"];
    let mut run = containerd.iotrace("fsync").json().args(args).start();
    run.wait_tracing();
    // Each dd is a process of its own and syncs once.
    for (id, size, files) in [("web", 61, "1 2 3"), ("db", 67, "1 2 3 4 5")] {
        let write = format!("dd if=/dev/zero of=/data/$i bs={size} count=7 conv=fsync 2>/dev/null");
        containerd.container("default", id).run(&format!("for i in {files}; do {write}; done"));
    }
    let rows = rows_of_all(run);
    let count = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let seen: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let cells = ["syncs", "writes", "write_bytes"].map(|name| count(row, name));
            (row["container"]["name"].as_str().unwrap(), cells)
        })
        .collect();
    assert_eq!(seen, BTreeMap::from([("web", [3, 21, 21 * 61]), ("db", [5, 35, 35 * 67])]));
    for row in &rows {
        assert!(row["pid"].is_null() && row["path"].is_null(), "{row}");
        assert!(count(row, "p99_ns") > 0 && count(row, "p99_ns") <= count(row, "max_ns"), "{row}");
    }
}

#[test]
fn container_shows_one_container_in_every_command_with_processes() {
    need!(bpf, containers, loop_devices);
    let disk = LoopDisk::new(256);
    let containerd = Containerd::start_on(disk.dir(), &["default"], &[]);
    // It copies up a file of its image, syncs another and removes it.
    let script = "echo x >> /etc/from-image; \
        dd if=/dev/zero of=/data/log bs=61 count=7 conv=fsync 2>/dev/null; rm /data/log";
    let (log, image) = (["--path", "/data/log"], ["--path", "/etc/from-image"]);
    let commands: [(&[&str], [&str; 2], Option<usize>); 11] = [
        (&["fsync"], log, Some(1)),
        (&["fsync", "--trace"], log, Some(1)),
        (&["open"], log, Some(1)),
        (&["events", "--op", "write"], log, Some(7)),
        (&["top", "--by", "container"], log, Some(1)),
        (&["life", "--by", "container"], log, Some(1)),
        (&["copyup"], image, Some(1)),
        (&["copyup", "--summary", "--by", "container"], image, Some(1)),
        // How often it waits and how many requests the kernel makes of it is not for it to say.
        (&["wait"], ["-r", "0"], None),
        (&["block", "--op", "write"], ["--disk", disk.name()], None),
        (&["latency", "--by", "container", "--op", "write"], ["--disk", disk.name()], None),
    ];
    for (words, options, lines) in commands {
        let run = containerd.iotrace(words[0]).json().args(&words[1..]);
        let mut run = run.args(["-d", "50s", "--container", "picked"]).args(options).start();
        run.wait_tracing();
        for id in ["picked", "other"] {
            containerd.container("default", id).run(script);
        }
        let rows = rows_of_all(run);
        let right = lines.map_or(!rows.is_empty(), |lines| rows.len() == lines);
        assert!(right, "{words:?}: {rows:?}");
        // How much the whole host waits is nobody's.
        let of_somebody = rows.iter().filter(|row| row["type"] != "pressure");
        let others: Vec<_> = of_somebody.filter(|row| row["container"]["id"] != "picked").collect();
        assert!(others.is_empty(), "{words:?}: {others:?}");
    }
}

#[test]
fn a_disks_causes_are_those_of_one_container() {
    need!(bpf, containers, loop_devices);
    let disk = LoopDisk::new(256);
    let containerd = Containerd::start_on(disk.dir(), &["default"], &[]);
    let run = containerd.iotrace("disk").json().args(["-d", "50s", "--disk", disk.name(), "--container", "picked"]);
    let mut run = run.start();
    run.wait_tracing();
    for id in ["picked", "other"] {
        containerd.container("default", id).run(&format!("dd if=/dev/zero of=/data/{id} bs=64k count=401 conv=fsync"));
    }
    let rows = rows_of_all(run);
    let row = rows.iter().find(|row| row["disk"] == disk.name()).expect("the disk was used");
    let causes = row["causes"].as_array().unwrap();
    assert!(
        causes.iter().any(|cause| cause["path"].as_str().is_some_and(|path| path.ends_with("/data/picked"))),
        "{row}"
    );
    assert!(causes.iter().all(|cause| cause["container"]["id"] == "picked"), "{row}");
    let shares: f64 = causes.iter().map(|cause| cause["share"].as_f64().unwrap()).sum();
    assert!(shares > 0.0 && shares < 1.0, "others had requests there too: {row}");
}

#[test]
fn a_shims_work_is_charged_to_its_container_as_the_runtimes() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let mut run = containerd.iotrace("events").args(["--op", "open"]).start();
    run.wait_tracing();
    containerd.container("default", "web").annotation("nerdctl/name", "shop").run("cat /etc/from-image");
    let rows = rows_of_all(run);
    let of = |pid: u32| rows.iter().filter(move |row| row["pid"] == pid);
    assert!(of(containerd.pid()).count() > 0);
    assert!(of(containerd.pid()).all(|row| row["role"] == "runtime" && row["container"].is_null()));
    let shim: Vec<_> = rows.iter().filter(|row| row["comm"] == "containerd-shim").collect();
    assert!(!shim.is_empty());
    let served = shim.iter().filter(|row| row["container"]["name"] == "shop" && row["role"] == "runtime").count();
    assert!(served > 0, "{shim:?}");
    let own: Vec<_> = rows.iter().filter(|row| row["path"] == "/etc/from-image" && row["comm"] == "cat").collect();
    assert_eq!(own.len(), 1);
    assert_eq!((&own[0]["role"], &own[0]["container"]["name"]), (&Value::Null, &json!("shop")));
}
