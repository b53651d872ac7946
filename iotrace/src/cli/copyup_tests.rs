#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{
    cli::{
        Cli, Command as Parsed,
        form::Form,
        lines::tests::{APP, HOSTILE, LOG, LONG, NGINX, VDA1, task, world},
    },
    event::copyup::CopyUp,
};
use clap::Parser;
use unicode_width::UnicodeWidthStr;

fn args(options: &[&str]) -> Args {
    let words = ["iotrace", "copyup"].iter().chain(options);
    match Cli::try_parse_from(words).unwrap().command {
        Parsed::CopyUp(args) => args,
        other => panic!("{other:?}"),
    }
}

fn copy_up(pid: u32, file: u64) -> CopyUp {
    CopyUp {
        call: Some("openat"),
        begin_ns: 1_234_567_890,
        latency_ns: Some(134_000_000),
        task: task(pid, b"worker"),
        file,
        upper: LOG,
        inode: Some((1000 + file, VDA1)),
        directory: false,
        size: Some(5_000_011),
        bytes: Some(5_000_011),
        sync_ns: 33_000_000,
        syncs: 1,
        directories: 2,
        result: Ok(3),
    }
}

/// All there is to show.
fn copy_ups() -> Vec<CopyUp> {
    vec![
        copy_up(NGINX, LOG),
        CopyUp { call: Some("fchmodat"), syncs: 0, sync_ns: 0, bytes: Some(0), ..copy_up(NGINX, LONG) },
        CopyUp { call: None, latency_ns: None, bytes: None, result: Ok(0), syncs: 0, ..copy_up(APP, HOSTILE) },
        CopyUp { result: Err(28), bytes: Some(8192), ..copy_up(APP, LOG) },
        CopyUp { directory: true, size: Some(0), bytes: Some(0), ..copy_up(APP, LONG) },
        // Its path was lost.
        copy_up(APP, 77),
    ]
}

fn stream(options: &[&str], form: Form) -> String {
    let args = args(options);
    let sums = args.summary.then(|| Sums::new(args.by));
    let mut command = CopyUps { args: &args, table: table(None), width: None, sums };
    let (mut world, mut out) = (world(form), Vec::new());
    command.begin(&mut world, &mut out);
    for event in copy_ups() {
        command.event(Event::CopyUp(event), &mut world, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_at_80_columns() {
    let text = stream(&["-a"], Form { width: Some(80), ..Form::default() });
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn lines_in_a_pipe() {
    insta::assert_snapshot!(stream(&["-a"], Form::default()));
}

#[test]
fn lines_of_json() {
    insta::assert_snapshot!(stream(&["-a"], Form { json: true, ..Form::default() }));
}

#[test]
fn directories_alone_need_to_be_asked_for() {
    let lines = |options: &[&str]| stream(options, Form::default()).lines().count();
    assert_eq!((lines(&["-a"]), lines(&[])), (7, 6));
}
