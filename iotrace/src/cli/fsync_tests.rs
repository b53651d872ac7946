#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::cli::{
    Cli, Command as Parsed,
    form::Form,
    lines::tests::{APP, EVIL, HOSTILE, LOG, LONG, NGINX, comm, counters, fsync, parsed, row, world, write},
};
use crate::view::top::Delta;
use clap::Parser;
use iotrace_common::sum::Counters;
use unicode_width::UnicodeWidthStr;

/// Five seconds.
const WALL: u64 = 5_000_000_000;

fn args(options: &[&str]) -> Args {
    let words = ["iotrace", "fsync"].iter().chain(options);
    match Cli::try_parse_from(words).unwrap().command {
        Parsed::Fsync(args) => args,
        other => panic!("{other:?}"),
    }
}

fn ledger() -> Vec<SyncRow> {
    let mut world = world(Form::default());
    let few = Counters { syncs: 3, sync_ns: 3_000, sync_max_ns: 2_000, ..Counters::default() };
    let long = row(&mut world, NGINX, Some(b"/var/lib/docker/containers/3f4a9c0f1b2d/app.log"), counters());
    let all = crate::view::top::Row { ino: None, everything: true, ..row(&mut world, APP, None, few) };
    vec![
        SyncRow { row: long, percentiles: Some((1_000_000, 290_000_000)) },
        SyncRow { row: row(&mut world, APP, Some(EVIL), few), percentiles: None },
        SyncRow { row: row(&mut world, APP, None, few), percentiles: Some((500, 2_000)) },
        SyncRow { row: all, percentiles: Some((500, 2_000)) },
    ]
}

fn table(width: Option<usize>) -> String {
    table_by(By::ProcessFile, &ledger(), width)
}

fn table_by(by: By, rows: &[SyncRow], width: Option<usize>) -> String {
    let cells: Vec<_> = rows.iter().map(|row| cells(by, row, WALL)).collect();
    Form { width, ..Form::default() }.table(&Table::new(columns(by), width), &cells)
}

fn cells(by: By, row: &SyncRow, wall_ns: u64) -> Vec<String> {
    columns(by).iter().map(|column| cell(column.key, row, wall_ns)).collect()
}

/// The lines of `--trace`.
fn trace(form: Form) -> Vec<u8> {
    let args = args(&["--trace"]);
    let table = Table::new(TRACE_COLUMNS.iter().copied(), None);
    let mut command = Fsync { args: &args, ledger: Ledger::default(), differences: Differences::default(), table };
    let (mut world, mut out) = (world(form), Vec::new());
    command.begin(&mut world, &mut out);
    let everything = Io { call: "sync", ..fsync(APP, 0, 4_000_000_000) };
    for io in [
        fsync(NGINX, LOG, 293_000_000),
        fsync(NGINX, LONG, 45_000),
        Io { call: "fdatasync", result: Err(5), ..fsync(APP, HOSTILE, 999) },
        Io { sync: true, ..write(APP, LOG) },
        Io { call: "msync", inode: Some((7, 1)), ..fsync(APP, 0, 1_000) },
        everything,
    ] {
        command.event(Event::Io(io), &mut world, &mut out).unwrap();
    }
    out
}

#[test]
fn ledger_at_80_columns() {
    // Only the path gives way, and it keeps the end.
    assert!(table(Some(80)).lines().all(|line| line.width() <= 80), "{}", table(Some(80)));
    insta::assert_snapshot!(table(Some(80)));
}

#[test]
fn ledger_in_a_pipe() {
    insta::assert_snapshot!(table(None));
}

#[test]
fn trace_at_80_columns() {
    let text = String::from_utf8(trace(Form { width: Some(80), ..Form::default() })).unwrap();
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn trace_in_a_pipe() {
    insta::assert_snapshot!(String::from_utf8(trace(Form::default())).unwrap());
}

#[test]
fn trace_as_json_has_no_header_and_a_line_per_sync() {
    let out = trace(Form { json: true, ..Form::default() });
    let calls: Vec<_> = out
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| parsed(line)["call"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(calls, ["fsync", "fsync", "fdatasync", "pwrite64", "msync", "sync"]);
}

#[test]
fn every_column_has_a_cell_of_its_own_and_is_in_some_table() {
    let row = &ledger()[0];
    let path = cell("path", row, WALL);
    for column in COLUMNS {
        // The path is what is shown for a column without a cell.
        assert!(column.key == "path" || cell(column.key, row, WALL) != path, "{}", column.key);
        let shown = |by: &By| columns(*by).contains(column);
        assert!(<By as clap::ValueEnum>::value_variants().iter().any(shown), "{}", column.key);
    }
}

#[test]
fn single_syncs_are_not_added_up() {
    let parse = |by: &[&str]| Cli::try_parse_from(["iotrace", "fsync", "--trace"].iter().chain(by)).is_ok();
    assert!(parse(&[]) && !parse(&["--by", "file"]));
}

#[test]
fn tables_have_the_columns_of_what_rows_are_of() {
    let text: Vec<String> = <By as clap::ValueEnum>::value_variants()
        .iter()
        .map(|by| {
            let mut row = ledger().remove(0);
            row.row.tid = Some(4712);
            format!("{by:?}\n{}", table_by(*by, &[row], Some(80)))
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn nothing_is_divided_by_zero() {
    let mut world = world(Form::default());
    let row = row(&mut world, APP, Some(b"/a"), Counters::default());
    let cells = cells(By::ProcessFile, &SyncRow { row, percentiles: None }, 0);
    assert_eq!(cells, ["812", "app", "0", "0", "0", "0ns", "?", "0ns", "?", "/a"]);
}

#[test]
fn only_syncs_reach_the_ledger() {
    let args = args(&[]);
    let table = Table::new(COLUMNS.iter().copied(), None);
    let mut command = Fsync { args: &args, ledger: Ledger::default(), differences: Differences::default(), table };
    let (mut world, mut out) = (world(Form::default()), Vec::new());
    command.begin(&mut world, &mut out);
    for io in [write(APP, LOG), fsync(APP, LOG, 5), Io { sync: true, ..write(APP, LOG) }] {
        command.event(Event::Io(io), &mut world, &mut out).unwrap();
    }
    assert_eq!(out, b"");
    // It has percentiles only of a row whose syncs it saw all.
    let file = world.names.file(LOG).cloned();
    let delta = Delta {
        slot: 1,
        pid: APP,
        tid: APP,
        comm: comm(b"app"),
        process: None,
        process_start_ns: 1,
        inode: file.as_ref().map(|file| (file.file.key.dev, file.file.key.ino)),
        file,
        everything: false,
        counters: Counters { writes: 2, syncs: 1, sync_writes: 1, sync_max_ns: 6_000, ..Counters::default() },
    };
    assert_eq!(command.ledger.rows(&[delta], None)[0].percentiles.map(|(p50, _)| p50), Some(5));
}
