//! Unlinks, renames and links to JSON lines.

use crate::{
    cli::{
        command::World,
        host::OnHost,
        lines::{errno, head, place, selected},
    },
    event::naming::{Change, Naming, Spot},
    output::json::{NamingLine, Text, append, exact},
};
use anyhow::Result;

/// Flags of unlinkat (AT_ of include/uapi/linux/fcntl.h).
const OF_UNLINK: &[(u32, &str)] = &[(libc::AT_REMOVEDIR as u32, "AT_REMOVEDIR")];
/// Flags of renameat2 (include/uapi/linux/fs.h).
const OF_RENAME: &[(u32, &str)] = &[(1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT")];
/// Flags of linkat.
const OF_LINK: &[(u32, &str)] =
    &[(libc::AT_SYMLINK_FOLLOW as u32, "AT_SYMLINK_FOLLOW"), (libc::AT_EMPTY_PATH as u32, "AT_EMPTY_PATH")];

/// Names of the flags that are set.
fn flags(naming: &Naming) -> Vec<&'static str> {
    let known = match naming.change {
        Change::Unlink => OF_UNLINK,
        Change::Rename => OF_RENAME,
        Change::Link => OF_LINK,
    };
    known.iter().filter(|(flag, _)| naming.flags & flag != 0).map(|(_, name)| *name).collect()
}

/// The absolute path of a name that was asked for.
pub fn spot_path(spot: &Spot, world: &World) -> Option<Vec<u8>> {
    let base = world.names.file(spot.base);
    spot.absolute(base.and_then(|base| base.file.path.as_deref()))
}

/// Appends an unlink, rename or link; nothing when neither of its names passes the selection.
///
/// # Errors
///
/// See [`append`].
pub fn naming_line(naming: &Naming, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    let path = spot_path(&naming.name, world);
    let new = naming.other.as_ref().and_then(|other| spot_path(other, world));
    let passes = [&path, &new].into_iter().find(|path| path.is_some() && world.selection.path(path.as_deref()));
    let passing = passes.unwrap_or(&path).clone();
    let Some(process) = selected(world, &naming.task, passing.as_deref()) else { return Ok(()) };
    let base = world.names.file(naming.name.base).cloned();
    let nowhere = OnHost::default();
    let dev = base.as_ref().map(|base| base.file.key.dev);
    let name = naming.name.name.as_deref();
    let line = NamingLine {
        kind: naming.change.name(),
        call: naming.call,
        head: head(&naming.task, naming.begin_ns, &mut world.clock, process.as_deref()),
        place: place(path.as_deref(), &nowhere, dev, base.as_deref(), None),
        name: name.map(Text),
        name_bytes: exact(name),
        new_path: new.as_deref().map(Text),
        new_path_bytes: exact(new.as_deref()),
        errno: errno(naming.result),
        flags: flags(naming),
        latency_ns: naming.latency_ns,
    };
    Ok(append(out, &line)?)
}

#[cfg(test)]
#[path = "naming_lines_tests.rs"]
mod tests;
