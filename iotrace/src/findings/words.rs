//! Words for evidence.

use crate::{
    output::{bytes, escape},
    view::top::Row,
};

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

/// A length of time in the unit that a person would use.
pub(super) fn span(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")];
    let (size, name) = UNITS.into_iter().find(|(size, _)| seconds >= 2.0 * size).unwrap_or((1.0, "seconds"));
    format!("{:.0} {name}", seconds / size)
}
