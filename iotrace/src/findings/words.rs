//! Words for evidence.

use crate::{
    output::{bytes, escape},
    view::top::Row,
};
use iotrace_common::write_sizes::{WriteSizes, most};

/// Who it is: `postgres (4711) in web-0/db`, and `containerd-shim (812) for web-0/db` for who serves it.
pub(super) fn who(row: &Row) -> String {
    let name = row.comm.as_ref().map_or_else(|| "?".into(), |comm| escape(comm.bytes()).into_owned());
    let pid = row.pid.map(|pid| format!(" ({pid})")).unwrap_or_default();
    let how = if row.role.is_some() { "for" } else { "in" };
    let container = row.container().map(|container| format!(" {how} {}", escape(container.label().as_bytes())));
    name + &pid + &container.unwrap_or_default()
}

/// The file as its process sees it.
pub(super) fn file(row: &Row) -> String {
    row.path.as_deref().map_or_else(|| "?".into(), |path| escape(path).into_owned())
}

/// The file where it lies on the host, when that is elsewhere.
pub(super) fn place(row: &Row) -> Option<String> {
    let host = row.host.as_ref().filter(|host| row.path.as_ref() != Some(&host.path))?;
    Some(format!("on the host: {}", escape(&host.path)))
}

/// Bytes per second.
pub(super) fn rate(per_second: f64) -> String {
    format!("{}/s", bytes(per_second as u64))
}

/// A part of 1 in per cent.
pub(super) fn per_cent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// Sizes that fewer writes have are not named, in parts of all.
const FEW: f64 = 0.01;

/// How large writes were: `sizes: 32-63B 98 %, 64-127B 2 %`.
pub(super) fn sizes(sizes: &WriteSizes) -> String {
    let all: u64 = sizes.counts.iter().sum();
    let parts = sizes.counts.iter().map(|count| *count as f64 / all.max(1) as f64);
    let named = parts.enumerate().filter(|(_, part)| *part >= FEW);
    let words: Vec<String> =
        named.map(|(class, part)| format!("{} {}", class_of_sizes(class), per_cent(part))).collect();
    format!("sizes: {}", words.join(", "))
}

/// The sizes of a class, in words.
fn class_of_sizes(class: usize) -> String {
    let (low, high) = (class.checked_sub(1).map_or(0, |below| most(below) + 1), most(class));
    match (low, high) {
        (0 | 1, _) => bytes(low),
        (_, u64::MAX) => format!("{} and more", bytes(low)),
        (_, 1024..) => format!("{}-{}", bytes(low), bytes(high + 1)),
        _ => format!("{low}-{high}B"),
    }
}

/// A length of time in the unit that a person would use.
pub(super) fn span(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")];
    let (size, name) = UNITS.into_iter().find(|(size, _)| seconds >= 2.0 * size).unwrap_or((1.0, "seconds"));
    format!("{:.0} {name}", seconds / size)
}

/// Most processes that are named one by one.
const OTHERS: usize = 5;

/// Other processes that do the same.
pub(super) fn others(pids: &[u32]) -> String {
    let named: Vec<String> = pids.iter().take(OTHERS).map(u32::to_string).collect();
    let more = if pids.len() > OTHERS { ", ..." } else { "" };
    format!("{} more do the same: {}{more}", pids.len(), named.join(", "))
}
