//! Containers of a real containerd: names, filters, the paths on the host.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Writes of a size to a file, by one process.
fn writes(file: &str, size: u32, count: u32) -> String {
    format!("dd if=/dev/zero of={file} bs={size} count={count} 2>/dev/null")
}

/// Writes and their bytes of the rows of a path, by the value of a field of `container`.
fn written(rows: &[Value], path: &str, field: &str) -> BTreeMap<String, (u64, u64)> {
    let mut found = BTreeMap::<String, (u64, u64)>::new();
    for row in rows.iter().filter(|row| row["path"] == path && row["writes"] != 0) {
        let sum = found.entry(row["container"][field].as_str().unwrap_or("null").into()).or_default();
        *sum = (sum.0 + row["writes"].as_u64().unwrap(), sum.1 + row["write_bytes"].as_u64().unwrap());
    }
    found
}

/// All rows up to now. Of the whole host, calls that were under way when tracing began have no begin.
#[track_caller]
fn rows(run: Running) -> Vec<Value> {
    let output = run.interrupt().exited(0);
    assert_eq!([&output.summary["lost"], &output.summary["maps_full"]], [0, 0], "{}", output.summary);
    output.rows
}

fn expected<const N: usize>(rows: [(&str, u64, u64); N]) -> BTreeMap<String, (u64, u64)> {
    rows.into_iter().map(|(name, size, count)| (name.to_owned(), (count, size * count))).collect()
}

#[test]
fn two_containers_of_one_image_are_told_apart_by_name() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let mut run = containerd.iotrace("top").json().args(["-r", "0", "-d", "50s"]).start();
    run.wait_tracing();
    containerd.container("default", "web").run(&writes("/data/log", 61, 101));
    containerd.container("default", "db").run(&writes("/data/log", 67, 103));
    let rows = rows(run);
    assert_eq!(written(&rows, "/data/log", "name"), expected([("web", 61, 101), ("db", 67, 103)]));
    assert_eq!(
        written(&rows, "/data/log", "runtime"),
        BTreeMap::from([("containerd".into(), (204, 61 * 101 + 67 * 103))])
    );
}

#[test]
fn a_container_that_lives_50_ms_is_named() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["default"], &[]);
    let mut run = containerd.iotrace("events").args(["--op", "write", "--path", "/data/short"]).start();
    run.wait_tracing();
    let script = writes("/data/short", 59, 7) + "; usleep 50000";
    containerd.container("default", "short").annotation("nerdctl/name", "brief").run(&script);
    let rows = rows(run);
    let seen: Vec<_> = rows.iter().map(|row| (&row["container"]["name"], &row["bytes"])).collect();
    assert_eq!(seen, vec![(&json!("brief"), &json!(59)); 7]);
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
        let rows = rows(run);
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
    let rows = rows(run);
    let seen: BTreeMap<_, _> =
        rows.iter().map(|row| (row["container"]["name"].as_str().unwrap(), &row["writes"])).collect();
    assert_eq!((rows.len(), seen), (2, BTreeMap::from([("web", &json!(204)), ("db", &json!(204))])));
    assert!(rows.iter().all(|row| row["pid"].is_null() && row["path"].is_null()), "{rows:?}");
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
        let rows = rows(run);
        let [row] = &rows[..] else { panic!("one open: {rows:?}") };
        let expected = json!({
            "runtime": "containerd", "id": ID, "name": "nginx", "image": "docker.io/library/nginx:1.27",
            "pod": "web-0", "namespace": "shop", "unit": null,
        });
        assert_eq!(row["container"], expected, "--container {wanted}");
    }
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
