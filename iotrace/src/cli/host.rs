//! Where files lie on the host, for what is printed.

use crate::{
    cli::command::World,
    resolve::{
        Free, HostPath,
        names::{FileInfo, Names, ProcessInfo},
    },
    view::{
        block::{self, Charge, What},
        top::Row,
    },
};
use std::sync::Arc;

/// Where the file of an operation lies on the host.
#[derive(Debug, Default)]
pub struct OnHost {
    /// Its path.
    pub path: Option<Arc<HostPath>>,
    /// Its file system.
    pub free: Option<Arc<Free>>,
}

impl OnHost {
    /// Looks up where the file lies that a process uses, on a file system with this number. `writes`: it does so by writing.
    pub fn of(
        world: &mut World,
        file: Option<&FileInfo>,
        process: Option<&ProcessInfo>,
        dev: Option<u32>,
        writes: bool,
    ) -> Self {
        if !world.names.wants_host_paths {
            return Self::default();
        }
        let path = file.zip(process).and_then(|(file, process)| world.names.host_path(file, Some(process), writes));
        let free = dev.and_then(|dev| world.names.free(dev, path.as_deref()));
        Self { path, free }
    }
}

/// Looks up what only printed rows have.
pub fn locate(row: &mut Row, names: &mut Names) {
    let file = row.file.as_ref();
    row.host = file.and_then(|(file, process)| names.host_path(file, Some(process), row.counters.writes != 0));
    // A row of a disk has the disk's number, not that of a file system.
    let dev = row.dev.filter(|_| row.fs.is_some());
    row.free = dev.and_then(|dev| names.free(dev, row.host.as_deref()));
}

/// The same of the bytes of requests.
pub fn locate_charges(charges: &mut [Charge], names: &mut Names) {
    for charge in charges.iter_mut().filter(|charge| charge.what == Some(What::File)) {
        let file = charge.file.clone();
        charge.host = file.and_then(|file| names.host_path(&file, charge.process(), false));
    }
}

/// The same of sums of requests.
pub fn locate_sums<'a>(rows: impl IntoIterator<Item = &'a mut block::Row>, names: &mut Names) {
    for row in rows.into_iter().filter(|row| row.what == Some(What::File)) {
        let file = row.file.as_ref();
        row.host = file.and_then(|file| names.host_path(file, row.process.as_deref(), false));
    }
}
