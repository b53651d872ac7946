//! Docker: a directory for each container, below dockerd's data directory.

use super::{Runtimes, json};
use crate::resolve::Container;
use serde::Deserialize;
use std::{collections::HashMap, path::PathBuf};

/// `config.v2.json` (container/container.go of moby), the part that has names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    name: Option<String>,
    config: Option<Config>,
}

/// What the container was started with.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: Option<String>,
    labels: Option<HashMap<String, String>>,
}

/// `daemon.json`, the part that says where containers are.
#[derive(Debug, Deserialize)]
struct Daemon {
    #[serde(rename = "data-root")]
    data_root: Option<String>,
}

impl Runtimes {
    /// A container of Docker.
    pub(super) fn docker(&self, found: &Container) -> Option<Container> {
        let read = |data: PathBuf| json::<Description>(&data.join("containers").join(&found.id).join("config.v2.json"));
        let description = self.docker_data().into_iter().find_map(read)?;
        let config = description.config.unwrap_or_default();
        // Set by what runs pods with Docker (cri-dockerd).
        let label = |key: &str| config.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
        let pod = label("io.kubernetes.pod.name");
        // A leading slash is how Docker writes names (links may have further ones).
        let name = description.name.map(|name| name.trim_start_matches('/').to_owned());
        let name = label("io.kubernetes.container.name").or(name).filter(|name| !name.is_empty() && name != "POD");
        Some(Container {
            runtime: "docker".into(),
            name,
            image: config.image.clone(),
            namespace: label("io.kubernetes.pod.namespace"),
            pod_uid: label("io.kubernetes.pod.uid").or_else(|| found.pod.clone().filter(|_| pod.is_some())),
            pod: pod.or_else(|| found.pod.clone()),
            ..found.clone()
        })
    }

    /// Where dockerd may have its data: as configured, as usual, as a snap.
    pub(super) fn docker_data(&self) -> Vec<PathBuf> {
        let configured = json::<Daemon>(&self.path("etc/docker/daemon.json")).and_then(|daemon| daemon.data_root);
        let configured = configured.map(|root| self.path(root.trim_start_matches('/')));
        let usual = ["var/lib/docker", "var/snap/docker/common/var-lib-docker"].map(|path| self.path(path));
        configured.into_iter().chain(usual).collect()
    }
}
