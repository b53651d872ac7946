//! The bundle of a container: `config.json` of the OCI runtime specification, with annotations by which runtimes remember whose
//! it is.

use super::json;
use crate::resolve::Container;
use serde::Deserialize;
use std::{collections::HashMap, path::Path};

/// The part of `config.json` that has names.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Spec {
    annotations: Option<HashMap<String, String>>,
    /// The image, where only the runtime's database has it.
    #[serde(skip)]
    pub(super) image: Option<String>,
}

/// Annotations with the image.
const IMAGE: [&str; 3] = ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "io.kubernetes.cri-o.Image"];

impl Spec {
    /// The bundle in a directory.
    pub(super) fn read(bundle: &Path) -> Option<Self> {
        json(&bundle.join("config.json"))
    }

    /// The first of these annotations that is there and says something.
    pub(super) fn annotation(&self, keys: &[&str]) -> Option<String> {
        let annotations = self.annotations.as_ref()?;
        keys.iter().find_map(|key| annotations.get(*key)).filter(|value| !value.is_empty()).cloned()
    }

    /// Whether the annotations have an image.
    pub(super) fn has_image(&self) -> bool {
        self.annotation(&IMAGE).is_some()
    }

    /// The container with the names that the annotations have: those of containerd's CRI plugin
    /// (pkg/cri/annotations/annotations.go), of CRI-O (pkg/annotations/annotations.go) and kubelet
    /// (pkg/kubelet/types/labels.go), of nerdctl (pkg/labels/labels.go).
    pub(super) fn name(&self, found: &Container) -> Container {
        let pod = self.annotation(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
        let namespace = self.annotation(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]);
        let name =
            self.annotation(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"]);
        let pod_uid = self.annotation(&["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]);
        Container {
            // CRI-O's name for what holds a pod together.
            name: name.filter(|name| name != "POD").or_else(|| found.name.clone()),
            image: self.annotation(&IMAGE).or_else(|| self.image.clone()),
            pod_uid: pod_uid.or_else(|| found.pod.clone().filter(|_| pod.is_some())),
            pod: pod.or_else(|| found.pod.clone()),
            namespace: namespace.or_else(|| found.namespace.clone()),
            ..found.clone()
        }
    }
}
