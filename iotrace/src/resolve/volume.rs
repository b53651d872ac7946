//! Volumes by the directories in which runtimes keep them.

/// The name of the volume that a path on the host is in, by where Docker, podman, nerdctl and kubelet keep volumes.
pub(super) fn volume(host_path: &[u8]) -> Option<String> {
    let parts: Vec<&[u8]> = host_path.split(|byte| *byte == b'/').collect();
    let name = parts.windows(5).find_map(|part| match *part {
        // DATA/volumes/NAME/_data/...: dockerd's local driver (volume/local/local.go of moby), and podman's.
        [b"docker" | b"storage", b"volumes", name, b"_data", _] => Some(name),
        // STORE/volumes/NAMESPACE/NAME/_data/...: nerdctl.
        [b"volumes", _namespace, name, b"_data", _] => Some(name),
        // kubelet/pods/UID/volumes/kubernetes.io~PLUGIN/NAME/...: pkg/kubelet/kubelet_getters.go.
        [_uid, b"volumes", plugin, name, _] if plugin.starts_with(b"kubernetes.io~") => Some(name),
        // kubelet/pods/UID/volume-subpaths/NAME/CONTAINER/INDEX
        [b"pods", _uid, b"volume-subpaths", name, _] => Some(name),
        _ => None,
    });
    name.filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtimes_volumes() {
        for (path, name) in [
            ("/var/lib/docker/volumes/pgdata/_data/base/1", Some("pgdata")),
            ("/var/lib/containers/storage/volumes/pgdata/_data/x", Some("pgdata")),
            ("/home/me/.local/share/containers/storage/volumes/v/_data/x", Some("v")),
            ("/var/lib/nerdctl/1935db59/volumes/default/pgdata/_data/x", Some("pgdata")),
            ("/var/lib/kubelet/pods/0d5a/volumes/kubernetes.io~empty-dir/cache/x", Some("cache")),
            ("/var/lib/kubelet/pods/0d5a/volumes/kubernetes.io~csi/pvc-1/mount/x", Some("pvc-1")),
            ("/var/lib/kubelet/pods/0d5a/volume-subpaths/pvc-1/web/0", Some("pvc-1")),
            ("/var/lib/docker/overlay2/1/diff/volumes/x/y", None),
            ("/srv/volumes/x/y", None),
            ("/", None),
        ] {
            assert_eq!(volume(path.as_bytes()).as_deref(), name, "{path}");
        }
    }
}
