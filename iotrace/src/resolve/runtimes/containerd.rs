//! containerd: a bundle for each running container, below its state directory.

use super::{Runtimes, oci::Spec};
use crate::resolve::{Container, container::is_id};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// State directories: of containerd, of k3s and rke2, of microk8s, of the containerd that dockerd starts.
const STATES: [&str; 4] =
    ["run/containerd", "run/k3s/containerd", "var/snap/microk8s/common/run/containerd", "run/docker/containerd/daemon"];
/// The plugins that make bundles: NAMESPACE/ID below them (runtime/v2/bundle.go of containerd).
const PLUGINS: [&str; 2] = ["io.containerd.runtime.v2.task", "io.containerd.runtime.v1.linux"];

impl Runtimes {
    /// The directories that have a directory of bundles for each namespace.
    pub(super) fn containerd_plugins(&self) -> impl Iterator<Item = PathBuf> {
        STATES.iter().flat_map(|state| PLUGINS.map(|plugin| self.path(state).join(plugin)))
    }

    /// A container of containerd, that is there or was. The namespace is looked for where it is not known.
    pub(super) fn containerd(&self, found: &Container) -> Option<Container> {
        let there = self.containerd_plugins().find_map(|plugin| bundle(&plugin, found));
        there.or_else(|| {
            self.containerd_plugins().find_map(|plugin| {
                let (namespace, spec) = self.bundles.find(&plugin, found.namespace.as_deref(), &found.id)?;
                Some(name(&spec, &namespace, found))
            })
        })
    }
}

fn bundle(plugin: &Path, found: &Container) -> Option<Container> {
    let namespaces: Vec<PathBuf> = match found.namespace.as_deref() {
        Some(namespace) => vec![plugin.join(namespace)],
        None => fs::read_dir(plugin).ok()?.flatten().map(|entry| entry.path()).collect(),
    };
    namespaces.into_iter().find_map(|namespace| {
        let spec = Spec::read(&namespace.join(&found.id))?;
        let namespace = namespace.file_name()?.to_string_lossy().into_owned();
        Some(name(&spec, &namespace, found))
    })
}

fn name(spec: &Spec, namespace: &str, found: &Container) -> Container {
    let unclear = matches!(found.runtime.as_str(), "unknown" | "kubernetes");
    let mut named = spec.name(&Container {
        // Who runs a container by ctr gives it an id that is a name.
        name: found.name.clone().or_else(|| Some(found.id.clone()).filter(|id| !is_id(id))),
        namespace: Some(namespace.into()),
        ..found.clone()
    });
    if unclear {
        named.runtime = "containerd".into();
    }
    // The namespace that containerd's CRI plugin uses for all pods says nothing of a pod whose namespace is not known.
    if named.pod.is_some() && found.namespace.is_none() && named.namespace.as_deref() == Some("k8s.io") {
        named.namespace = None;
    }
    named
}
