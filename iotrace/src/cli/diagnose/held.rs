//! Deleted files that are still open, looked for when a file system is nearly full.

use crate::{
    findings::{Facts, Held, NEARLY_FULL},
    kernel::access,
    resolve::{Deleted, deleted, dev_of_rdev},
    view::top::Row,
};
use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

/// How long it may take to look at the open files of all processes.
const LIMIT: Duration = Duration::from_millis(500);
/// What that may take longer when a file hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// A thread that may look at the open files of other users, which the others give up.
pub(super) struct Holders {
    ask: Sender<HashSet<u32>>,
    answers: Receiver<(Vec<Deleted>, bool)>,
}

impl Holders {
    /// Starts the thread; `None` when there can be none.
    pub(super) fn start() -> Option<Self> {
        let (ask, asked) = channel::<HashSet<u32>>();
        let (answer, answers) = channel();
        let work = move || {
            // Also when they cannot be given up it only looks.
            let _ = access::keep_looking();
            while let Ok(devs) = asked.recv() {
                let _ = answer.send(deleted(&devs, LIMIT));
            }
        };
        thread::Builder::new().name("iotrace-held".into()).spawn(work).ok()?;
        Some(Self { ask, answers })
    }

    /// Looks where a file system is nearly full.
    pub(super) fn report(&self, facts: &mut Facts) {
        let mounts = full(&facts.rows);
        if mounts.is_empty() || self.ask.send(mounts.keys().copied().collect()).is_err() {
            return;
        }
        let Ok((found, whole)) = self.answers.recv_timeout(LIMIT + PATIENCE) else {
            return facts.unseen.push("deleted files that are still open: looking took too long".into());
        };
        if !whole {
            facts.unseen.push("deleted files that are still open, of processes that may not be looked at".into());
        }
        for file in found {
            let Some(mount) = mounts.get(&file.dev) else { continue };
            let held = Held { pid: file.pid, comm: file.comm, path: file.path, bytes: file.bytes };
            facts.held.entry(mount.clone()).or_default().push(held);
        }
    }
}

/// Mount points of file systems that are nearly full, by device.
fn full(rows: &[Row]) -> HashMap<u32, Vec<u8>> {
    let mounts = rows
        .iter()
        .filter_map(|row| row.free.as_ref())
        .filter(|free| [free.bytes, free.inodes].into_iter().flatten().any(|left| left <= NEARLY_FULL));
    let unique: HashSet<&Vec<u8>> = mounts.map(|free| &free.mount).collect();
    let dev =
        |mount: &[u8]| fs::metadata(Path::new(OsStr::from_bytes(mount))).ok().map(|found| dev_of_rdev(found.dev()));
    unique.into_iter().filter_map(|mount| Some((dev(mount)?, mount.clone()))).collect()
}
