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
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let sync = "dd if=/dev/zero of=/data/log bs=61 count=7 conv=fsync 2>/dev/null";
    let commands: [(&[&str], usize); 4] =
        [(&["fsync"], 1), (&["fsync", "--trace"], 1), (&["open"], 1), (&["events", "--op", "write"], 7)];
    for (words, lines) in commands {
        let run = containerd.iotrace(words[0]).json().args(&words[1..]);
        let mut run = run.args(["-d", "50s", "--path", "/data/log", "--container", "web"]).start();
        run.wait_tracing();
        for id in ["web", "db"] {
            containerd.container("default", id).run(sync);
        }
        let rows = rows_of_all(run);
        assert_eq!(rows.len(), lines, "{words:?}: {rows:?}");
        assert!(rows.iter().all(|row| row["container"]["id"] == "web"), "{words:?}: {rows:?}");
    }
}

const ID: &str = "3f4a9c0f1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";
const UID: &str = "0d5a3b6c-7e8f-4a1b-9c2d-3e4f5a6b7c8d";

/// As containerd's CRI plugin starts it: the control group of kubelet's cgroupfs driver, annotations.
fn in_pod<'a>(containerd: &'a Containerd, id: &str) -> Container<'a> {
    let mut container = containerd.container("k8s.io", id);
    container = container.options(["--cgroup".to_owned(), format!("/kubepods/besteffort/pod{UID}/{id}")]);
    for (key, value) in [
        ("container-type", "container"),
        ("container-name", "nginx"),
        ("image-name", "docker.io/library/nginx:1.27"),
        ("sandbox-name", "web-0"),
        ("sandbox-namespace", "shop"),
        ("sandbox-uid", UID),
    ] {
        container = container.annotation(&format!("io.kubernetes.cri.{key}"), value);
    }
    container
}

#[test]
fn kubernetes_names_come_from_annotations() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["k8s.io"], &["kubepods"]);
    for wanted in ["nginx", "web-0", "shop/web-0", &ID[..12], UID] {
        let mut run =
            containerd.iotrace("open").json().args(["--path", "/etc/from-image", "--container", wanted]).start();
        run.wait_tracing();
        assert_eq!(in_pod(&containerd, ID).run("cat /etc/from-image"), "from the image\n");
        let rows = rows_of_all(run);
        let [row] = &rows[..] else { panic!("one open: {rows:?}") };
        let expected = json!({
            "runtime": "containerd", "id": ID, "name": "nginx", "image": "docker.io/library/nginx:1.27",
            "pod": "web-0", "namespace": "shop", "unit": null,
        });
        assert_eq!(row["container"], expected, "--container {wanted}");
    }
}

#[test]
fn a_directory_that_may_not_be_read_gives_no_name() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["k8s.io"], &["kubepods"]);
    // The scratch directory is root's alone.
    let run = containerd.iotrace("top").user(65_534).capabilities(&["bpf", "perfmon"]).json();
    let mut run = run.args(["-r", "0", "-d", "50s", "--path", "/data/unreadable", "--container", &ID[..4]]).start();
    run.wait_tracing();
    in_pod(&containerd, ID).run(&writes("/data/unreadable", 61, 101));
    let rows = rows_of_all(run);
    assert_eq!(written(&rows, "/data/unreadable", "id"), expected([(ID, 61, 101)]));
    let container = &rows[0]["container"];
    assert_eq!((&container["runtime"], &container["name"]), (&json!("kubernetes"), &Value::Null));
}

#[test]
fn a_name_that_cannot_be_read_is_unknown_and_the_id_is_kept() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["k8s.io"], &["kubepods"]);
    let nowhere = tempfile::tempdir().unwrap();
    let args = ["-r", "0", "-d", "50s", "--path", "/data/log"];
    for (table, json) in [(false, true), (true, false)] {
        let run = Iotrace::new("top").variable("IOTRACE_RUNTIME_ROOT", nowhere.path()).args(args);
        let run = if json { run.json() } else { run.args(["--columns", "writes,container"]) };
        let mut run = run.start();
        run.wait_tracing();
        in_pod(&containerd, ID).run(&writes("/data/log", 61, 101));
        let output = run.interrupt();
        if table {
            assert_eq!(output.stdout.lines().nth(1), Some("   101 ?3f4a9c0f1b2d"), "{}", output.stdout);
        } else {
            let container = &output.rows[0]["container"];
            assert_eq!(
                (&container["id"], &container["name"], &container["pod"]),
                (&json!(ID), &Value::Null, &json!(UID))
            );
        }
    }
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
