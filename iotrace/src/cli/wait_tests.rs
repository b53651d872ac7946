#![allow(clippy::unwrap_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        form::Form,
        lines::tests::{APP, EVIL, NGINX, counters, parsed, row, world},
        wait_lines::tests::pressed,
    },
    output::Table,
    view::wait::Peer,
};
use unicode_width::UnicodeWidthStr;

/// Five seconds.
const WALL: u64 = 5_000_000_000;

fn all() -> Vec<WaitRow> {
    let mut world = world(Form::default());
    let mut of = |pid, path: &[u8], op, reason, ns| {
        let row = row(&mut world, pid, Some(path), counters());
        WaitRow { row, op, reason, ns, max_ns: ns / 3, waits: 7, ..WaitRow::default() }
    };
    let log = &b"/var/lib/docker/containers/3f4a9c0f1b2d/app.log"[..];
    let peer = Peer { pid: 4711, comm: b"shim".to_vec(), state: "sleeping" };
    vec![
        WaitRow {
            pipe: Some((15, 9)),
            peers: Some(vec![peer]),
            waiting: 1,
            ..of(NGINX, b"pipe:[9]", "write", Some(Reason::PipeFull), WALL)
        },
        WaitRow {
            function: Some("jbd2_log_wait_commit"),
            ..of(NGINX, log, "fsync", Some(Reason::Journal), 2_100_000_000)
        },
        WaitRow {
            holder: Some(Holder { tid: 12, found: Some((11, b"backup".to_vec())) }),
            ..of(APP, log, "write", Some(Reason::Lock), 930_000_000)
        },
        of(APP, EVIL, "read", None, 41_000),
    ]
}

fn text(columns: &str, width: Option<usize>) -> String {
    let columns: Vec<Column> = select(COLUMNS, columns).unwrap().into_iter().map(|index| COLUMNS[index]).collect();
    let cells: Vec<Vec<String>> =
        all().iter().map(|row| columns.iter().map(|column| cell(column.key, row, WALL)).collect()).collect();
    Form { width, ..Form::default() }.table(&Table::new(columns, width), &cells)
}

#[test]
fn table_at_80_columns() {
    let text = text(default_columns(By::ProcessFile), Some(80));
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn table_in_a_pipe() {
    let tables = text(default_columns(By::ProcessFile), None) + &text("tid,waits,now,function,disk,fs,container", None);
    insta::assert_snapshot!(tables);
}

#[test]
fn json_of_a_row() {
    let (mut world, mut out) = (world(Form::default()), Vec::new());
    for row in all().iter().take(3) {
        wait_line(row, "2026-11-20T12:00:00.000000000Z", WALL, &mut world, &mut out).unwrap();
    }
    let lines = String::from_utf8(out).unwrap();
    assert!(lines.split_inclusive('\n').all(|line| parsed(line.as_bytes())["type"] == "wait"));
    insta::assert_snapshot!(lines);
}

#[test]
fn pressure_is_told_in_per_cent_of_the_time() {
    let pressed = pressed(500, 250);
    assert_eq!(pressure_text(std::slice::from_ref(&pressed), WALL), "pressure: some 10.0 %, full 5.0 % host\n");
    let mut out = Vec::new();
    pressure_line(&pressed, "2026-11-20T12:00:00.000000000Z", WALL, &mut out).unwrap();
    let line = parsed(&out);
    assert_eq!((line["some_ns"].as_u64(), line["full_pct"].as_f64()), (Some(500_000_000), Some(5.0)), "{line}");
    assert!(line["cgroup"].is_null());
}
