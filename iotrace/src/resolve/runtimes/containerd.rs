//! containerd: a bundle for each running container, below its state directory, and a database below its root directory.

use super::{Runtimes, bolt, oci::Spec};
use crate::resolve::{Container, container::is_id};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// State and root directories: of containerd, of k3s and rke2, of microk8s, of the containerd that dockerd starts.
const PLACES: [(&str, &[&str]); 4] = [
    ("run/containerd", &["var/lib/containerd"]),
    ("run/k3s/containerd", &["var/lib/rancher/k3s/agent/containerd", "var/lib/rancher/rke2/agent/containerd"]),
    ("var/snap/microk8s/common/run/containerd", &["var/snap/microk8s/common/var/lib/containerd"]),
    ("run/docker/containerd/daemon", &["var/lib/docker/containerd/daemon"]),
];
/// The plugins that make bundles: NAMESPACE/ID below them (runtime/v2/bundle.go of containerd).
const PLUGINS: [&str; 2] = ["io.containerd.runtime.v2.task", "io.containerd.runtime.v1.linux"];
/// The database, below a root directory (metadata/buckets.go of containerd has its form).
const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";

/// What makes bundles of one containerd.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    /// Has a directory of bundles for each namespace.
    pub(super) place: PathBuf,
    /// Where containerd may have its database.
    pub(super) databases: Vec<PathBuf>,
}

impl Plugin {
    /// The bundle in a directory, NAMESPACE/ID below [`Self::place`], with the image that the database knows where the bundle
    /// does not.
    pub(super) fn read(&self, bundle: &Path) -> Option<Spec> {
        let mut spec = Spec::read(bundle)?;
        if !spec.has_image() {
            spec.image = self.image(bundle);
        }
        Some(spec)
    }

    fn image(&self, bundle: &Path) -> Option<String> {
        let (id, namespace) = (bundle.file_name()?.to_str()?, bundle.parent()?.file_name()?.to_str()?);
        let buckets = ["v1", namespace, "containers", id];
        let image = self.databases.iter().find_map(|file| bolt::value(file, &buckets, "image"))?;
        String::from_utf8(image).ok().filter(|image| !image.is_empty())
    }
}

impl Runtimes {
    /// What makes bundles of each containerd.
    pub(super) fn containerd_plugins(&self) -> impl Iterator<Item = Plugin> {
        PLACES.iter().flat_map(|(state, roots)| {
            PLUGINS.map(|plugin| Plugin {
                place: self.path(state).join(plugin),
                databases: roots.iter().map(|root| self.path(root).join(DATABASE)).collect(),
            })
        })
    }

    /// A container of containerd, that is there or was. The namespace is looked for where it is not known.
    pub(super) fn containerd(&self, found: &Container) -> Option<Container> {
        let there = self.containerd_plugins().find_map(|plugin| bundle(&plugin, found));
        there.or_else(|| {
            self.containerd_plugins().find_map(|plugin| {
                let (namespace, spec) = self.bundles.find(&plugin.place, found.namespace.as_deref(), &found.id)?;
                Some(name(&spec, &namespace, found))
            })
        })
    }
}

fn bundle(plugin: &Plugin, found: &Container) -> Option<Container> {
    let namespaces: Vec<PathBuf> = match found.namespace.as_deref() {
        Some(namespace) => vec![plugin.place.join(namespace)],
        None => fs::read_dir(&plugin.place).ok()?.flatten().map(|entry| entry.path()).collect(),
    };
    namespaces.into_iter().find_map(|namespace| {
        let spec = plugin.read(&namespace.join(&found.id))?;
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
