//! Operations on files to JSON lines.
//!
//! Most of a line says who did it, to which file and how. That is the same as long as a thread stays with a file, so it is rendered once.

use crate::{
    cli::{
        command::World,
        host::OnHost,
        lines::{errno, place, selected, who},
    },
    event::{
        Task,
        io::{Io, Operation},
    },
    output::{
        OpenFlags, Stamp,
        json::{IoDone, IoHow, Place, Who, append_between, render},
    },
    resolve::names::{FileInfo, ProcessInfo},
};
use anyhow::Result;
use serde::Serialize;
use std::{ptr, sync::Arc};

/// Pairs of thread and file that are remembered.
const PLACES: usize = 64;

/// Appends an operation on a file; nothing when it does not pass the selection.
///
/// # Errors
///
/// See [`crate::output::json::append`].
pub fn io_line(io: &Io, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    let mut file = world.names.file(io.file).cloned();
    if io.operation.is_mapped() {
        let process = world.names.process(io.task.pid, None);
        file = file.map(|file| world.names.as_seen(file, process.as_deref()));
    }
    let path = file.as_ref().and_then(|file| file.file.path.as_deref());
    let Some(process) = selected(world, &io.task, path) else { return Ok(()) };
    let writes = matches!(io.operation, Operation::Write | Operation::Allocate | Operation::Truncate);
    let host = OnHost::of(world, file.as_deref(), process.as_deref(), io.inode.map(|(_, dev)| dev), writes);
    // Of a mapping, the file by which it was made is not known.
    let open = io.inode.is_some() && !io.operation.is_mapped();
    let when = When { ts: world.clock.stamp(io.begin_ns), mono_ns: io.begin_ns };
    let done = IoDone {
        offset: io.offset,
        requested: io.requested,
        bytes: match io.operation {
            Operation::Fsync => None,
            Operation::Allocate | Operation::Truncate => Some(0),
            _ => Some(io.result.unwrap_or(0)),
        },
        errno: errno(io.result),
        latency_ns: (!io.operation.is_mapped()).then_some(io.latency_ns),
    };
    let same = Same {
        what: What { kind: io.operation.name(), call: io.call },
        task: io.task.clone(),
        process,
        file,
        host,
        inode: io.inode,
        flags: open.then_some(io.file_flags),
        sync: io.sync,
    };
    let same = world.rendered.of(same, io.file)?;
    Ok(append_between(out, same, &when, &done)?)
}

/// The first fields of [`crate::output::json::IoLine`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct What {
    #[serde(rename = "type")]
    kind: &'static str,
    call: &'static str,
}

/// When.
#[derive(Serialize)]
struct When {
    ts: Stamp,
    mono_ns: u64,
}

/// Who and which file.
#[derive(Serialize)]
struct Where<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    #[serde(flatten)]
    place: Place<'a>,
}

/// What the fields are made from that stay the same.
#[derive(Debug, Default)]
struct Same {
    what: What,
    task: Task,
    process: Option<Arc<ProcessInfo>>,
    file: Option<Arc<FileInfo>>,
    host: OnHost,
    /// Inode number and device.
    inode: Option<(u64, u32)>,
    flags: Option<u32>,
    sync: bool,
}

impl Same {
    fn render(&self, into: &mut [Vec<u8>; 3]) -> serde_json::Result<()> {
        let path = self.file.as_ref().and_then(|file| file.file.path.as_deref());
        let (ino, dev) = self.inode.unzip();
        let [first, second, third] = into;
        let who = who(&self.task, self.process.as_deref());
        render(&self.what, first)?;
        render(&Where { who, place: place(path, &self.host, dev, self.file.as_deref(), ino) }, second)?;
        render(&IoHow { flags: OpenFlags(self.flags), sync: self.sync }, third)
    }
}

/// What was rendered, for as many pairs of thread and file as there is room for.
#[derive(Debug, Default)]
pub struct Rendered {
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    same: Same,
    /// Where the container was told from: its names may come later. Only compared.
    container: Option<usize>,
    json: [Vec<u8>; 3],
}

impl Rendered {
    /// The fields before, between and behind what is new in each line, rendered now unless they were before. `file`: its number.
    fn of(&mut self, same: Same, file: u64) -> Result<[&[u8]; 3]> {
        let container =
            same.process.as_deref().and_then(ProcessInfo::container).map(|found| ptr::from_ref(found).addr());
        if self.entries.is_empty() {
            self.entries.resize_with(PLACES, Entry::default);
        }
        let place = (u64::from(same.task.tid) ^ file.rotate_left(7)) as usize % PLACES;
        let entry = &mut self.entries[place];
        // An operation has a name: one without is of none yet.
        if entry.container != container || !is_equal(&entry.same, &same) {
            same.render(&mut entry.json)?;
            (entry.same, entry.container) = (same, container);
        }
        Ok(entry.json.each_ref().map(Vec::as_slice))
    }
}

/// Whether two have the same fields. What they share is in one place as long as an entry has it, and does not change.
fn is_equal(one: &Same, other: &Same) -> bool {
    one.what == other.what
        && one.task == other.task
        && (one.inode, one.flags, one.sync) == (other.inode, other.flags, other.sync)
        && is_one(&one.file, &other.file)
        && is_one(&one.process, &other.process)
        && is_one(&one.host.path, &other.host.path)
        && is_one(&one.host.free, &other.host.free)
}

fn is_one<T>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
#[path = "io_lines_tests.rs"]
mod tests;
