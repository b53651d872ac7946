#![allow(clippy::unwrap_used)]
use super::*;
use std::{fs, path::Path};

const ID: &str = "3f4a9c0f1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";

fn bundle(root: &Path, id: &str, name: &str) {
    let bundle = root.join("run/containerd/io.containerd.runtime.v2.task/default").join(id);
    fs::create_dir_all(&bundle).unwrap();
    let spec = format!(r#"{{"annotations":{{"nerdctl/name":"{name}"}}}}"#);
    fs::write(bundle.join("config.json"), spec).unwrap();
}

fn name(resident: Option<&Resident>) -> Option<String> {
    resident?.container()?.name.clone()
}

#[test]
fn a_container_keeps_its_name_when_it_is_gone() {
    let root = tempfile::tempdir().unwrap();
    bundle(root.path(), ID, "web");
    let mut containers = Containers::of(Runtimes::at(root.path().into()));
    let (cgroup, start) = (format!("/default/{ID}"), Instant::now());
    let first = containers.find(&cgroup, start);
    assert_eq!(name(first.as_ref()).as_deref(), Some("web"));
    fs::remove_dir_all(root.path().join("run")).unwrap();
    let second = containers.find(&cgroup, start + 2 * AGAIN);
    assert_eq!(name(second.as_ref()).as_deref(), Some("web"));
    assert_eq!(first, second);
}

#[test]
fn an_id_used_again_is_another_container() {
    let root = tempfile::tempdir().unwrap();
    bundle(root.path(), "job", "first");
    let mut containers = Containers::of(Runtimes::at(root.path().into()));
    let start = Instant::now();
    let first = containers.find("/default/job", start);
    assert_eq!(name(first.as_ref()).as_deref(), Some("first"));
    bundle(root.path(), "job", "second");
    let second = containers.find("/default/job", start + AGAIN);
    assert_eq!(name(second.as_ref()).as_deref(), Some("second"));
    assert_eq!(name(first.as_ref()).as_deref(), Some("first"), "a process keeps what it ran in");
    fs::remove_dir_all(root.path().join("run")).unwrap();
    assert_eq!(name(containers.find("/default/job", start + 2 * AGAIN).as_ref()).as_deref(), Some("second"));
}

#[test]
fn a_name_that_comes_late_is_found_later() {
    let root = tempfile::tempdir().unwrap();
    let mut containers = Containers::of(Runtimes::at(root.path().into()));
    let (cgroup, start) = (format!("/default/{ID}"), Instant::now());
    let unknown = containers.find(&cgroup, start).unwrap();
    let label = |resident: &Resident| resident.container().map(Container::label);
    assert_eq!(label(&unknown).as_deref(), Some("?3f4a9c0f1b2d"));
    bundle(root.path(), ID, "web");
    let soon = containers.find(&cgroup, start + AGAIN / 2).unwrap();
    assert_eq!(label(&soon).as_deref(), Some("?3f4a9c0f1b2d"));
    let later = containers.find(&cgroup, start + AGAIN).unwrap();
    assert_eq!(label(&later).as_deref(), Some("web"));
}

#[test]
fn what_was_gone_before_it_was_looked_for_keeps_its_id() {
    let root = tempfile::tempdir().unwrap();
    let mut containers = Containers::of(Runtimes::at(root.path().into()));
    for cgroup in ["/default/{ID}", "/docker/{ID}", "/libpod_parent/libpod-{ID}", "/system.slice/crio-{ID}.scope"] {
        let resident = containers.find(&cgroup.replace("{ID}", ID), Instant::now()).unwrap();
        let found = resident.container().unwrap();
        let names = (&found.name, &found.image, &found.pod);
        assert_eq!((found.id.as_str(), names, found.label()), (ID, (&None, &None, &None), "?3f4a9c0f1b2d".into()));
    }
}

#[test]
fn what_only_looks_like_a_container_is_none() {
    let root = tempfile::tempdir().unwrap();
    let mut containers = Containers::of(Runtimes::at(root.path().into()));
    for cgroup in ["/process_api/a8f08ba3", "/a/b", "/"] {
        let resident = containers.find(cgroup, Instant::now());
        assert_eq!(resident.as_ref().and_then(Resident::container), None, "{cgroup}");
    }
}

#[test]
fn services_have_no_files() {
    let mut containers = Containers::default();
    let found = containers.find("/system.slice/nginx.service", Instant::now()).unwrap();
    assert_eq!(found.container().unwrap().label(), "nginx.service");
    assert!(containers.known.is_empty());
}
