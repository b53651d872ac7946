//! What the commands that print tables of sums have in common.

use crate::{
    cli::{
        command::{Interval, World},
        lines::{name_cell, row_path_cell},
    },
    kernel::{sums::Sums, tracer::Tracer},
    output::{Column, Table, escape},
    resolve::thread_exists,
    view::top::{Differences, Look, Row},
};
use anyhow::Result;
use iotrace_common::sum::Counters;

/// What came since the last look, and what came under no name of its own.
///
/// # Errors
///
/// When the kernel side's sums cannot be read.
pub fn look(
    differences: &mut Differences,
    sums: &mut Sums,
    world: &mut World,
    repeated: bool,
) -> Result<(Look, Option<Counters>)> {
    differences.room = sums.path_room;
    let mut look = differences.since(sums.iter(), &mut world.names, &world.selection);
    let (calls, mapped) = sums.other()?;
    // What has no row has no name either, so a selection by name leaves it out.
    let mut other = differences.other_since(calls).filter(|_| world.selection.is_empty());
    look.other_mapped = differences.other_mapped_since(mapped).filter(|_| world.selection.is_empty());
    // What was folded here passed the selection by its path.
    let folded = look.folded;
    world.folded += folded.operations();
    for (to, more) in [(&mut other, folded.calls), (&mut look.other_mapped, folded.mapped)] {
        if !more.is_empty() {
            to.get_or_insert_default().add(&more);
        }
    }
    if repeated && differences.used() > sums.slots() / 2 {
        for (slot, key) in differences.finished(thread_exists) {
            sums.recycle(slot, &key)?;
        }
    }
    Ok((look, other))
}

/// Keeps the names of files that have sums: there are more files than can be remembered.
pub fn keep_names(differences: &mut Differences, tracer: &Tracer, world: &World) {
    if let Some(sums) = &tracer.sums {
        differences.room = sums.path_room;
        differences.keep(sums.iter(), &world.names);
    }
}

/// A cell that says what a row is of.
pub fn owner_cell(key: &str, row: &Row) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    match key {
        "pid" => number(row.pid),
        "tid" => number(row.tid),
        "comm" => name_cell(row.comm.as_ref().map(|comm| comm.bytes())),
        "disk" => name_cell(row.disk.as_ref().map(|disk| disk.disk.as_bytes())),
        "fs" => row.fs.clone().unwrap_or_else(|| "-".to_owned()),
        "container" => container_cell(row),
        _ => row_path_cell(row),
    }
}

fn container_cell(row: &Row) -> String {
    match row.container() {
        Some(container) => {
            let role = row.role.map(|role| format!("({role})")).unwrap_or_default();
            escape((container.label() + &role).as_bytes()).into_owned()
        }
        None => row.role.map_or_else(|| "-".to_owned(), |role| format!("({role})")),
    }
}

/// Rows of a table when nobody says how many.
const ROWS: usize = 20;

/// Rows to print: what machines read is complete unless they ask for less.
pub fn shown(limit: Option<usize>, json: bool, rows: usize) -> usize {
    match limit.unwrap_or(if json { 0 } else { ROWS }) {
        0 => rows,
        limit => limit.min(rows),
    }
}

/// Appends a table of the cells of the rows to print, out of `total`; a time above it where tables come at intervals.
pub fn table(
    columns: &[Column],
    cells: &[Vec<String>],
    total: usize,
    interval: Interval,
    world: &mut World,
    out: &mut Vec<u8>,
) {
    if interval.repeated {
        out.extend_from_slice(format!("{}\n", world.clock.hms(interval.end_ns)).as_bytes());
    }
    let table = Table::new(columns.iter().copied(), world.form.width);
    out.extend_from_slice(world.form.table(&table, cells).as_bytes());
    if cells.len() < total {
        out.extend_from_slice(format!("{} of {total} rows; -r 0 shows all\n", cells.len()).as_bytes());
    }
    if interval.repeated {
        out.push(b'\n');
    }
}
