//! Events of `iotrace events` against the log.

use super::{Scene, assert_same, errno_name, path_of, process_and_path, process_and_path_of_row};
use crate::log::{Kind, Log, Op};
use serde_json::Value;
use std::collections::BTreeMap;

fn of_op(op: &Op, offsets: bool) -> String {
    let number = |number: Option<u64>| number.map_or("null".to_owned(), |number| number.to_string());
    let (kind, errno) = (op.kind.name(), op.errno_name().unwrap_or_default());
    let moved = if matches!(op.kind, Kind::Fsync | Kind::Open) {
        String::new()
    } else {
        format!("requested {} bytes {}", number(op.requested), op.bytes())
    };
    let at = if offsets { format!("offset {}", number(op.offset)) } else { String::new() };
    let who = process_and_path(op);
    format!("{kind} {} tid {} uid {} {} {moved} {at} {errno} {who}", op.call, op.tid, op.uid, op.comm)
}

fn of_event(event: &Value, offsets: bool) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("no {name} in {event}"));
    let (kind, errno) = (text("type"), errno_name(&event["errno"]).unwrap_or_default());
    let moved = if kind == "fsync" || kind == "open" {
        String::new()
    } else {
        format!("requested {} bytes {}", event["requested"], event["bytes"])
    };
    let at = if offsets { format!("offset {}", event["offset"]) } else { String::new() };
    let (tid, uid, who) = (&event["tid"], &event["uid"], process_and_path_of_row(event));
    format!("{kind} {} tid {tid} uid {uid} {} {moved} {at} {errno} {who}", text("call"), text("comm"))
}

/// Fails unless the events are those of the log that `matches` picks, one for each operation. Block requests, page faults and names
/// are another matter.
#[track_caller]
pub fn assert_events(scene: &Scene, log: &Log, events: &[Value], matches: impl Fn(&Op) -> bool) {
    compare(scene, log, events, false, matches);
}

/// The same with offsets, for a scenario that notes them.
#[track_caller]
pub fn assert_events_at(scene: &Scene, log: &Log, events: &[Value], matches: impl Fn(&Op) -> bool) {
    compare(scene, log, events, true, matches);
}

#[track_caller]
fn compare(scene: &Scene, log: &Log, events: &[Value], offsets: bool, matches: impl Fn(&Op) -> bool) {
    let apart = [Kind::MmapRead, Kind::MmapWrite, Kind::Unlink, Kind::Rename, Kind::Link, Kind::Life];
    let mut truth = BTreeMap::<String, u64>::new();
    for op in log.ops.iter().filter(|op| matches(op) && !apart.contains(&op.kind)) {
        *truth.entry(of_op(op, offsets)).or_default() += op.count;
    }
    let mut seen = BTreeMap::<String, u64>::new();
    let is_apart = |event: &Value| event["type"] == "block" || apart.iter().any(|kind| event["type"] == kind.name());
    for event in events.iter().filter(|event| !is_apart(event)) {
        let key = of_event(event, offsets);
        if truth.contains_key(&key) || path_of(event).is_some_and(|path| scene.holds(&path)) {
            *seen.entry(key).or_default() += 1;
        }
    }
    assert_same(&seen, &truth);
}
