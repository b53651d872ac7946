#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    cli::{
        form::Form,
        lines::tests::{APP, EVIL, LOG, task, world},
        options::Output,
    },
    event::{Task, naming::Change, naming::Spot},
    view::life::Life,
};
use std::time::Duration;

fn lives(world: &mut World, by: By) -> Lives {
    let mut lives = Lives::new(by, Selection::default());
    let process = world.names.process(APP, None);
    let task: Task = task(APP, b"worker");
    let mut removed = |path: &[u8], at_ns| {
        let name = Spot { base: 0, directory: 0, name: Some(path.to_vec()) };
        let naming = Naming {
            change: Change::Unlink,
            call: "unlink",
            begin_ns: at_ns,
            latency_ns: 1_000_000,
            task: task.clone(),
            name,
            other: None,
            namespace: 1,
            result: Ok(0),
            flags: 0,
        };
        lives.named(&naming, Some(path.to_vec()), None, None, process.clone());
    };
    for number in 0..31 {
        removed(format!("/tmp/job/{number}.tmp").as_bytes(), 1_000_000_000 + number);
    }
    removed(EVIL, 2_000_000_000);
    let file = world.names.file(LOG).cloned().unwrap();
    let open = crate::cli::lines::tests::open(APP, LOG);
    lives.opened(&open, &file, None, true, world.names.process(APP, None));
    lives
}

fn shown(by: By, columns: &[Column]) -> String {
    let mut world = world(Form::new(&Output::default()));
    let rows = lives(&mut world, by).rows(Some((0, 4096)));
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| cell(column.key, row)).collect()).collect();
    let interval = Interval { end_ns: 3_000_000_000, length: Duration::from_secs(3), repeated: false };
    let mut out = Vec::new();
    table(columns, &cells, rows.len(), interval, &mut world, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn table_by_process_and_pattern() {
    insta::assert_snapshot!(shown(By::ProcessFile, &columns(By::ProcessFile)));
}

#[test]
fn table_by_process() {
    insta::assert_snapshot!(shown(By::Process, &columns(By::Process)));
}

#[test]
fn json_of_rows_and_ends() {
    let mut world = world(Form::new(&Output { json: true, ..Output::default() }));
    let mut lives = lives(&mut world, By::ProcessFile);
    let mut out = Vec::new();
    let gone: Vec<Life> = lives.gone(true);
    end_line(gone.last().unwrap(), &mut world, &mut out).unwrap();
    for row in lives.rows(None) {
        life_line(&row, "now", &mut out).unwrap();
    }
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}
