#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// 64 hexadecimal digits.
const ID: &str = "3f4a9c0f1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";
const OUTER: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const BUILD: &str = "k9x2m4p7q1r8s5t3u6v0wayzb";
const UID: &str = "0d5a3b6c-7e8f-4a1b-9c2d-3e4f5a6b7c8d";
const UID_: &str = "0d5a3b6c_7e8f_4a1b_9c2d_3e4f5a6b7c8d";

/// A path where `{ID}` and the like stand for the constants.
fn fill(text: &str) -> String {
    [("{ID}", ID), ("{OUTER}", OUTER), ("{BUILD}", BUILD), ("{UID}", UID), ("{UID_}", UID_)]
        .iter()
        .fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
}

/// (path, runtime, id, pod, namespace, unit); an empty text stands for none.
const CONTAINERS: &[(&str, &str, &str, &str, &str, &str)] = &[
    // docker: systemd driver, cgroupfs driver, systemd inside, a parent of its own, ECS
    ("/system.slice/docker-{ID}.scope", "docker", "{ID}", "", "", ""),
    ("/docker/{ID}", "docker", "{ID}", "", "", ""),
    ("/docker/{ID}/init.scope", "docker", "{ID}", "", "", ""),
    ("/docker/{ID}/system.slice/nginx.service", "docker", "{ID}", "", "", "nginx.service"),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope", "docker", "{ID}", "", "", ""),
    ("/ecs/0123456789abcdef0123456789abcdef/{ID}", "docker", "{ID}", "", "", ""),
    ("/batch/{ID}", "unknown", "{ID}", "", "", ""),
    // docker build
    ("/system.slice/docker-{BUILD}.scope", "buildkit", "{BUILD}", "", "", ""),
    ("/docker/buildkit/{BUILD}", "buildkit", "{BUILD}", "", "", ""),
    ("/buildkit/{BUILD}", "buildkit", "{BUILD}", "", "", ""),
    // Kubernetes: systemd driver with each runtime, guaranteed and other classes of service
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope",
        "containerd",
        "{ID}",
        "{UID}",
        "",
        "",
    ),
    ("/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope", "cri-o", "{ID}", "{UID}", "", ""),
    ("/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope/container", "cri-o", "{ID}", "{UID}", "", ""),
    ("/kubepods.slice/kubepods-pod{UID_}.slice/docker-{ID}.scope", "docker", "{ID}", "{UID}", "", ""),
    // cgroupfs driver; a pod from a file on the node
    ("/kubepods/besteffort/pod{UID}/{ID}", "kubernetes", "{ID}", "{UID}", "", ""),
    ("/kubepods/pod{UID}/{ID}", "kubernetes", "{ID}", "{UID}", "", ""),
    (
        "/kubepods/burstable/pod4a2fe0ca2b3ea3b7b6aeb9d7d2ea4e0a/{ID}",
        "kubernetes",
        "{ID}",
        "4a2fe0ca2b3ea3b7b6aeb9d7d2ea4e0a",
        "",
        "",
    ),
    ("/kubepods/burstable/pod{UID}/kata_{ID}", "kata", "{ID}", "{UID}", "", ""),
    // drivers of kubelet and containerd that differ
    ("/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}", "containerd", "{ID}", "{UID}", "", ""),
    (
        "/system.slice/containerd.service/kubepods-besteffort-pod{UID_}.slice:cri-containerd:{ID}",
        "containerd",
        "{ID}",
        "{UID}",
        "",
        "",
    ),
    ("/system.slice/containerd.service/kubepods/pod{UID}/{ID}", "kubernetes", "{ID}", "{UID}", "", ""),
    // kind: a node that is a docker container; its containerd, its kubelet, its pods
    ("/docker/{OUTER}/system.slice/containerd.service", "docker", "{OUTER}", "", "", "containerd.service"),
    ("/docker/{OUTER}/kubelet.slice/kubelet.service", "docker", "{OUTER}", "", "", "kubelet.service"),
    (
        "/docker/{OUTER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope",
        "containerd",
        "{ID}",
        "{UID}",
        "",
        "",
    ),
    ("/docker/{OUTER}/kubelet/kubepods/burstable/pod{UID}/{ID}", "kubernetes", "{ID}", "{UID}", "", ""),
    ("/docker/{OUTER}/docker/{ID}", "docker", "{ID}", "", "", ""),
    // seen from within a cgroup namespace
    ("/../../kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope", "containerd", "{ID}", "{UID}", "", ""),
    // containerd: ctr, nerdctl
    ("/default/{ID}", "containerd", "{ID}", "", "default", ""),
    ("/default/redis", "containerd", "redis", "", "default", ""),
    ("/k8s.io/{ID}", "containerd", "{ID}", "", "k8s.io", ""),
    ("/default/{ID}/system.slice/cron.service", "containerd", "{ID}", "", "default", "cron.service"),
    ("/system.slice/nerdctl-{ID}.scope", "containerd", "{ID}", "", "", ""),
    // podman: root, rootless, in a pod, quadlet
    ("/machine.slice/libpod-{ID}.scope", "podman", "{ID}", "", "", ""),
    ("/machine.slice/libpod-{ID}.scope/container", "podman", "{ID}", "", "", ""),
    ("/machine.slice/libpod-{ID}.scope/container/system.slice/a.service", "podman", "{ID}", "", "", "a.service"),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", "podman", "{ID}", "", "", ""),
    ("/machine.slice/machine-libpod_pod_{OUTER}.slice/libpod-{ID}.scope", "podman", "{ID}", "{OUTER}", "", ""),
    ("/libpod_parent/libpod-{ID}", "podman", "{ID}", "", "", ""),
    ("/system.slice/web.service/libpod-payload-{ID}", "podman", "{ID}", "", "", "web.service"),
    // systemd services
    ("/system.slice/nginx.service", "systemd", "nginx.service", "", "", "nginx.service"),
    ("/system.slice/containerd.service", "systemd", "containerd.service", "", "", "containerd.service"),
    ("/runtime.slice/containerd.service", "systemd", "containerd.service", "", "", "containerd.service"),
    (
        "/system.slice/system-getty.slice/getty@tty1.service",
        "systemd",
        "getty@tty1.service",
        "",
        "",
        "getty@tty1.service",
    ),
    ("/system.slice/systemd-udevd.service/udev", "systemd", "systemd-udevd.service", "", "", "systemd-udevd.service"),
    (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service",
        "systemd",
        "backup.service",
        "",
        "",
        "backup.service",
    ),
];

#[test]
fn every_known_form_of_path() {
    let some = |text: &str| Some(fill(text)).filter(|text| !text.is_empty());
    for (path, runtime, id, pod, namespace, unit) in CONTAINERS {
        let expected = Container {
            pod: some(pod),
            namespace: some(namespace),
            unit: some(unit),
            ..Container::new(runtime, &fill(id))
        };
        assert_eq!(Container::from_cgroup(&fill(path)), Some(expected), "{path}");
    }
}

#[test]
fn lxc_and_machines_are_known_by_name() {
    for (path, runtime, name, unit) in [
        ("/lxc.payload.web", "lxc", "web", None),
        ("/lxc.payload.web-1/system.slice/mysql.service", "lxc", "web-1", Some("mysql.service")),
        ("/lxc/101/ns/init.scope", "lxc", "101", None),
        ("/machine.slice/machine-web.scope", "machine", "web", None),
        ("/machine.slice/machine-qemu\\x2d3\\x2ddb.scope/libvirt/emulator", "machine", "qemu-3-db", None),
        ("/machine.slice/systemd-nspawn@web.service/payload", "machine", "web", Some("systemd-nspawn@web.service")),
    ] {
        let expected = Container { unit: unit.map(Into::into), ..Container::named(runtime, name) };
        assert_eq!(Container::from_cgroup(path), Some(expected), "{path}");
    }
    let nested = Container::from_cgroup(&fill("/lxc.payload.web/docker/{ID}")).unwrap();
    assert_eq!((nested.runtime.as_str(), nested.id.as_str()), ("docker", ID));
}

#[test]
fn what_is_no_container() {
    for path in [
        "",
        "/",
        "/init.scope",
        "/user.slice/user-1000.slice/session-3.scope",
        "/user.slice/user-1000.slice/user@1000.service/init.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4711.scope",
        "/system.slice",
        "/system.slice/run-r0123456789abcdef.scope",
        "/system.slice/boot.mount",
        "/docker",
        "/kubepods.slice/kubepods-burstable.slice",
        "/kubepods/burstable/pod{UID}",
        "/kata_overhead/{ID}",
        "/machine.slice/libpod-conmon-{ID}.scope",
        "/machine.slice/crio-conmon-{ID}.scope",
        "/lxc.monitor.web",
        "/lxc.payload.",
        "/process_api/0123456789abcdef0123456789abcdef",
        "/docker/short",
        "/system.slice/docker-desktop.scope",
        "/.service",
        "/..",
    ] {
        assert_eq!(Container::from_cgroup(&fill(path)), None, "{path}");
    }
}

#[test]
fn selected_by_name_id_prefix_unit_or_pod() {
    let container = Container {
        name: Some("web".into()),
        pod: Some("web-7d9f".into()),
        unit: Some("nginx.service".into()),
        ..Container::new("docker", ID)
    };
    for wanted in ["web", "web-7d9f", "nginx.service", "nginx", ID, "3f4a", "3f4a9c0f1b2d"] {
        assert!(container.selected(wanted), "{wanted}");
    }
    for wanted in ["", "w", "we", "3f4", "9c0f", "nginx.", "docker", "3f4b"] {
        assert!(!container.selected(wanted), "{wanted}");
    }
    let service = Container::from_cgroup("/system.slice/crond.service").unwrap();
    assert!(service.selected("crond") && service.selected("crond.service") && !service.selected("cron"));
}

#[test]
fn pods_are_selected_by_name_uid_and_with_their_namespace() {
    let container = Container {
        name: Some("nginx".into()),
        pod: Some("web-0".into()),
        pod_uid: Some(UID.into()),
        namespace: Some("shop".into()),
        ..Container::new("containerd", ID)
    };
    for wanted in ["nginx", "web-0", UID, "shop/web-0"] {
        assert!(container.selected(wanted), "{wanted}");
    }
    for wanted in ["shop", "shop/nginx", "default/web-0", "shop/web-0/nginx", "web", "0d5a"] {
        assert!(!container.selected(wanted), "{wanted}");
    }
}

#[test]
fn how_a_table_shows_it() {
    let unknown = Container::new("docker", ID);
    let nameless = Container { known: true, ..unknown.clone() };
    let named = Container { name: Some("web".into()), ..nameless.clone() };
    let pod = Container { pod: Some("web-0".into()), pod_uid: Some(UID.into()), ..nameless.clone() };
    let in_pod = Container { name: Some("nginx".into()), ..pod.clone() };
    let uid_only = Container { pod: Some(UID.into()), ..unknown.clone() };
    let service = Container::from_cgroup("/system.slice/a-long-name-of-a-unit.service").unwrap();
    for (container, shown) in [
        (unknown, "?3f4a9c0f1b2d"),
        (nameless, "3f4a9c0f1b2d"),
        (named, "web"),
        (pod, "web-0"),
        (in_pod, "web-0/nginx"),
        (uid_only, "?3f4a9c0f1b2d"),
        (service, "a-long-name-of-a-unit.service"),
        (Container::named("lxc", "101"), "101"),
    ] {
        assert_eq!(container.label(), shown, "{container:?}");
    }
}

#[test]
fn what_may_be_a_container_of_containerd() {
    for (path, namespace, id) in [("/batch/web", "batch", "web"), ("/batch/web/init.scope", "batch", "web")] {
        let found = Container::possible(path).unwrap();
        assert_eq!((found.namespace.as_deref(), found.id.as_str()), (Some(namespace), id));
    }
    for path in ["/", "/batch", "/user.slice/x", "/batch/x.service", "/batch/x.scope", "/../x", "/x/..", "//x", ""] {
        assert_eq!(Container::possible(path), None, "{path}");
    }
}

#[test]
fn json_has_every_key_in_order() {
    let json = serde_json::to_string(&Container::new("docker", "x")).unwrap();
    assert_eq!(
        json,
        r#"{"runtime":"docker","id":"x","name":null,"image":null,"pod":null,"namespace":null,"unit":null}"#
    );
}

#[test]
fn escaped_names_of_units() {
    for (escaped, name) in
        [("a\\x2db", "a-b"), ("\\x2", "\\x2"), ("\\xzz", "\\xzz"), ("\\xc3\\xa9", "é"), ("\\x+1", "\\x+1")]
    {
        assert_eq!(unescape(escaped), name);
    }
}

proptest! {
    #[test]
    fn any_path_is_read_without_panic(path in "[/a-f0-9:.@_\\\\x\\-é]{0,40}(\\.scope|\\.service|\\.slice)?") {
        let _ = Container::from_cgroup(&path);
    }
}
