//! Copy-ups to JSON lines.

use crate::{
    cli::{
        command::World,
        host::OnHost,
        lines::{errno, head, place, selected},
    },
    event::copyup::CopyUp,
    output::json::{CopyUpLine, CopyUpSumLine, Owner, Text, append, exact},
    view::copyup::{Copied, Row},
};
use anyhow::Result;

/// File systems in memory, whose pages become dirty without the kernel telling: what is copied there is not seen.
const UNTOLD: [&str; 2] = ["tmpfs", "ramfs"];

/// A copy-up with what is known of it; `None` when it does not pass the selection.
pub fn copied(event: CopyUp, world: &mut World) -> Option<Copied> {
    let file = world.names.file(event.file).cloned();
    let upper = world.names.file(event.upper).cloned();
    let process = world.names.process(event.task.pid, None);
    let path = match (&file, &upper, &process) {
        (Some(file), ..) => file.file.path.clone(),
        (None, Some(upper), Some(process)) if event.file == 0 => world.names.path_above(upper, process),
        _ => None,
    };
    let process = selected(world, &event.task, path.as_deref())?;
    let seen = event.directory
        || event.bytes != Some(0)
        || event.size == Some(0)
        || upper.as_ref().is_some_and(|upper| !UNTOLD.contains(&upper.file.fs.as_str()));
    let bytes = event.bytes.filter(|_| seen);
    Some(Copied { event, bytes, process, file, path })
}

/// Appends a copy-up; nothing when it does not pass the selection.
///
/// # Errors
///
/// See [`append`].
pub fn copy_up_line(event: CopyUp, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    let Some(Copied { event, bytes, process, file, path }) = copied(event, world) else { return Ok(()) };
    let upper = world.names.file(event.upper).cloned();
    let (ino, dev) = event.inode.unzip();
    let host = OnHost::of(world, file.as_deref(), process.as_deref(), dev, true);
    let origin = file.as_deref().zip(process.as_deref());
    let origin = origin.and_then(|(file, process)| world.names.lower_path(file, process));
    let upper_path = upper.as_ref().filter(|upper| !upper.file.cut).and_then(|upper| upper.file.path.as_deref());
    let lower_path = origin.as_ref().map(|origin| origin.path.as_slice());
    let mut place = place(path.as_deref(), &host, dev, file.as_deref(), ino);
    place.fs = Some("overlay");
    place.disk = upper.as_ref().and_then(|upper| upper.disk.as_ref()).map(|disk| disk.disk.as_str());
    let line = CopyUpLine {
        kind: "copyup",
        call: event.call,
        head: head(&event.task, event.begin_ns, &mut world.clock, process.as_deref()),
        place,
        upper_path: upper_path.map(Text),
        upper_path_bytes: exact(upper_path),
        lower_path: lower_path.map(Text),
        lower_path_bytes: exact(lower_path),
        directory: event.directory,
        directories: event.directories,
        size: event.size,
        bytes,
        latency_ns: event.latency_ns,
        syncs: event.syncs,
        sync_ns: event.sync_ns,
        errno: errno(event.result),
    };
    Ok(append(out, &line)?)
}

/// Appends a row of `copyup --summary`.
///
/// # Errors
///
/// See [`append`].
pub fn copy_up_sum_line(row: &Row, ts: &str, out: &mut Vec<u8>) -> Result<()> {
    Ok(append(out, &copy_up_sum(row, ts))?)
}

/// A row of `copyup --summary`.
pub fn copy_up_sum<'a>(row: &'a Row, ts: &'a str) -> CopyUpSumLine<'a> {
    let (comm, totals) = (row.comm.as_ref().map(|comm| comm.bytes()), &row.totals);
    CopyUpSumLine {
        kind: "copyup_summary",
        ts,
        owner: Owner {
            pid: row.pid,
            tid: None,
            comm: comm.map(Text),
            comm_bytes: exact(comm),
            container: row.container(),
            role: row.process.as_ref().and_then(|process| process.role),
        },
        path: row.path.as_deref().map(Text),
        path_bytes: exact(row.path.as_deref()),
        files: totals.files,
        directories: totals.directories,
        bytes: totals.bytes,
        unknown: totals.unknown,
        latency_ns: totals.time_ns,
        max_ns: totals.max_ns,
        syncs: totals.syncs,
        sync_ns: totals.sync_ns,
        errors: totals.errors,
    }
}
