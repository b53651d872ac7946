//! Files that came and went to JSON lines and table cells.

use crate::{
    cli::{
        command::World,
        host::OnHost,
        lines::{UNKNOWN, head, name_cell, owner, path_cell, place, row_place, timestamp},
        tables::owner_cell,
    },
    output::{
        bytes,
        json::{LifeEndLine, LifeLine, Text, append, exact},
        nanos,
    },
    view::life::{Bytes, How, Life, LifeRow, Matched},
};
use anyhow::Result;

/// A cell of the table.
pub fn cell(key: &str, life: &LifeRow) -> String {
    let stats = &life.stats;
    let moved = |count: u64| match stats.unknown_bytes {
        0 => bytes(count),
        all if all == stats.files => UNKNOWN.to_owned(),
        _ => bytes(count) + "+",
    };
    match key {
        "files" => stats.files.to_string(),
        "new" => stats.created.to_string(),
        "gone" => stats.deleted.to_string(),
        "life" => time(stats.mean_ns()),
        "written" => moved(stats.bytes.written),
        "read" => moved(stats.bytes.read),
        key => owner_cell(key, &life.row),
    }
}

fn time(ns: Option<u64>) -> String {
    ns.map_or_else(|| UNKNOWN.to_owned(), nanos)
}

/// Appends a row.
///
/// # Errors
///
/// See [`append`].
pub fn life_line(life: &LifeRow, ts: &str, out: &mut Vec<u8>) -> Result<()> {
    let (row, stats) = (&life.row, &life.stats);
    let known = (stats.unknown_bytes < stats.files || stats.files == 0).then_some(stats.bytes);
    let (_, least, most) = stats.life_ns;
    let lived = stats.lives != 0;
    let example = life.example.as_deref();
    let line = LifeLine {
        kind: "life",
        ts,
        owner: owner(row),
        place: row_place(row),
        pattern: life.is_pattern,
        example: example.map(Text),
        example_bytes: exact(example),
        files: stats.files,
        created: stats.created,
        deleted: stats.deleted,
        replaced: stats.replaced,
        nameless: stats.nameless,
        not_made: stats.not_made,
        opens: stats.opens,
        renames: stats.renames,
        read_bytes: known.map(|bytes| bytes.read),
        write_bytes: known.map(|bytes| bytes.written),
        bytes_unknown: stats.unknown_bytes,
        lives: stats.lives,
        life_avg_ns: stats.mean_ns(),
        life_min_ns: lived.then_some(least),
        life_max_ns: lived.then_some(most),
        span_ns: stats.length_ns(),
    };
    Ok(append(out, &line)?)
}

/// How a file ended.
fn how(how: How) -> &'static str {
    match how {
        How::Unlinked => "unlinked",
        How::Replaced => "replaced",
        How::Nameless => "nameless",
    }
}

fn matched(matched: Matched) -> &'static str {
    match matched {
        Matched::Directory => "directory",
        Matched::Path => "path",
        Matched::Asked => "asked",
    }
}

/// The cells of a line of `--trace`.
pub fn end_row(life: &Life, world: &mut World) -> Vec<String> {
    let (at_ns, end) = life.end.as_ref().map_or((0, ""), |end| (end.at_ns, how(end.how)));
    let task = life.end.as_ref().map_or(&life.owner, |end| &end.task);
    let moved = |count: fn(Bytes) -> u64| life.bytes.map_or_else(|| UNKNOWN.to_owned(), |moved| bytes(count(moved)));
    vec![
        world.clock.hms(at_ns),
        task.pid.to_string(),
        name_cell(Some(task.comm.bytes())),
        time(life.length_ns()),
        moved(|bytes| bytes.written),
        moved(|bytes| bytes.read),
        end.to_owned(),
        path_cell(life.path.as_deref(), true, "-"),
    ]
}

/// Appends a file that is gone.
///
/// # Errors
///
/// See [`append`].
pub fn end_line(life: &Life, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    let Some(end) = &life.end else { return Ok(()) };
    let process = world.names.process(end.task.pid, None);
    let made_as = life.made_as.as_deref();
    let file = life.file.as_deref();
    let nowhere = OnHost::default();
    let dev = life.inode.map(|inode| inode.dev).or_else(|| file.map(|file| file.file.key.dev));
    let line = LifeEndLine {
        kind: "life_end",
        head: head(&end.task, end.at_ns, &mut world.clock, process.as_deref()),
        place: place(life.path.as_deref(), &nowhere, dev, file, life.inode.map(|inode| inode.ino)),
        how: how(end.how),
        matched_by: end.matched.map(matched),
        created: life.born_ns.is_some(),
        created_ts: life.born_ns.map(|ns| timestamp(&mut world.clock, ns)),
        created_by: life.born_ns.map(|_| life.owner.pid),
        created_as: made_as.map(Text),
        created_as_bytes: exact(made_as),
        life_ns: life.length_ns(),
        opens: life.opens,
        renames: life.renames,
        read_bytes: life.bytes.map(|bytes| bytes.read),
        write_bytes: life.bytes.map(|bytes| bytes.written),
    };
    Ok(append(out, &line)?)
}
