//! Containers of a real podman.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use iotrace_tests::{harness::*, need};
use serde_json::{Value, json};

#[test]
fn podmans_containers_have_names_images_pods_and_host_paths() {
    need!(bpf, podman);
    let podman = Podman::new();
    let pod = podman.pod("shop");
    let start = |go: &str| {
        let volume = ["--volume".to_owned(), "pgdata:/volume".to_owned()];
        let go = ["--volume".to_owned(), format!("{go}:/go:ro")];
        let options = [["--pod".to_owned(), pod.clone()], volume, go.clone()].concat();
        let web = "echo of web > /data/log; echo of web > /volume/file";
        let db = "echo of db > /data/log; echo of db >> /etc/from-image";
        vec![podman.start("web", &options, &format!("{web}{WAIT}")), podman.start("db", &go, &format!("{db}{WAIT}"))]
    };
    while_they_run(podman.iotrace("events").args(["--op", "write,read"]), start, |rows| {
        let container = |path: &str, name: &str| {
            let row = rows.iter().find(|row| row["path"] == path && row["container"]["name"] == name);
            let mut container = row.unwrap_or_else(|| panic!("nothing of {name} in {path}"))["container"].clone();
            let id = container.as_object_mut().unwrap().remove("id").unwrap();
            assert_eq!(id.as_str().unwrap().len(), 64);
            container
        };
        for (name, pod) in [("web", json!("shop")), ("db", Value::Null)] {
            let expected = json!({
                "runtime": "podman", "name": name, "image": IMAGE, "pod": pod, "namespace": null, "unit": null,
            });
            assert_eq!(container("/data/log", name), expected);
        }
        let read = |path: Option<&str>| std::fs::read_to_string(path.unwrap()).unwrap();
        let logs = hosts(rows, "/data/log");
        assert_eq!((read(logs["web"].0), read(logs["db"].0)), ("of web\n".to_owned(), "of db\n".to_owned()));
        let (file, volume) = hosts(rows, "/volume/file")["web"];
        assert_eq!((read(file), volume), ("of web\n".to_owned(), Some("pgdata")));
        assert_eq!(read(hosts(rows, "/etc/from-image")["db"].0), "from the image\nof db\n");
    });
}

#[test]
fn container_shows_a_pod_of_podman_by_name_or_id() {
    need!(bpf, podman);
    let podman = Podman::new();
    let pod = podman.pod("shop");
    for wanted in ["shop", &pod] {
        let run = podman.iotrace("top").json().args(["-r", "0", "-d", "50s", "--path", "/data/log"]);
        let mut run = run.args(["--container", wanted]).start();
        run.wait_tracing();
        let in_pod = ["--pod".to_owned(), pod.clone()];
        for (name, options, size) in [("web", &in_pod[..], 61), ("db", &[], 67)] {
            let output = podman.start(name, options, &writes("/data/log", size, 101)).wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let rows = rows_of_all(run);
        assert_eq!(written(&rows, "/data/log", "name"), expected([("web", 61, 101)]), "--container {wanted}");
        assert!(rows.iter().all(|row| row["container"]["pod"] == "shop"), "{rows:?}");
    }
}
