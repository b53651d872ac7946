#![allow(clippy::unwrap_used)]
//! Layouts as the runtimes write them, with all that does not matter left out.
use super::*;
use std::fs;
use tempfile::TempDir;

const ID: &str = "3f4a9c0f1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";
const UID: &str = "0d5a3b6c-7e8f-4a1b-9c2d-3e4f5a6b7c8d";

/// containerd's CRI plugin, 1.6.
const CRI: &str = r#"{"ociVersion":"1.0.2-dev","process":{"args":["nginx"]},"root":{"path":"rootfs"},
    "annotations":{"io.kubernetes.cri.container-name":"nginx","io.kubernetes.cri.container-type":"container",
    "io.kubernetes.cri.image-name":"docker.io/library/nginx:1.27","io.kubernetes.cri.sandbox-id":"1d","io.kubernetes.cri.sandbox-name":"web-0",
    "io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-uid":"0d5a3b6c-7e8f-4a1b-9c2d-3e4f5a6b7c8d"},
    "linux":{"cgroupsPath":"kubepods-besteffort-pod0d5a.slice:cri-containerd:3f4a"}}"#;
/// The same, of what holds the pod together.
const SANDBOX: &str = r#"{"ociVersion":"1.0.2-dev","hostname":"web-0","annotations":{"io.kubernetes.cri.container-type":"sandbox",
    "io.kubernetes.cri.sandbox-id":"1d","io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.sandbox-namespace":"shop"}}"#;
/// CRI-O 1.30.
const CRI_O: &str = r#"{"ociVersion":"1.2.0","annotations":{"io.container.manager":"cri-o","io.kubernetes.container.name":"nginx",
    "io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.ImageName":"docker.io/library/nginx:1.27",
    "io.kubernetes.cri-o.Image":"5ef79149e0ec84a7a9f9284c3f91aa3c20608f8391f5445eabe92ef07dbda03c","io.kubernetes.pod.name":"web-0",
    "io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.uid":"0d5a3b6c-7e8f-4a1b-9c2d-3e4f5a6b7c8d"}}"#;
/// Docker 27.
const DOCKER: &str = r#"{"StreamConfig":{},"State":{"Running":true,"Pid":4711},"ID":"3f4a","Name":"/web","Driver":"overlay2",
    "Config":{"Hostname":"3f4a9c0f1b2d","Image":"nginx:1.27","Labels":{"maintainer":"x"}},"MountPoints":{}}"#;
/// cri-dockerd.
const DOCKERSHIM: &str = r#"{"Name":"/k8s_nginx_web-0_shop_0d5a_0","Config":{"Image":"nginx@sha256:0","Labels":{
    "io.kubernetes.container.name":"nginx","io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"shop",
    "io.kubernetes.pod.uid":"0d5a3b6c-7e8f-4a1b-9c2d-3e4f5a6b7c8d"}}}"#;
/// The list of podman 4.
const PODMAN: &str = r#"[{"id":"00","names":["db"],"metadata":"{}"},
    {"id":"3f4a9c0f1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7","names":["web"],"image":"5ef7","layer":"9d",
    "metadata":"{\"image-name\":\"docker.io/library/nginx:1.27\",\"image-id\":\"5ef7\",\"name\":\"web\",\"created-at\":1795176000,\"mountlabel\":\"\"}",
    "created":"2026-11-20T12:00:00Z","flags":{"MountLabel":"","ProcessLabel":""}}]"#;
/// podman's bundle.
const LIBPOD: &str = r#"{"ociVersion":"1.1.0","hostname":"3f4a9c0f1b2d","annotations":{"io.container.manager":"libpod",
    "org.opencontainers.image.stopSignal":"15"}}"#;

fn host(files: &[(&str, &str)]) -> (TempDir, Runtimes) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = root.path().join(name.replace("{ID}", ID));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let runtimes = Runtimes::at(root.path().into());
    (root, runtimes)
}

/// What is found for a control group where these files are: runtime, name, image, pod, namespace.
fn found(cgroup: &str, files: &[(&str, &str)]) -> Option<[String; 5]> {
    let (_root, runtimes) = host(files);
    let cgroup = cgroup.replace("{ID}", ID).replace("{UID}", UID);
    let path = Container::from_cgroup(&cgroup).or_else(|| Container::possible(&cgroup)).unwrap();
    let named = runtimes.describe(&path, &cgroup)?;
    assert!(named.known && named.id == path.id, "{named:?}");
    let text = |field: Option<String>| field.unwrap_or_else(|| "-".into());
    Some([named.runtime.clone(), text(named.name), text(named.image), text(named.pod), text(named.namespace)])
}

#[track_caller]
fn assert_found(cgroup: &str, files: &[(&str, &str)], expected: &str) {
    assert_eq!(found(cgroup, files).map(|fields| fields.join(" ")).as_deref(), Some(expected), "{cgroup}");
}

const TASK: &str = "run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json";

#[test]
fn pods_of_containerd() {
    let web = "containerd nginx docker.io/library/nginx:1.27 web-0 shop";
    for cgroup in [
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0d5a3b6c_7e8f_4a1b_9c2d_3e4f5a6b7c8d.slice/cri-containerd-{ID}.scope",
        "/kubepods/besteffort/pod{UID}/{ID}",
        "/system.slice/containerd.service/kubepods-pod0d5a3b6c_7e8f_4a1b_9c2d_3e4f5a6b7c8d.slice:cri-containerd:{ID}",
        "/k8s.io/{ID}",
    ] {
        assert_found(cgroup, &[(TASK, CRI)], web);
        let k3s = TASK.replace("run/containerd", "run/k3s/containerd");
        assert_found(cgroup, &[(&k3s, CRI)], web);
    }
    assert_found("/kubepods/besteffort/pod{UID}/{ID}", &[(TASK, SANDBOX)], "containerd - - web-0 shop");
}

#[test]
fn a_container_of_ctr_is_named_by_its_id() {
    let file = |namespace: &str| format!("run/containerd/io.containerd.runtime.v2.task/{namespace}/web/config.json");
    assert_found("/default/web", &[(&file("default"), "{}")], "containerd web - - default");
    assert_found("/batch/web", &[(&file("batch"), r#"{"annotations":null}"#)], "containerd web - - batch");
    assert_eq!(found("/batch/web", &[(&file("default"), "{}")]), None, "a control group that is no container");
}

#[test]
fn a_container_of_nerdctl_has_its_name_in_an_annotation() {
    let spec = r#"{"annotations":{"nerdctl/name":"web","nerdctl/namespace":"default"}}"#;
    let file = "run/containerd/io.containerd.runtime.v2.task/default/{ID}/config.json";
    assert_found("/system.slice/nerdctl-{ID}.scope", &[(file, spec)], "containerd web - - default");
    assert_found("/default/{ID}", &[(file, "{}")], "containerd - - - default");
}

#[test]
fn containers_of_docker() {
    let file = "var/lib/docker/containers/{ID}/config.v2.json";
    for cgroup in ["/system.slice/docker-{ID}.scope", "/docker/{ID}", "/batch/{ID}"] {
        assert_found(cgroup, &[(file, DOCKER)], "docker web nginx:1.27 - -");
    }
    let configured = [
        ("etc/docker/daemon.json", r#"{"data-root":"/srv/docker"}"#),
        ("srv/docker/containers/{ID}/config.v2.json", DOCKER),
    ];
    assert_found("/docker/{ID}", &configured, "docker web nginx:1.27 - -");
    assert_found("/kubepods/pod{UID}/{ID}", &[(file, DOCKERSHIM)], "docker nginx nginx@sha256:0 web-0 shop");
}

#[test]
fn containers_of_cri_o() {
    let file = "run/containers/storage/overlay-containers/{ID}/userdata/config.json";
    for cgroup in [
        "/kubepods.slice/kubepods-pod0d5a3b6c_7e8f_4a1b_9c2d_3e4f5a6b7c8d.slice/crio-{ID}.scope",
        "/kubepods/pod{UID}/{ID}",
    ] {
        assert_found(cgroup, &[(file, CRI_O)], "cri-o nginx docker.io/library/nginx:1.27 web-0 shop");
    }
    let sandbox = CRI_O.replace(r#"name":"nginx""#, r#"name":"POD""#);
    assert_found("/x.slice/crio-{ID}.scope", &[(file, &sandbox)], "cri-o - docker.io/library/nginx:1.27 web-0 shop");
}

#[test]
fn containers_of_podman() {
    let bundle = "run/containers/storage/overlay-containers/{ID}/userdata/config.json";
    for list in ["containers.json", "volatile-containers.json"] {
        let list = format!("var/lib/containers/storage/overlay-containers/{list}");
        let files = [(bundle, LIBPOD), (list.as_str(), PODMAN)];
        assert_found(
            "/machine.slice/libpod-{ID}.scope/container",
            &files,
            "podman web docker.io/library/nginx:1.27 - -",
        );
        assert_found("/batch/{ID}", &files, "podman web docker.io/library/nginx:1.27 - -");
    }
}

#[test]
fn containers_of_a_users_podman() {
    let home = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(0)).unwrap().unwrap().dir;
    let home = home.strip_prefix("/").unwrap().to_str().unwrap().to_owned();
    let list = home + "/.local/share/containers/storage/overlay-containers/containers.json";
    let cgroup = "/user.slice/user-0.slice/user@0.service/user.slice/libpod-{ID}.scope";
    assert_found(cgroup, &[(&list, PODMAN)], "podman web docker.io/library/nginx:1.27 - -");
}

#[test]
fn what_cannot_be_read_gives_no_name() {
    for text in ["", "{", &CRI[..CRI.len() / 2], "[]", r#"{"annotations":7}"#, r#"{"annotations":{"x":7}}"#] {
        assert_eq!(found("/kubepods/pod{UID}/{ID}", &[(TASK, text)]), None, "{text}");
    }
    let cut = ("var/lib/docker/containers/{ID}/config.v2.json", &DOCKER[..30]);
    assert_eq!(found("/docker/{ID}", &[cut]), None);
    assert_eq!(found("/docker/{ID}", &[]), None);
    // Another container's names are not taken.
    let list = ("var/lib/containers/storage/overlay-containers/containers.json", &*PODMAN.replace("3f4a", "3f4b"));
    assert_eq!(found("/machine.slice/libpod-{ID}.scope", &[list]), None);
}

#[test]
fn no_id_leads_out_of_the_directories() {
    let (root, runtimes) = host(&[("run/containerd/io.containerd.runtime.v2.task/config.json", CRI)]);
    fs::create_dir_all(root.path().join("run/containerd/io.containerd.runtime.v2.task/default")).unwrap();
    for id in ["..", ".", ""] {
        let found = Container { runtime: "containerd".into(), id: id.into(), ..Container::default() };
        assert_eq!(runtimes.describe(&found, "/default/.."), None);
    }
}

#[test]
fn an_image_comes_from_containerds_database_where_the_bundle_has_none() {
    let (root, runtimes) = host(&[("run/containerd/io.containerd.runtime.v2.task/default/web/config.json", "{}")]);
    let image = |image: &[u8]| {
        let containers = bolt::tests::nested(&["v1", "default", "containers", "web"], "image", image);
        let file = root.path().join("var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, containers).unwrap();
        runtimes.describe(&Container::from_cgroup("/default/web").unwrap(), "/default/web").unwrap().image
    };
    assert_eq!(image(b"docker.io/library/nginx:1.27").as_deref(), Some("docker.io/library/nginx:1.27"));
    assert_eq!(image(b""), None);
    assert_eq!(image(b"\xff"), None, "no text");
    let other = runtimes.describe(&Container::from_cgroup("/k8s.io/web").unwrap(), "/k8s.io/web");
    assert_eq!(other, None, "another namespace");
}

#[test]
fn what_the_bundle_says_of_the_image_counts() {
    let (root, runtimes) = host(&[(TASK, CRI)]);
    let file = root.path().join("var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bolt::tests::nested(&["v1", "k8s.io", "containers", ID], "image", b"other")).unwrap();
    let cgroup = format!("/k8s.io/{ID}");
    let named = runtimes.describe(&Container::from_cgroup(&cgroup).unwrap(), &cgroup).unwrap();
    assert_eq!(named.image.as_deref(), Some("docker.io/library/nginx:1.27"));
}

#[test]
fn pods_of_podman_are_named_by_its_database() {
    let pod = ID.replace("3f4a", "0d5a");
    let annotated = LIBPOD.replace(
        r#""io.container.manager""#,
        &format!(r#""io.kubernetes.cri-o.SandboxID":"{pod}","io.container.manager""#),
    );
    let list = "var/lib/containers/storage/overlay-containers/containers.json";
    let files = [("run/containers/storage/overlay-containers/{ID}/userdata/config.json", &*annotated), (list, PODMAN)];
    let (root, runtimes) = host(&files);
    let cgroup = format!("/libpod_parent/libpod-{ID}");
    let describe = || runtimes.describe(&Container::from_cgroup(&cgroup).unwrap(), &cgroup).unwrap();
    let unnamed = describe();
    assert_eq!((unnamed.pod.as_deref(), unnamed.pod_uid.as_deref(), &*unnamed.label()), (Some(&*pod), None, "web"));
    let file = root.path().join("var/lib/containers/storage/libpod/bolt_state.db");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bolt::tests::nested(&["id-registry"], &pod, b"shop")).unwrap();
    let named = describe();
    assert_eq!(
        (named.pod.as_deref(), named.pod_uid.as_deref(), &*named.label()),
        (Some("shop"), Some(&*pod), "shop/web")
    );
    assert!(["shop", &pod, "web"].iter().all(|wanted| named.selected(wanted)));
}
