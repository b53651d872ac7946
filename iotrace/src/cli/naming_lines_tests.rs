#![allow(clippy::unwrap_used)]
use super::*;
use crate::cli::{
    form::Form,
    lines::tests::{APP, DIRECTORY, NGINX, task, world},
    options::Output,
};
use globset::Glob;
use serde_json::{Value, json};

fn spot(name: &[u8]) -> Spot {
    Spot { base: DIRECTORY, directory: 1, name: Some(name.to_vec()) }
}

fn rename(pid: u32) -> Naming {
    Naming {
        change: Change::Rename,
        call: "renameat2",
        begin_ns: 1_234_567_890,
        latency_ns: 9_000,
        task: task(pid, b"worker"),
        name: spot(b"conf.tmp"),
        other: Some(spot(b"conf\xff")),
        namespace: 1,
        result: Ok(0),
        flags: 3,
    }
}

fn lines(naming: &Naming, glob: Option<&str>) -> Vec<Value> {
    let mut world = world(Form::new(&Output { json: true, ..Output::default() }));
    world.selection.path = glob.map(|glob| Glob::new(glob).unwrap().compile_matcher());
    let mut out = Vec::new();
    naming_line(naming, &mut world, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_rename_has_both_paths_and_its_flags() {
    let line = &lines(&rename(APP), None)[0];
    assert_eq!((&line["type"], &line["path"]), (&json!("rename"), &json!("/etc/conf.tmp")));
    assert_eq!((&line["new_path"], &line["new_path_bytes"]), (&json!("/etc/conf\u{fffd}"), &json!("L2V0Yy9jb25m/w==")));
    assert_eq!(line["flags"], json!(["RENAME_NOREPLACE", "RENAME_EXCHANGE"]));
    assert_eq!((&line["ino"], &line["dev"]), (&Value::Null, &json!("254:1")));
}

#[test]
fn an_unlink_has_one_path() {
    let unlink = Naming {
        change: Change::Unlink,
        call: "unlinkat",
        other: None,
        result: Err(21),
        flags: libc::AT_REMOVEDIR as u32,
        ..rename(NGINX)
    };
    let line = &lines(&unlink, None)[0];
    assert_eq!(
        (&line["new_path"], &line["errno"], &line["flags"]),
        (&Value::Null, &json!("EISDIR"), &json!(["AT_REMOVEDIR"]))
    );
}

#[test]
fn either_path_passes_the_selection() {
    for (glob, passes) in [("/etc/*.tmp", 1), ("/etc/conf?", 1), ("/var/*", 0)] {
        assert_eq!(lines(&rename(APP), Some(glob)).len(), passes, "{glob}");
    }
}
