//! Podman and CRI-O: both keep containers by the library containers/storage.

use super::{Runtimes, bolt, json, oci::Spec};
use crate::resolve::{Container, container::is_id};
use nix::unistd::{Uid, User};
use serde::Deserialize;
use std::path::PathBuf;

/// Storage drivers, whose names the directories have.
const DRIVERS: [&str; 3] = ["overlay", "vfs", "btrfs"];
/// Lists of containers: those that stay, and those that are gone after a reboot (`podman run --rm`).
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// An entry of the lists (containers.go of containers/storage).
#[derive(Debug, Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    /// JSON in a string.
    #[serde(default)]
    metadata: String,
}

/// What podman (libpod/container_internal.go) and CRI-O (internal/storage/runtime.go) note of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Metadata {
    image_name: String,
    pod_name: String,
    /// The name in the pod, of CRI-O.
    metadata_name: String,
}

impl Runtimes {
    /// A container of podman or CRI-O. The bundle of CRI-O has all its names; podman's are in the list.
    pub(super) fn storage(&self, found: &Container, cgroup: &str) -> Option<Container> {
        let (lists, bundles) = self.storage_directories(cgroup);
        let places = bundles.iter().chain(&lists).flat_map(|place| DRIVERS.map(|name| (place, name)));
        let spec = places.into_iter().find_map(|(place, driver)| {
            Spec::read(&place.join(format!("{driver}-containers")).join(&found.id).join("userdata"))
        });
        let manager = spec.as_ref().and_then(|spec| spec.annotation(&["io.container.manager"]));
        let mut found = found.clone();
        match (found.runtime.as_str(), manager.as_deref()) {
            ("unknown" | "kubernetes", Some("libpod")) => found.runtime = "podman".into(),
            ("unknown" | "kubernetes", Some("cri-o")) => found.runtime = "cri-o".into(),
            _ => {}
        }
        if let Some(spec) = spec.as_ref().filter(|_| found.runtime == "cri-o") {
            return Some(spec.name(&found));
        }
        let files = lists.iter().flat_map(|place| DRIVERS.map(|name| place.join(format!("{name}-containers"))));
        let entry = files
            .flat_map(|place| LISTS.map(|list| place.join(list)))
            .find_map(|list| json::<Vec<Entry>>(&list)?.into_iter().find(|entry| entry.id == found.id))?;
        let metadata: Metadata = serde_json::from_str(&entry.metadata).unwrap_or_default();
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        if found.runtime != "cri-o" {
            // Also of podman's containers, it names what holds the pod together: the pod's id (generateSpec of libpod).
            let sandbox = spec.and_then(|spec| spec.annotation(&["io.kubernetes.cri-o.SandboxID"]));
            found.pod = found.pod.or_else(|| sandbox.filter(|id| is_id(id)));
        }
        let pod = match found.runtime.as_str() {
            "podman" => found.pod.as_deref().and_then(|id| pod_name(&lists, id)),
            _ => some(metadata.pod_name),
        };
        Some(Container {
            runtime: if found.runtime == "unknown" { "podman".into() } else { found.runtime.clone() },
            name: some(metadata.metadata_name).or_else(|| entry.names.into_iter().next()),
            image: some(metadata.image_name),
            pod_uid: found.pod.clone().filter(|_| pod.is_some()),
            pod: pod.or_else(|| found.pod.clone()),
            ..found
        })
    }

    /// Where the lists are, and the bundles of what runs: root's, and those of the user whose slice it is.
    fn storage_directories(&self, cgroup: &str) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut lists = vec![self.path("var/lib/containers/storage")];
        let mut bundles = vec![self.path("run/containers/storage")];
        if let Some(uid) = user(cgroup) {
            bundles.insert(0, self.path(&format!("run/user/{uid}/containers")));
            if let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) {
                let home = user.dir.strip_prefix("/").unwrap_or(&user.dir).to_owned();
                lists.insert(0, self.root.join(home).join(".local/share/containers/storage"));
            }
        }
        (lists, bundles)
    }
}

/// The name of podman's pod with this id, by the database that podman 4 keeps (libpod/boltdb_state.go). That of podman 5 is SQLite.
fn pod_name(places: &[PathBuf], id: &str) -> Option<String> {
    let names = places.iter().map(|place| bolt::value(&place.join("libpod/bolt_state.db"), &["id-registry"], id));
    String::from_utf8(names.flatten().next()?).ok().filter(|name| !name.is_empty())
}

/// The user in `/user.slice/user-1000.slice/...`.
fn user(cgroup: &str) -> Option<u32> {
    let mut parts = cgroup.split('/').skip_while(|part| *part != "user.slice");
    parts.nth(1)?.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok()
}
