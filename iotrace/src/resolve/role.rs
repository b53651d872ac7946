//! Container runtimes' own processes, and whom they serve.

use super::{Container, container::is_id};
use std::fs;

/// What a process of a container runtime is called in output.
pub(super) const RUNTIME: &str = "runtime";

/// Names of main threads, as long as Linux keeps them (`containerd-shim` is `containerd-shim-runc-v2`).
const RUNTIMES: [&[u8]; 12] = [
    b"containerd",
    b"containerd-shim",
    b"conmon",
    b"conmonrs",
    b"crio",
    b"crun",
    b"cri-dockerd",
    b"docker-proxy",
    b"dockerd",
    b"kubelet",
    b"runc",
    b"buildkitd",
];

/// `runtime` for a runtime's own process. `inside`: what its control group says it runs in. In a container any process may
/// give itself such a name, so there only runc itself counts, which is about to become the container's program.
pub(super) fn role(comm: &[u8], cgroup: &str, inside: Option<&Container>) -> Option<&'static str> {
    let in_container = inside.is_some_and(|found| found.runtime != "systemd");
    let known = RUNTIMES.contains(&comm) && !in_container;
    // What runc calls itself while it makes a container (libcontainer/nsenter/nsexec.c).
    let init = comm.starts_with(b"runc:[");
    (known || init || monitored(cgroup).is_some()).then_some(RUNTIME)
}

/// Whether a process watches over a container which only its arguments name.
pub(super) fn is_shim(comm: &[u8]) -> bool {
    matches!(comm, b"containerd-shim" | b"conmon")
}

/// The container that a monitor serves, by its own control group: `libpod-conmon-ID.scope`, `crio-conmon-ID.scope`,
/// `lxc.monitor.NAME`.
pub(super) fn monitored(cgroup: &str) -> Option<Container> {
    cgroup.split('/').rev().find_map(|part| {
        if let Some(name) = part.strip_prefix("lxc.monitor.").filter(|name| !name.is_empty()) {
            return Some(Container::named("lxc", name));
        }
        let (prefix, id) = part.strip_suffix(".scope").unwrap_or(part).rsplit_once("-conmon-")?;
        let runtime = match prefix {
            "libpod" => "podman",
            "crio" => "cri-o",
            _ => return None,
        };
        is_id(id).then(|| Container::new(runtime, id))
    })
}

/// The container that a shim serves, by its arguments; `None` when the process is gone.
pub(super) fn served(pid: u32) -> Option<Container> {
    by_arguments(&fs::read(format!("/proc/{pid}/cmdline")).ok()?)
}

/// containerd's shim has `-namespace` and `-id` (runtime/v2/shim/shim.go), which in Kubernetes is the pod's sandbox; conmon
/// has `-c` or `--cid`.
fn by_arguments(arguments: &[u8]) -> Option<Container> {
    let words: Vec<&str> = arguments.split(|byte| *byte == 0).map(|word| str::from_utf8(word).unwrap_or("")).collect();
    let after = |keys: &[&str]| {
        let at = words.iter().position(|word| keys.contains(word))?;
        words.get(at + 1).copied().filter(|word| !word.is_empty())
    };
    if words.first()?.ends_with("conmon") {
        return after(&["-c", "--cid"]).filter(|id| is_id(id)).map(|id| Container::new("unknown", id));
    }
    let (id, namespace) = (after(&["-id"])?, after(&["-namespace"])?);
    Some(match namespace {
        // dockerd's.
        "moby" => Container::new("docker", id),
        _ => Container { namespace: Some(namespace.into()), ..Container::new("containerd", id) },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: &str = "3f4a9c0f1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";

    #[test]
    fn runtimes_are_known_outside_of_containers() {
        let service = Container::from_cgroup("/system.slice/containerd.service").unwrap();
        let container = Container::new("docker", ID);
        for (comm, inside, is) in [
            (&b"containerd"[..], None, true),
            (b"containerd-shim", Some(&service), true),
            (b"kubelet", Some(&service), true),
            (b"containerd-shim", Some(&container), false),
            (b"runc:[2:INIT]", Some(&container), true),
            (b"nginx", Some(&service), false),
            (b"containerd-x", None, false),
        ] {
            assert_eq!(role(comm, "/", inside), is.then_some(RUNTIME), "{}", comm.escape_ascii());
        }
    }

    #[test]
    fn monitors_serve_the_container_that_their_group_names() {
        for (cgroup, runtime, id) in [
            (format!("/machine.slice/libpod-conmon-{ID}.scope"), "podman", ID),
            (format!("/machine.slice/crio-conmon-{ID}.scope"), "cri-o", ID),
            ("/lxc.monitor.web".into(), "lxc", "web"),
        ] {
            let found = monitored(&cgroup).unwrap();
            assert_eq!((found.runtime.as_str(), found.id.as_str()), (runtime, id));
            assert_eq!(role(b"x", &cgroup, None), Some(RUNTIME));
        }
        for cgroup in ["/", "/lxc.monitor.", "/machine.slice/libpod-conmon-short.scope", "/x-conmon-y.scope"] {
            assert_eq!(monitored(cgroup), None, "{cgroup}");
        }
    }

    #[test]
    fn shims_name_their_container_in_their_arguments() {
        let words = |text: &str| text.replace(' ', "\0").into_bytes();
        let shim =
            "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id web -address /run/containerd/containerd.sock";
        let found = by_arguments(&words(shim)).unwrap();
        assert_eq!(
            (found.runtime.as_str(), found.namespace.as_deref(), found.id.as_str()),
            ("containerd", Some("k8s.io"), "web")
        );
        assert_eq!(by_arguments(&words(&shim.replace("k8s.io", "moby"))).unwrap(), Container::new("docker", "web"));
        let conmon = format!("/usr/bin/conmon --api-version 1 -c {ID} -u {ID} -r /usr/bin/crun");
        assert_eq!(by_arguments(&words(&conmon)).unwrap(), Container::new("unknown", ID));
        for text in ["", "x", "containerd-shim -id", "containerd-shim -id x", "/usr/bin/conmon -c x"] {
            assert_eq!(by_arguments(&words(text)), None, "{text}");
        }
    }
}
