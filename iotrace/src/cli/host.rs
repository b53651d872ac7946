//! Where files lie on the host, for what is printed.

use crate::{
    cli::command::World,
    resolve::{
        HostPath,
        names::{FileInfo, Names, ProcessInfo},
    },
    view::top::Row,
};
use std::sync::Arc;

/// Where the file of an operation lies on the host.
pub fn host_path(
    world: &mut World,
    file: Option<&FileInfo>,
    process: Option<&ProcessInfo>,
    writes: bool,
) -> Option<Arc<HostPath>> {
    world.names.host_path(file?, process?, writes)
}

/// Looks up what only printed rows have.
pub fn locate(row: &mut Row, names: &mut Names) {
    let file = row.file.as_ref();
    row.host = file.and_then(|(file, process)| names.host_path(file, process, row.counters.writes != 0));
    // A row of a disk has the disk's number, not that of a file system.
    let dev = row.dev.filter(|_| row.fs.is_some());
    row.free = dev.and_then(|dev| names.free(dev, row.host.as_ref().map(|host| host.path.as_slice())));
}
