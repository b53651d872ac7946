#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    event::{Comm, process::Process},
    resolve::Container,
};
use globset::GlobBuilder;

const ID: &str = "3f4a9c0f1b2d3f4a9c0f1b2d3f4a9c0f1b2d3f4a9c0f1b2d3f4a9c0f1b2d5e6f";

/// A selection as `--path` makes it.
fn by_path(glob: &str) -> Selection {
    let path = GlobBuilder::new(glob).literal_separator(false).build().unwrap().compile_matcher();
    Selection { path: Some(path), ..Selection::default() }
}

fn process(cgroup: &str) -> ProcessInfo {
    let resident = Container::from_cgroup(cgroup).map(Into::into);
    let process =
        Process { pid: 1, ppid: 0, uid: 0, start_ns: 1, comm: Comm::default(), cgroup_id: 1, cgroup: cgroup.into() };
    ProcessInfo { process, resident, role: None }
}

#[test]
fn an_empty_selection_lets_everything_pass() {
    let all = Selection::default();
    assert!(all.is_empty() && !all.by_process());
    assert!(all.path(None) && all.path(Some(b"/a")));
    assert!(all.process(None) && all.process(Some(&process("/"))));
}

#[test]
fn each_filter_makes_a_selection() {
    let path = by_path("*");
    let container = Selection { container: Some("x".into()), ..Selection::default() };
    let cgroup = Selection { cgroup: Some("/".into()), ..Selection::default() };
    assert_eq!([&path, &container, &cgroup].map(Selection::is_empty), [false; 3]);
    assert_eq!([&path, &container, &cgroup].map(Selection::by_process), [false, true, true]);
}

#[test]
fn a_star_crosses_slashes() {
    for (glob, path, passes) in [
        ("*.log", "/var/log/app.log", true),
        ("/var/*", "/var/log/nginx/access.log", true),
        ("/var/**", "/var/log/app.log", true),
        ("/var/*.log", "/var/log/app.txt", false),
        ("/var/log", "/var/log/app.log", false),
        ("log", "/var/log", false),
        ("/var/lo?", "/var/log", true),
        ("/var/[!k-m]og", "/var/log", false),
        ("/tmp/f", "/tmp/f (deleted)", false),
        ("/tmp/f*", "/tmp/f (deleted)", true),
        ("*/app.log", "…/d/app.log", true),
        ("pipe:*", "pipe:[7]", true),
    ] {
        assert_eq!(by_path(glob).path(Some(path.as_bytes())), passes, "{glob} {path}");
    }
}

#[test]
fn a_star_matches_bytes_that_are_no_text() {
    for path in [&b"/tmp/\xff\xfe/x"[..], b"/tmp/new\nline/x", b"/tmp/\x1b[2J/x"] {
        assert!(by_path("/tmp/*/x").path(Some(path)));
        assert!(!by_path("/tmp/*/y").path(Some(path)));
    }
}

#[test]
fn what_has_no_path_passes_only_where_none_is_asked_for() {
    assert!(!by_path("*").path(None));
    assert!(Selection { cgroup: Some("/a".into()), ..Selection::default() }.path(None));
}

#[test]
fn a_control_group_contains_those_below_it_by_component() {
    for (wanted, of, passes) in [
        ("/system.slice", "/system.slice", true),
        ("/system.slice", "/system.slice/nginx.service", true),
        ("/system.slice/", "/system.slice/nginx.service", true),
        ("/system.slice/nginx.service", "/system.slice", false),
        ("/system", "/system.slice", false),
        ("/system.slice/nginx", "/system.slice/nginx.service", false),
        ("/nginx.service", "/system.slice/nginx.service", false),
        ("/", "/system.slice", true),
        ("/", "/", true),
    ] {
        let selection = Selection { cgroup: Some(wanted.into()), ..Selection::default() };
        assert_eq!(selection.process(Some(&process(of))), passes, "{wanted} {of}");
    }
}

#[test]
fn a_container_is_selected_by_id_prefix_or_unit() {
    let docker = process(&format!("/system.slice/docker-{ID}.scope"));
    let service = process("/system.slice/nginx.service");
    for (wanted, in_docker, in_service) in [
        (ID, true, false),
        ("3f4a9c0f1b2d", true, false),
        ("3f4", false, false),
        ("nginx", false, true),
        ("ngin", false, false),
    ] {
        let selection = Selection { container: Some(wanted.into()), ..Selection::default() };
        assert_eq!(selection.process(Some(&docker)), in_docker, "{wanted}");
        assert_eq!(selection.process(Some(&service)), in_service, "{wanted}");
        assert!(!selection.process(Some(&process("/"))), "{wanted}");
    }
}

#[test]
fn a_process_that_is_not_known_passes_no_filter_by_process() {
    for selection in [
        Selection { container: Some("nginx".into()), ..Selection::default() },
        Selection { cgroup: Some("/".into()), ..Selection::default() },
    ] {
        assert!(!selection.process(None));
    }
}

#[test]
fn all_filters_must_pass() {
    let selection =
        Selection { container: Some("nginx".into()), cgroup: Some("/system.slice".into()), ..Selection::default() };
    assert!(selection.process(Some(&process("/system.slice/nginx.service"))));
    assert!(!selection.process(Some(&process("/user.slice/nginx.service"))));
    assert!(!selection.process(Some(&process("/system.slice/cron.service"))));
}
