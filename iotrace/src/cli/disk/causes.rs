//! Who keeps a disk busy: lines below its row, and JSON.

use crate::{
    cli::lines::stored,
    output::{
        escape,
        json::{DiskCause, Owner, Text, exact},
        shorten_front,
    },
    view::{block::What, disk::Cause},
};

/// What stands before a cause: it belongs to the row above.
const INDENT: &str = "    ";

/// A line of text: share of the time in the device, process, container, file.
pub(super) fn line(cause: &Cause, width: Option<usize>) -> String {
    let row = &cause.row;
    let who = match (&row.comm, row.pid) {
        (Some(comm), Some(pid)) => format!("{} ({pid})", escape(comm.bytes())),
        _ => "?".to_owned(),
    };
    let container = row.container().map(|container| format!(" in {}", escape(container.label().as_bytes())));
    let head = format!("{INDENT}{:3.0}% {who}{} ", cause.share * 100.0, container.unwrap_or_default());
    let path = row.path.as_deref().map_or_else(|| "?".into(), escape);
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(head.chars().count()));
    format!("{head}{}\n", shorten_front(&path, room))
}

/// The same for machines.
pub(super) fn json(cause: &Cause) -> DiskCause<'_> {
    let (row, totals) = (&cause.row, &cause.row.totals);
    let comm = row.comm.as_ref().map(|comm| comm.bytes());
    DiskCause {
        owner: Owner {
            pid: row.pid,
            tid: None,
            comm: comm.map(Text),
            comm_bytes: exact(comm),
            container: row.container(),
            role: row.process.as_ref().and_then(|process| process.role),
        },
        what: row.what.map(What::name),
        stored: stored(row.path.as_deref(), row.host.as_deref()),
        requests: totals.requests(),
        bytes: totals.bytes(),
        queue_ns: totals.queue_ns,
        device_ns: totals.device_ns,
        share: cause.share,
    }
}
