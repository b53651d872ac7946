//! What container runtimes do for themselves, by the files that they use.

use super::Facts;
use crate::view::top::Row;

/// Less that is written for images in a second nobody notices, bytes.
const IMAGES_PER_SECOND: f64 = 1024.0 * 1024.0;

/// Names of the databases in which runtimes have their own state: of containerd (`io.containerd.metadata.v1.bolt/meta.db`,
/// metadata/plugin of containerd) and its snapshotters (`metadata.db`), of dockerd (`local-kv.db`, `metadata_v2.db`, volumes),
/// of buildkitd (`cache.db`, `history.db`, `snapshots.db`), of CRI-O and podman (`containers.json`, `images.json`, ...).
const DATABASES: [&[u8]; 10] = [
    b"meta.db",
    b"metadata.db",
    b"metadata_v2.db",
    b"local-kv.db",
    b"cache.db",
    b"history.db",
    b"snapshots.db",
    b"containers.json",
    b"images.json",
    b"layers.json",
];

/// Directories in which images are put together: containerd's content store (`ingest`, and `blobs` once it is whole) and
/// snapshots, and the mounts through which it fills them; layers of dockerd, CRI-O and podman.
const IMAGES: [&[u8]; 6] = [b"ingest", b"blobs", b"snapshots", b"tmpmounts", b"overlay2", b"overlay"];
/// What containerd calls such a mount where it has no directory of its own (mount/temp.go).
const TEMPORARY_MOUNT: &[u8] = b"containerd-mount";

/// Whether a row is a runtime's own bookkeeping.
pub(super) fn is_metadata(row: &Row) -> bool {
    row.role.is_some() && parts(row).last().is_some_and(|name| DATABASES.contains(&name))
}

/// Whether a row is an image that a runtime puts together.
pub(super) fn is_image(row: &Row) -> bool {
    let of_image = |part: &[u8]| IMAGES.contains(&part) || part.starts_with(TEMPORARY_MOUNT);
    row.role.is_some() && !is_metadata(row) && parts(row).any(of_image)
}

/// Whether a runtime's process fetches or unpacks images: what it syncs of its databases meanwhile is a part of that.
pub(super) fn unpacks(facts: &Facts, pid: Option<u32>) -> bool {
    let rows = facts.rows.iter().filter(|row| row.pid == pid && is_image(row));
    facts.per_second(rows.map(|row| row.counters.write_bytes).sum()) >= IMAGES_PER_SECOND
}

/// Whether a row is what a container prints, written by its runtime.
pub(super) fn is_output(row: &Row) -> bool {
    row.role.is_some() && row.counters.writes > 0 && !is_metadata(row) && !is_image(row)
}

fn parts(row: &Row) -> impl Iterator<Item = &[u8]> {
    let path = row.path.as_deref().unwrap_or_default();
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}
