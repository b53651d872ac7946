//! opensnoop of libbpf-tools: the tracepoints of open, openat and openat2.

use super::{WORKLOAD, beside, tally};
use iotrace_tests::{
    harness::*,
    log::{Kind, Op},
    need,
};
use nix::errno::Errno;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names that opensnoop has room for.
const LONGEST: usize = 255;

/// Opens that opensnoop knows of.
fn is_seen(op: &Op) -> bool {
    op.kind == Kind::Open && matches!(op.call.as_str(), "open" | "openat" | "openat2")
}

fn fits(op: &Op) -> bool {
    op.name.as_ref().is_none_or(|name| name.len() < LONGEST)
}

fn key(pid: impl Into<u64>, fd: Option<i64>, errno: Option<String>, path: &str) -> String {
    format!("{} fd {fd:?} errno {errno:?} {path:?}", pid.into())
}

/// Opens of the log, each with the path that `path` gives it.
fn truth(scene: &Scene, only: impl Fn(&Op) -> bool, path: impl Fn(&Op) -> String) -> BTreeMap<String, u64> {
    let fd = |op: &Op| (op.ret >= 0).then_some(op.ret);
    let ops = scene.log().ops.into_iter().filter(|op| op.kind == Kind::Open && only(op));
    tally(ops.map(|op| (key(op.pid, fd(&op), op.errno_name(), &path(&op)), op.count)))
}

/// Rows that the log has, and all others of these processes about the directory.
fn ours(rows: Vec<(String, String)>, scene: &Scene, truth: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let is_ours = |key: &String, path: &str| truth.contains_key(key) || scene.holds(path.as_bytes());
    tally(rows.into_iter().filter(|(key, path)| is_ours(key, path)).map(|(key, _)| (key, 1)))
}

fn of_opensnoop(output: &str) -> Vec<(String, String)> {
    let errno = |number: i64| (number != 0).then(|| format!("{:?}", Errno::from_raw(number as i32)));
    let rows = Opened::all(output).into_iter().filter(|opened| opened.path.len() < LONGEST);
    rows.map(|opened| {
        let fd = (opened.fd >= 0).then_some(opened.fd);
        (key(opened.pid, fd, errno(opened.errno), &opened.path), opened.path)
    })
    .collect()
}

fn of_iotrace(rows: &[Value], field: &str) -> Vec<(String, String)> {
    let text = |event: &Value| event[field].as_str().unwrap_or_default().to_owned();
    let pid = |event: &Value| event["pid"].as_u64().unwrap();
    let opens = rows.iter().filter(|event| event["type"] == "open");
    opens
        .map(|event| (key(pid(event), event["fd"].as_i64(), errno_name(&event["errno"]), &text(event)), text(event)))
        .collect()
}

fn name(op: &Op) -> String {
    op.name.clone().unwrap_or_default()
}

fn path(op: &Op) -> String {
    op.path.clone().unwrap_or_default()
}

#[test]
fn opens_agree_in_name_descriptor_and_error() {
    need!(peers);
    let scene = Scene::new(WORKLOAD);
    let (run, output, _) = beside(("opensnoop", &[]), Iotrace::new("open").json(), &scene, ("opens", &[]));
    let seen = truth(&scene, |op| is_seen(op) && fits(op), name);
    assert_same(&ours(of_opensnoop(&output), &scene, &seen), &seen);
    // iotrace has these, by what was asked for, and those that opensnoop does not know of.
    let names = truth(&scene, |op| op.name.is_some(), name);
    assert_same(&ours(of_iotrace(&run.rows, "name"), &scene, &names), &names);
    let paths = truth(&scene, |_| true, path);
    assert_same(&ours(of_iotrace(&run.rows, "path"), &scene, &paths), &paths);
    let other = |call: &str| scene.log().count(|op| op.call == call);
    assert!(other("creat") >= 7 && other("open_by_handle_at") >= 3);
    assert!(!seen.keys().any(|key| key.contains("open_by_handle_at")));
}

#[test]
fn iotrace_is_right_about_full_paths() {
    need!(peers);
    let scene = Scene::new(WORKLOAD);
    let (run, output, _) = beside(("opensnoop", &["-F"]), Iotrace::new("open").json(), &scene, ("opens", &[]));
    let paths = truth(&scene, |_| true, path);
    assert_same(&ours(of_iotrace(&run.rows, "path"), &scene, &paths), &paths);
    // opensnoop puts the working directory before each relative name, also before those that are relative to a descriptor,
    // and shows what an absolute name was in the process's own root.
    let main = scene.log().end.end;
    let (inside, root) = (scene.dir().join("sub"), scene.dir().join("root/etc"));
    let joined = |op: &Op| match op.name.as_deref() {
        Some(name) if name.starts_with('/') => name.to_owned(),
        name => {
            let dir = if op.pid == main { &inside } else { &root };
            format!("{}/{}", dir.display(), name.unwrap_or_default())
        }
    };
    let seen = truth(&scene, |op| is_seen(op) && fits(op), joined);
    assert_same(&ours(of_opensnoop(&output), &scene, &seen), &seen);
    let wrong = scene.log().count(|op| is_seen(op) && fits(op) && op.name.is_some() && joined(op) != path(op));
    assert!(wrong > 30, "{wrong}");
}

#[test]
fn opensnoop_does_not_tell_what_it_lost() {
    need!(peers);
    share_one_processor();
    let scene = Scene::new(WORKLOAD);
    let peer = Peer::start("opensnoop", &[]);
    peer.signal(libc::SIGSTOP);
    let run = Iotrace::new("open").json().program(scene.command("opens", &[])).run().complete();
    peer.signal(libc::SIGCONT);
    let (output, errors) = peer.interrupt();
    let paths = truth(&scene, |_| true, path);
    assert_same(&ours(of_iotrace(&run.rows, "path"), &scene, &paths), &paths);
    let seen = truth(&scene, |op| is_seen(op) && fits(op), name);
    let (got, all) = (ours(of_opensnoop(&output), &scene, &seen).values().sum::<u64>(), seen.values().sum::<u64>());
    assert!(got < all, "{got} of {all}");
    assert!(!output.contains("lost") && errors.is_empty(), "{errors}");
}
