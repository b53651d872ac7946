//! Names of containers of a real containerd as Kubernetes has it: where they come from, and what is shown when they cannot be read.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Child,
};

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

/// Reads what a container says next.
fn expect(child: &mut Child, word: &str) {
    let mut said = vec![0; word.len() + 1];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8(said).unwrap().trim_end(), word);
}

/// The bundle of a container of Kubernetes, below the directory that stands for the host's `/`.
fn bundle(root: &Path, id: &str) -> PathBuf {
    root.join("run/containerd/io.containerd.runtime.v2.task/k8s.io").join(id).join("config.json")
}

/// Two containers write the same path; the bundle of one is cut short, as on a disk that is full.
#[test]
fn a_bundle_that_is_cut_short_gives_no_name_and_a_whole_one_its_own() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["k8s.io"], &["kubepods"]);
    let cut = ID.replace("3f4a", "4a3f");
    let (host, go) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mount = format!("type=bind,src={},dst=/go,options=rbind:ro", go.path().display());
    let wait = |file: &str| format!("while [ ! -e /go/{file} ]; do usleep 10000; done");
    let mut started = [(ID, 61), (&cut, 67)].map(|(id, size)| {
        let write = writes("/data/log", size, 101);
        let script = format!("echo up; {}; {write}; echo done; {}", wait("begin"), wait("end"));
        in_pod(&containerd, id).options(["--mount", &mount]).start(&script)
    });
    for (child, (id, part)) in started.iter_mut().zip([(ID, 1), (&cut, 2)]) {
        expect(child, "up");
        // The very file that containerd wrote, or the first half of it.
        let text = fs::read(bundle(containerd.root(), id)).unwrap();
        let copy = bundle(host.path(), id);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(copy, &text[..text.len() / part]).unwrap();
    }
    let run = Iotrace::new("top").variable("IOTRACE_RUNTIME_ROOT", host.path()).json();
    let mut run = run.args(["-r", "0", "-d", "50s", "--path", "/data/log"]).start();
    run.wait_tracing();
    fs::write(go.path().join("begin"), "").unwrap();
    started.iter_mut().for_each(|child| expect(child, "done"));
    let rows = rows_of_all(run);
    fs::write(go.path().join("end"), "").unwrap();
    for child in started {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(written(&rows, "/data/log", "id"), expected([(ID, 61, 101), (&cut, 67, 101)]));
    assert_eq!(written(&rows, "/data/log", "name"), expected([("nginx", 61, 101), ("null", 67, 101)]));
    let images = [("docker.io/library/nginx:1.27", 61, 101), ("null", 67, 101)];
    assert_eq!(written(&rows, "/data/log", "image"), expected(images));
}

#[test]
fn a_container_that_is_gone_before_it_is_looked_at_keeps_its_id() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["k8s.io"], &["kubepods"]);
    let run = containerd.iotrace("top").json().args(["--buffer", "16MiB", "-r", "0", "-d", "50s"]);
    let mut run = run.args(["--path", "/data/log"]).start();
    run.wait_tracing();
    let pid = Pid::from_raw(run.pid() as i32);
    // It does not run while the container lives: what it knows of it is what the kernel programs recorded.
    kill(pid, Signal::SIGSTOP).unwrap();
    in_pod(&containerd, ID).run(&writes("/data/log", 61, 101));
    assert!(!bundle(containerd.root(), ID).exists());
    kill(pid, Signal::SIGCONT).unwrap();
    let rows = rows_of_all(run);
    assert_eq!(written(&rows, "/data/log", "id"), expected([(ID, 61, 101)]));
    let container = &rows[0]["container"];
    let unknown = ["name", "image", "namespace"].map(|field| &container[field]);
    assert_eq!((unknown, &container["pod"]), ([&Value::Null; 3], &json!(UID)), "{container}");
}

/// Who reads the bundle hangs: it is a FIFO that nobody writes to. Meanwhile comes more than the ring buffer has room for.
#[test]
fn what_hangs_while_names_are_read_loses_no_event() {
    need!(bpf, containers);
    let containerd = Containerd::start(&["k8s.io"], &["kubepods"]);
    let (host, go) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fifo = bundle(host.path(), ID);
    fs::create_dir_all(fifo.parent().unwrap()).unwrap();
    mkfifo(&fifo, Mode::S_IRUSR).unwrap();
    let mount = format!("type=bind,src={},dst=/go,options=rbind:ro", go.path().display());
    // A burst alone finds room; all of them would need three times as much.
    let bursts =
        format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do {}; usleep 10000; done", writes("/data/log", 61, 503));
    let script = format!("echo up; while [ ! -e /go/begin ]; do usleep 10000; done; {bursts}; echo done");
    let mut container = in_pod(&containerd, ID).options(["--mount", &mount]).start(&script);
    expect(&mut container, "up");
    let run = Iotrace::new("events").variable("IOTRACE_RUNTIME_ROOT", host.path());
    let mut run = run.args(["--buffer", "256KiB", "--op", "write", "--path", "/data/log"]).start();
    run.wait_tracing();
    fs::write(go.path().join("begin"), "").unwrap();
    expect(&mut container, "done");
    let rows = rows_of_all(run);
    assert!(container.wait_with_output().unwrap().status.success());
    assert_eq!(rows.iter().filter(|row| row["container"]["id"] == ID && row["bytes"] == 61).count(), 13 * 503);
}
