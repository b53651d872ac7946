//! Containers and services by the path of a control group.
//!
//! The path is all that the kernel tells, and enough for runtime and id: every runtime and every cgroup driver has its
//! own form, see the table in the tests. Names and images come from the runtime's own files: see [`super::Runtimes`].

use schemars::JsonSchema;
use serde::Serialize;

/// What a process runs in: a container, a machine, a systemd service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Container {
    /// `docker`, `containerd`, `cri-o`, `podman`, `buildkit`, `kata`, `lxc`, `machine` (systemd-nspawn, libvirt),
    /// `systemd`; `kubernetes` or `unknown` where the path does not tell which runtime it was.
    pub runtime: String,
    /// The runtime's id; the name for lxc and machine, the unit for systemd.
    pub id: String,
    /// Name given by people.
    pub name: Option<String>,
    /// Image it was started from.
    pub image: Option<String>,
    /// Pod: its name, or its uid (podman: id) as long as only that is known.
    pub pod: Option<String>,
    /// Kubernetes namespace of the pod; without a pod, containerd's namespace.
    pub namespace: Option<String>,
    /// systemd service: the one inside the container, or the one that is the container.
    pub unit: Option<String>,
    /// Uid of the pod, where `pod` is its name.
    #[serde(skip)]
    pub pod_uid: Option<String>,
    /// The runtime's files were read: what is `None` has no value.
    #[serde(skip)]
    pub known: bool,
}

/// Namespaces that containerd's users give it: ctr and nerdctl, kubelet, dockerd, buildkitd.
const NAMESPACES: [&str; 4] = ["default", "k8s.io", "moby", "buildkit"];
/// Fewest characters of an id that may stand for it.
const ID_PREFIX_MIN: usize = 4;
/// Characters of an id that are shown where there is no name.
const ID_SHOWN: usize = 12;

impl Container {
    /// The innermost container in a control group's path, else the innermost systemd service, else `None`.
    ///
    /// A runtime's helpers (conmon, LXC's monitor) are not in the container they serve, and login sessions and other
    /// scopes are no containers.
    #[must_use]
    pub fn from_cgroup(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let innermost = parts.iter().enumerate().rev().find_map(|(at, part)| {
            let (above, below) = (parts.get(..at)?, parts.get(at + 1..)?);
            Some((at, by_name(part, above).or_else(|| by_place(part, above, below.is_empty()))?))
        });
        let Some((at, mut found)) = innermost else {
            let unit = parts.iter().rev().find_map(|part| service(part))?;
            return Some(Self {
                runtime: "systemd".into(),
                id: unit.into(),
                unit: Some(unit.into()),
                ..Self::default()
            });
        };
        let (above, inside) = parts.split_at(at);
        // A quadlet's container lies within the service that is the container.
        let quadlet = above.last().filter(|_| found.runtime == "podman").and_then(|part| service(part));
        let unit = inside.iter().rev().find_map(|part| service(part)).or(quadlet);
        found.unit = unit.map(Into::into);
        found.pod = inside.iter().take(1).chain(above.iter().rev()).find_map(|part| pod(part));
        Some(found)
    }

    /// What may be a container of containerd in a namespace that is not one of the usual ones: only its files can tell.
    #[must_use]
    pub fn possible(path: &str) -> Option<Self> {
        let (namespace, id) = path.strip_prefix('/')?.split_once('/')?;
        let (id, _inside) = id.split_once('/').unwrap_or((id, ""));
        let unit = |part: &str| [".slice", ".scope", ".service"].iter().any(|suffix| part.ends_with(suffix));
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !unit(part);
        let container = || Self { namespace: Some(namespace.into()), ..Self::new("containerd", id) };
        (plain(namespace) && plain(id)).then(container)
    }

    /// Whether its runtime has files that tell more.
    #[must_use]
    pub fn has_files(&self) -> bool {
        !matches!(self.runtime.as_str(), "systemd" | "lxc" | "machine" | "buildkit")
    }

    /// Whether no other container ever has the same id.
    #[must_use]
    pub fn has_unique_id(&self) -> bool {
        is_id(&self.id)
    }

    /// How a table shows it: `POD/NAME` in a pod, else the name, else the first 12 characters of the id, with `?` before
    /// them where it may have a name that is not known.
    #[must_use]
    pub fn label(&self) -> String {
        let short = || {
            let length = if is_id(&self.id) { ID_SHOWN } else { usize::MAX };
            let id: String = self.id.chars().take(length).collect();
            if self.known || !self.has_files() { id } else { format!("?{id}") }
        };
        match (&self.pod, &self.name) {
            (Some(pod), Some(name)) if self.pod_uid.is_some() => format!("{pod}/{name}"),
            (_, Some(name)) => name.clone(),
            (Some(pod), None) if self.pod_uid.is_some() => pod.clone(),
            _ => short(),
        }
    }

    /// Whether `--container wanted` means this one: its name, unit (with or without `.service`), pod (by name, uid or
    /// `NAMESPACE/POD`), its id, or at least four characters that a hexadecimal id begins with.
    #[must_use]
    pub fn selected(&self, wanted: &str) -> bool {
        let is = |field: &Option<String>| field.as_deref() == Some(wanted);
        let unit = self.unit.as_deref().and_then(|unit| unit.strip_suffix(".service"));
        // Only ids that mean nothing are cut short: "cron" must not select crond.service.
        let prefix = wanted.len() >= ID_PREFIX_MIN && is_id(&self.id) && self.id.starts_with(wanted);
        let pod = self
            .namespace
            .as_deref()
            .zip(self.pod.as_deref())
            .is_some_and(|(namespace, pod)| wanted.split_once('/') == Some((namespace, pod)));
        let named = is(&self.name) || is(&self.pod) || is(&self.pod_uid) || is(&self.unit);
        self.id == wanted || prefix || named || pod || unit == Some(wanted)
    }

    pub(super) fn new(runtime: &str, id: &str) -> Self {
        Self { runtime: runtime.into(), id: id.into(), ..Self::default() }
    }

    /// A container whose id is the name that people gave it.
    pub(super) fn named(runtime: &str, name: &str) -> Self {
        Self { name: Some(name.into()), ..Self::new(runtime, name) }
    }
}

/// A container whose part of the path says itself what it is.
fn by_name(part: &str, above: &[&str]) -> Option<Container> {
    // runc's SLICE:PREFIX:ID, taken for a path where the drivers of kubelet and runtime differ.
    if let Some((prefix, id)) = part.rsplit_once(':') {
        let prefix = prefix.rsplit_once(':').map_or(prefix, |(_, prefix)| prefix);
        return is_id(id).then(|| Container::new(runtime(prefix).unwrap_or("unknown"), id));
    }
    if let Some(name) = part.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return Some(Container::named("lxc", name));
    }
    let scope = part.strip_suffix(".scope");
    if let Some((prefix, id)) = scope.unwrap_or(part).rsplit_once(['-', '_']) {
        // A step of a docker build has an id of 25 characters.
        let build = prefix == "docker" && scope.is_some() && is_build_id(id);
        if (is_id(id) || build)
            && let Some(runtime) = runtime(prefix)
        {
            return Some(Container::new(if build { "buildkit" } else { runtime }, id));
        }
    }
    let machine = scope.and_then(|scope| scope.strip_prefix("machine-"));
    let nspawn = part.strip_prefix("systemd-nspawn@").and_then(|unit| unit.strip_suffix(".service"));
    // A user's systemd has machines elsewhere than in machine.slice; only there the name is a registered one's.
    let name = machine.filter(|_| above.last() == Some(&"machine.slice")).or(nspawn).filter(|name| !name.is_empty())?;
    Some(Container::named("machine", &unescape(name)))
}

/// A container whose part of the path is only its id, told by what lies above it.
fn by_place(part: &str, above: &[&str], leaf: bool) -> Option<Container> {
    let under = |name: &str| above.contains(&name);
    let parent = above.last().copied().unwrap_or_default();
    if parent == "buildkit" && is_build_id(part) {
        return Some(Container::new("buildkit", part));
    }
    if let &[namespace] = above {
        if NAMESPACES.contains(&namespace) && (leaf || is_id(part)) && service(part).is_none() {
            return Some(Container { namespace: Some(namespace.into()), ..Container::new("containerd", part) });
        }
        if namespace == "lxc" {
            return Some(Container::named("lxc", part));
        }
    }
    if !is_id(part) {
        return None;
    }
    let runtime = match parent {
        // ECS puts docker's containers into groups of its tasks.
        "docker" => "docker",
        _ if under("ecs") => "docker",
        "kata_overhead" => return None,
        _ if above.iter().any(|part| part.starts_with("kubepods") || part.starts_with("kubelet-kubepods")) => {
            "kubernetes"
        }
        _ => "unknown",
    };
    Some(Container::new(runtime, part))
}

/// The runtime that puts this before an id.
fn runtime(prefix: &str) -> Option<&'static str> {
    Some(match prefix {
        "docker" => "docker",
        "cri-containerd" | "containerd" | "nerdctl" => "containerd",
        "crio" => "cri-o",
        "libpod" | "libpod-payload" => "podman",
        "kata" => "kata",
        _ => return None,
    })
}

/// Ids of all runtimes that make them up: 64 hexadecimal digits.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// buildkit's ids: 25 digits in base 36.
fn is_build_id(text: &str) -> bool {
    text.len() == 25 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z'))
}

/// A systemd service's part of the path. A user's whole systemd (`user@1000.service`) is none: what runs there outside
/// of its services belongs to login sessions.
fn service(part: &str) -> Option<&str> {
    let name = part.strip_suffix(".service")?;
    (!name.is_empty() && !name.starts_with("user@") && !part.contains(':')).then_some(part)
}

/// The uid in a pod's part of the path: `podUID`, `kubepods-burstable-podUID.slice` (where `_` stands for `-`), or
/// podman's `machine-libpod_pod_ID.slice`.
fn pod(part: &str) -> Option<String> {
    let first = part.split(':').next()?;
    let slice = first.strip_suffix(".slice");
    if let Some((_, id)) = slice.unwrap_or(first).rsplit_once("libpod_pod_") {
        return is_id(id).then(|| id.into());
    }
    let uid = match slice {
        Some(slice) if slice.contains("kubepods") => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        Some(_) => return None,
        None => first.strip_prefix("pod")?.to_owned(),
    };
    // A pod's uid is a UUID; one from a file on the node has 32 digits.
    let digits = uid.bytes().filter(|byte| *byte != b'-').count();
    (digits == 32 && uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())).then_some(uid)
}

/// A unit's name as it was before systemd escaped it: `qemu\x2d1\x2dweb` is `qemu-1-web`.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = rest.strip_prefix(b"\\x").and_then(|tail| tail.split_at_checked(2));
        let byte = code.and_then(|(code, tail)| Some((hexadecimal(code)?, tail)));
        let (byte, tail) = byte.unwrap_or((first, tail));
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    // from_str_radix would take a sign as well.
    let text = str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
