//! Rows and events to JSON lines and table cells.

use crate::{
    cli::{command::World, host::OnHost},
    event::{Task, io::Operation, open::Open, truncate::Truncate},
    output::{
        Clock, OpenFlags, errno_name, escape,
        json::{
            Dev, FsyncLine, Head, HostPlace, IoDone, IoHow, IoLine, Mode, OpenLine, Owner, Place, Stored, Text,
            TopLine, Who, append, exact,
        },
    },
    resolve::{
        Free, HostPath,
        names::{FileInfo, ProcessInfo},
    },
    view::{fsync::SyncRow, top::Row},
};
use anyhow::Result;
use std::{borrow::Cow, sync::Arc};

/// An unknown value in a table.
pub const UNKNOWN: &str = "?";

/// O_CREAT and __O_TMPFILE of include/uapi/asm-generic/fcntl.h: only with one of them the mode means something.
const CREATES: u64 = 0o100 | 0o20_000_000;

/// Name of an errno.
pub fn errno(result: Result<u64, i32>) -> Option<Cow<'static, str>> {
    result.err().map(|errno| errno_name(errno.unsigned_abs()))
}

/// A time in UTC.
pub fn timestamp(clock: &mut Clock, mono_ns: u64) -> String {
    clock.rfc3339(mono_ns)
}

/// The process and file of an operation, when they pass the selection. `path`: where it is not the file's own.
pub fn selected(world: &mut World, task: &Task, path: Option<&[u8]>) -> Option<Option<Arc<ProcessInfo>>> {
    if !world.selection.path(path) {
        return None;
    }
    let process = world.names.process(task.pid, None);
    world.selection.process(process.as_deref()).then_some(process)
}

pub(super) fn head<'a>(task: &'a Task, begin_ns: u64, clock: &mut Clock, process: Option<&'a ProcessInfo>) -> Head<'a> {
    Head { ts: clock.stamp(begin_ns), mono_ns: begin_ns, who: who(task, process) }
}

pub(super) fn who<'a>(task: &'a Task, process: Option<&'a ProcessInfo>) -> Who<'a> {
    Who {
        pid: task.pid,
        tid: task.tid,
        uid: task.uid,
        comm: Text(task.comm.bytes()),
        comm_bytes: exact(Some(task.comm.bytes())),
        container: process.and_then(ProcessInfo::container),
        role: process.and_then(|process| process.role),
    }
}

pub(super) fn place<'a>(
    path: Option<&'a [u8]>,
    host: &'a OnHost,
    dev: Option<u32>,
    file: Option<&'a FileInfo>,
    ino: Option<u64>,
) -> Place<'a> {
    Place {
        path: path.map(Text),
        path_bytes: exact(path),
        host: host_place(host.path.as_deref(), host.free.as_deref()),
        dev: dev.map(Dev),
        disk: whole_disk(file),
        fs: file.map(|file| file.file.fs.as_str()),
        ino,
    }
}

/// A file whose bytes are on a disk. `path`: what stands in its place where it is none.
pub(super) fn stored<'a>(path: Option<&'a [u8]>, host: Option<&'a HostPath>) -> Stored<'a> {
    let host_path = host.map(|host| host.path.as_slice());
    Stored {
        path: path.map(Text),
        path_bytes: exact(path),
        host_path: host_path.map(Text),
        host_path_bytes: exact(host_path),
    }
}

fn host_place<'a>(host: Option<&'a HostPath>, free: Option<&'a Free>) -> HostPlace<'a> {
    let path = host.map(|host| host.path.as_slice());
    let mount = free.map(|free| free.mount.as_slice());
    HostPlace {
        host_path: path.map(Text),
        host_path_bytes: exact(path),
        volume: host.and_then(|host| host.volume.as_deref()),
        mount: mount.map(Text),
        mount_bytes: exact(mount),
        fs_free_pct: free.and_then(|free| free.bytes),
        fs_inodes_free_pct: free.and_then(|free| free.inodes),
    }
}

pub(super) fn row_place(row: &Row) -> Place<'_> {
    Place {
        path: row.path.as_deref().map(Text),
        path_bytes: exact(row.path.as_deref()),
        host: host_place(row.host.as_deref(), row.free.as_deref()),
        dev: row.dev.map(Dev),
        disk: row.disk.as_ref().map(|disk| disk.disk.as_str()),
        fs: row.fs.as_deref(),
        ino: row.ino,
    }
}

pub(super) fn owner(row: &Row) -> Owner<'_> {
    let comm = row.comm.as_ref().map(|comm| comm.bytes());
    Owner {
        pid: row.pid,
        tid: row.tid,
        comm: comm.map(Text),
        comm_bytes: exact(comm),
        container: row.container(),
        role: row.role,
    }
}

fn whole_disk(file: Option<&FileInfo>) -> Option<&str> {
    file?.disk.as_ref().map(|disk| disk.disk.as_str())
}

/// The path that a truncate by name was asked for, and what is known of the directory from which its name counts.
pub fn truncate_place(truncate: &Truncate, world: &World) -> (Option<Vec<u8>>, Option<Arc<FileInfo>>) {
    let base = world.names.file(truncate.base).cloned();
    (truncate.absolute(base.as_ref().and_then(|base| base.file.path.as_deref())), base)
}

/// Appends a truncate by name; nothing when it does not pass the selection.
///
/// # Errors
///
/// See [`append`].
pub fn truncate_line(truncate: &Truncate, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    let (path, base) = truncate_place(truncate, world);
    let Some(process) = selected(world, &truncate.task, path.as_deref()) else { return Ok(()) };
    let nowhere = OnHost::default();
    let line = IoLine {
        kind: Operation::Truncate.name(),
        call: truncate.call,
        head: head(&truncate.task, truncate.begin_ns, &mut world.clock, process.as_deref()),
        place: place(path.as_deref(), &nowhere, base.as_ref().map(|base| base.file.key.dev), base.as_deref(), None),
        done: IoDone {
            offset: None,
            requested: truncate.length,
            bytes: Some(0),
            errno: errno(truncate.result),
            latency_ns: Some(truncate.latency_ns),
        },
        how: IoHow { flags: OpenFlags(None), sync: false },
    };
    Ok(append(out, &line)?)
}

/// The path of an open: the opened file's, or the one that was asked for, which is put into `asked`.
pub fn open_path<'a>(
    open: &Open<'_>,
    file: Option<&'a FileInfo>,
    world: &World,
    asked: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    match open.result {
        Ok(_) => file.and_then(|file| file.file.path.as_deref()),
        Err(_) => {
            let base = world.names.file(open.base).and_then(|base| base.file.path.as_deref());
            open.absolute_into(base, asked).then_some(asked.as_slice())
        }
    }
}

/// Appends an open; nothing when it does not pass the selection.
///
/// # Errors
///
/// See [`append`].
pub fn open_line(open: &Open<'_>, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    // Used again by the next one.
    let mut asked = std::mem::take(&mut world.asked);
    let result = open_line_with(open, world, &mut asked, out);
    world.asked = asked;
    result
}

fn open_line_with(open: &Open<'_>, world: &mut World, asked: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
    let file = world.names.file(open.file).cloned();
    let path = open_path(open, file.as_deref(), world, asked);
    let Some(process) = selected(world, &open.task, path) else { return Ok(()) };
    let name = open.name;
    let opened = file.as_deref().filter(|_| open.result.is_ok());
    // An open for writing copies up.
    let dev = open.inode.map(|(_, dev)| dev);
    let host = OnHost::of(world, opened, process.as_deref(), dev, open.flags & libc::O_ACCMODE as u64 != 0);
    let line = OpenLine {
        kind: "open",
        call: open.call,
        head: head(&open.task, open.begin_ns, &mut world.clock, process.as_deref()),
        fd: open.result.ok(),
        errno: errno(open.result),
        flags: OpenFlags(Some(open.flags as u32)),
        mode: (open.flags & CREATES != 0).then_some(Mode(open.mode)),
        name: name.map(Text),
        name_bytes: exact(name),
        place: place(path, &host, dev, file.as_deref(), open.inode.map(|(ino, _)| ino)),
        latency_ns: open.latency_ns,
        copy_up_ns: open.copy_up_ns,
        created: world.created.judge(open),
    };
    Ok(append(out, &line)?)
}

/// Appends a row of `top`.
///
/// # Errors
///
/// See [`append`].
pub fn top_line(row: &Row, ts: &str, latency: bool, out: &mut Vec<u8>) -> Result<()> {
    Ok(append(out, &top_of(row, ts, latency))?)
}

pub(super) fn top_of<'a>(row: &'a Row, ts: &'a str, latency: bool) -> TopLine<'a> {
    let counters = &row.counters;
    let time = |ns| latency.then_some(ns);
    TopLine {
        kind: "top",
        ts,
        owner: owner(row),
        place: row_place(row),
        reads: counters.reads,
        writes: counters.writes,
        read_bytes: counters.read_bytes,
        write_bytes: counters.write_bytes,
        syncs: counters.syncs,
        sync_writes: counters.sync_writes,
        read_ns: time(counters.read_ns),
        write_ns: time(counters.write_ns),
        sync_ns: time(counters.sync_ns),
        max_ns: time(counters.max_ns),
        errors: counters.errors,
        allocates: counters.allocates,
        truncates: counters.truncates,
        mmap_reads: row.mapped.reads,
        mmap_read_bytes: row.mapped.read_bytes,
        mmap_writes: row.mapped.writes,
        mmap_write_bytes: row.mapped.write_bytes,
    }
}

/// Appends a row of the sync ledger. `wall_ns`: time traced.
///
/// # Errors
///
/// See [`append`].
pub fn fsync_line(sync: &SyncRow, ts: &str, wall_ns: u64, out: &mut Vec<u8>) -> Result<()> {
    let row = &sync.row;
    let counters = &row.counters;
    let per_sync = |value: u64| value as f64 / sync.syncs().max(1) as f64;
    let line = FsyncLine {
        kind: "fsync",
        ts,
        owner: owner(row),
        place: row_place(row),
        syncs: counters.syncs,
        sync_writes: counters.sync_writes,
        writes: counters.writes,
        write_bytes: counters.write_bytes,
        bytes_per_sync: per_sync(counters.write_bytes),
        writes_per_sync: per_sync(counters.writes),
        total_ns: sync.total_ns(),
        avg_ns: sync.total_ns() / sync.syncs().max(1),
        p50_ns: sync.percentiles.map(|(p50, _)| p50),
        p99_ns: sync.percentiles.map(|(_, p99)| p99),
        max_ns: counters.sync_max_ns,
        wall_pct: sync.total_ns() as f64 * 100.0 / wall_ns.max(1) as f64,
        errors: counters.errors,
    };
    Ok(append(out, &line)?)
}

/// A path in a table. What has none is `nothing`, what has one that is not known is `?`.
pub fn path_cell(path: Option<&[u8]>, exists: bool, nothing: &str) -> String {
    match path {
        Some(path) => escape(path).into_owned(),
        None if exists => UNKNOWN.to_owned(),
        None => nothing.to_owned(),
    }
}

/// What `sync` syncs.
pub const EVERYTHING: &str = "(all file systems)";

/// The path of a row in a table.
pub fn row_path_cell(row: &Row) -> String {
    path_cell(row.path.as_deref(), row.ino.is_some(), if row.everything { EVERYTHING } else { "-" })
}

/// A name in a table.
pub fn name_cell(name: Option<&[u8]>) -> String {
    name.map_or_else(|| "-".to_owned(), |name| escape(name).into_owned())
}

#[cfg(test)]
#[path = "lines_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "lines_allocations_tests.rs"]
mod allocations_tests;
