#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        Cli, Command as Parsed,
        form::Form,
        lines::tests::{APP, EVIL, LOG, NGINX, comm, counters, mapped, row, truncate, world, write},
    },
    resolve::Container,
    view::top::{Look, OTHER_FILES},
};
use clap::Parser;
use iotrace_common::sum::Counters;
use unicode_width::UnicodeWidthStr;

/// The table as `report` makes it.
fn table(rows: &[Row], chosen: &str, form: Form) -> String {
    let columns: Vec<Column> = select(COLUMNS, chosen).unwrap().into_iter().map(|index| COLUMNS[index]).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| cell(column.key, row, true)).collect()).collect();
    form.table(&crate::output::Table::new(columns, form.width), &cells)
}

fn usual() -> Vec<Row> {
    let mut world = world(Form::default());
    let small = Counters { reads: 3, read_bytes: 100, read_ns: 999, max_ns: 500, ..Counters::default() };
    let mut rows = vec![
        row(&mut world, NGINX, Some(b"/var/lib/docker/containers/3f4a9c0f1b2d/data/deep/app.log"), counters()),
        row(&mut world, APP, Some("/tmp/job/データ/片.tmp".as_bytes()), small),
        row(&mut world, APP, None, small),
        row(&mut world, APP, Some(EVIL), Counters { reads: 0, ..small }),
        Row { path: Some(OTHER_FILES.into()), counters: small, ..Row::default() },
        // sync() has no file.
        Row { ino: None, dev: None, disk: None, fs: None, ..row(&mut world, NGINX, None, small) },
    ];
    rows[0].mapped = mapped();
    for (row, tid) in rows.iter_mut().zip(4712..) {
        row.tid = row.pid.map(|_| tid);
    }
    rows
}

/// All that `top` can show of rows by process and file.
const ALL: &str =
    "pid,tid,comm,reads,writes,r_kb,w_kb,syncs,errors,time,max,allocs,truncs,mr_kb,mw_kb,disk,fs,container,path";

#[test]
fn table_at_80_columns() {
    let text = table(&usual(), default_columns(By::ProcessFile), Form { width: Some(80), ..Form::default() });
    assert!(text.lines().all(|line| line.width() <= 80));
    insta::assert_snapshot!(text);
}

#[test]
fn table_in_a_pipe() {
    insta::assert_snapshot!(table(&usual(), default_columns(By::ProcessFile), Form::default()));
}

#[test]
fn table_of_all_columns() {
    insta::assert_snapshot!(table(&usual(), ALL, Form::default()));
}

#[test]
fn table_by_disk() {
    let disk = Row { pid: None, comm: None, process: None, path: None, fs: None, ino: None, ..usual().remove(0) };
    insta::assert_snapshot!(table(&[disk], default_columns(By::Disk), Form::default()));
}

#[test]
fn without_latency_there_is_no_time() {
    let row = &usual()[0];
    assert_eq!(["time", "max"].map(|key| cell(key, row, false)), ["-", "-"]);
    assert_eq!(cell("reads", row, false), cell("reads", row, true));
}

#[test]
fn only_a_terminal_has_a_bold_header() {
    let bold = table(&usual(), "pid,path", Form { colour: true, ..Form::default() });
    let plain = table(&usual(), "pid,path", Form::default());
    assert!(bold.starts_with("\x1b[1m") && bold.lines().next().unwrap().ends_with("\x1b[0m"));
    assert_eq!(bold.lines().skip(1).collect::<Vec<_>>(), plain.lines().skip(1).collect::<Vec<_>>());
    assert!(!plain.contains('\x1b'));
}

#[test]
fn default_columns_exist_and_the_last_one_is_free() {
    for by in <By as clap::ValueEnum>::value_variants() {
        let chosen = select(COLUMNS, default_columns(*by)).unwrap();
        assert_eq!(COLUMNS[*chosen.last().unwrap()].align, Align::Left, "{by:?}");
    }
}

#[test]
fn every_column_has_a_cell_of_its_own() {
    let row = &usual()[0];
    // The path is what is shown for a column without a cell.
    let path = cell("path", row, true);
    for column in COLUMNS.iter().filter(|column| column.key != "path") {
        assert_ne!(cell(column.key, row, true), path, "{}", column.key);
    }
}

/// All names that come from outside.
fn hostile(container: Container) -> Row {
    let mut world = world(Form::default());
    let row = row(&mut world, APP, Some(EVIL), counters());
    Row { comm: Some(comm(&EVIL[5..18])), resident: Some(container.into()), tid: Some(1), ..row }
}

fn assert_one_line(row: Row) {
    for width in [None, Some(80)] {
        let text = table(std::slice::from_ref(&row), ALL, Form { width, ..Form::default() });
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    }
}

#[test]
fn what_a_runtime_does_for_a_container_is_marked() {
    let named = Container { name: Some("web".into()), ..Container::default() };
    let row = hostile(named);
    assert_eq!(cell("container", &row, true), "web");
    let runtime = Row { role: Some("runtime"), ..row };
    assert_eq!(cell("container", &runtime, true), "web(runtime)");
    assert_eq!(cell("container", &Row { resident: None, ..runtime }, true), "(runtime)");
}

#[test]
fn a_hostile_path_or_thread_name_keeps_its_line() {
    assert_one_line(hostile(Container::default()));
}

/// A control group may have any name but one with a newline, and systemd's escapes stand for any byte.
#[test]
fn a_hostile_container_name_keeps_its_line() {
    for cgroup in ["/lxc.payload.a\x1b[2J\u{202e}", r"/machine.slice/machine-a\x0ab\x1b[2J.scope", "/x/\x1b[2J.service"]
    {
        assert_one_line(hostile(Container::from_cgroup(cgroup).unwrap()));
    }
}

#[test]
fn only_operations_that_a_command_shows_can_be_asked_for() {
    let shown = FileOps { open: false, ..FileOps::ALL };
    assert_eq!(file_ops(&[], shown).unwrap(), shown);
    assert_eq!(file_ops(&[FileOp::Fsync], shown).unwrap(), FileOps { sync: true, ..FileOps::default() });
    let error = file_ops(&[FileOp::Read, FileOp::Open], shown).unwrap_err().to_string();
    assert_eq!(error, "this command does not show the operation open");
}

#[test]
fn only_truncates_by_name_that_are_selected_are_added() {
    let Parsed::Top(args) = Cli::try_parse_from(["iotrace", "top"]).unwrap().command else { panic!("no top") };
    let (differences, truncates) = (Differences::default(), Truncates::default());
    let mut top = Top { args: &args, columns: Vec::new(), differences, truncates };
    let (mut world, mut out) = (world(Form::default()), Vec::new());
    world.selection.path = Some(globset::Glob::new("/etc/*.conf").unwrap().compile_matcher());
    for name in ["a.conf", "b", "./a.conf"] {
        let event = Event::Truncate(truncate(NGINX, name.as_bytes()));
        top.event(event, &mut world, &mut out).unwrap();
    }
    top.event(Event::Io(write(NGINX, LOG)), &mut world, &mut out).unwrap();
    let mut look = Look::default();
    assert_eq!((top.truncates.take(&mut look), out), (None, Vec::new()));
    let found = rows(&look, None, By::ProcessFile, Sort::Bytes);
    assert_eq!((found.len(), found[0].counters.truncates), (1, 2));
    assert_eq!((found[0].path.as_deref(), found[0].comm), (Some(&b"/etc/a.conf"[..]), Some(comm(b"nginx"))));
}

#[test]
fn each_operation_has_a_name() {
    let named = |name: &str| file_ops(&[name.parse().unwrap()], FileOps::ALL).unwrap();
    assert_eq!(named("fallocate"), FileOps { allocate: true, ..FileOps::default() });
    assert_eq!(named("truncate"), FileOps { truncate: true, ..FileOps::default() });
    assert_eq!(named("mmap"), FileOps { mmap: true, ..FileOps::default() });
    assert_eq!(file_ops(&FileOp::ALL, FileOps::ALL).unwrap(), FileOps::ALL);
}
