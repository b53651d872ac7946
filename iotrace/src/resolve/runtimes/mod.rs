//! What container runtimes leave on disk about their containers: names and images. No daemon is asked.
//!
//! Each runtime has its own files, and the paths of some containers do not tell which runtime it was: then all are tried, by
//! the id.

mod bolt;
mod bundles;
mod containerd;
mod docker;
mod oci;
mod storage;

use crate::resolve::Container;
use bundles::Bundles;
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most bytes of a file that are read: a description of a container has a few KiB.
const FILE_MAX: u64 = 4 << 20;

/// Names the directory that all files of runtimes are looked for in, instead of `/`: where the host's root is mounted in
/// iotrace's own container.
pub const ROOT_VARIABLE: &str = "IOTRACE_RUNTIME_ROOT";

/// The files of all container runtimes of a host.
#[derive(Clone, Debug)]
pub struct Runtimes {
    root: PathBuf,
    bundles: Arc<Bundles>,
}

impl Default for Runtimes {
    fn default() -> Self {
        Self::at(std::env::var_os(ROOT_VARIABLE).map_or_else(|| "/".into(), PathBuf::from))
    }
}

impl Runtimes {
    /// Those below a host's root directory.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root, bundles: Arc::default() }
    }

    /// Keeps from now on what is on disk of a container only while it lives.
    pub fn watch(&self) {
        self.bundles.watch(self.root.clone(), self.containerd_plugins().collect());
    }

    /// The container, with all that its runtime's files tell of it; `None` when there are none, or they make no sense.
    /// `found` is what the path of its control group, `cgroup`, tells.
    #[must_use]
    pub fn describe(&self, found: &Container, cgroup: &str) -> Option<Container> {
        // The id becomes a part of paths. Of a container's own cgroup namespace the path may begin with "..".
        if found.id.is_empty() || found.id.starts_with('.') {
            return None;
        }
        let named = match found.runtime.as_str() {
            "containerd" | "kata" => self.containerd(found),
            "docker" => self.docker(found),
            "podman" | "cri-o" => self.storage(found, cgroup),
            "kubernetes" | "unknown" => {
                self.containerd(found).or_else(|| self.storage(found, cgroup)).or_else(|| self.docker(found))
            }
            _ => None,
        };
        named.map(|named| Container { known: true, ..named })
    }

    /// The directories that relative layers of overlays count from: those of dockerd and of containers/storage.
    #[must_use]
    pub fn layer_bases(&self) -> Vec<PathBuf> {
        let docker = self.docker_data().into_iter().map(|data| data.join("overlay2"));
        docker.chain([self.path("var/lib/containers/storage/overlay")]).collect()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }
}

/// A JSON file; `None` when it cannot be read, is cut short or has another form.
fn json<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
