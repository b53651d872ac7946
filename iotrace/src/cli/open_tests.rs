#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::cli::{
    Cli, Command as Parsed,
    form::Form,
    lines::tests::{APP, EVIL, HOSTILE, LOG, LONG, NGINX, failed_open, open, parsed, world},
};
use clap::Parser;
use unicode_width::UnicodeWidthStr;

fn args(options: &[&str]) -> Args {
    let words = ["iotrace", "open"].iter().chain(options);
    match Cli::try_parse_from(words).unwrap().command {
        Parsed::Open(args) => args,
        other => panic!("{other:?}"),
    }
}

fn stream(options: &[&str], form: Form) -> String {
    let args = args(options);
    let mut command = Opens { args: &args, table: Table::new(COLUMNS.iter().copied(), None) };
    let (mut world, mut out) = (world(form), Vec::new());
    command.begin(&mut world, &mut out);
    for open in [
        open(NGINX, LOG),
        Open { begin_ns: 1_999_999_999, ..open(NGINX, LONG) },
        Open { flags: libc::O_CLOEXEC as u64, ..open(APP, HOSTILE) },
        failed_open(APP, b"./gone"),
        failed_open(APP, EVIL),
        Open { name: None, ..failed_open(APP, b"") },
        // Its record was lost.
        open(APP, 77),
    ] {
        command.event(Event::Open(open), &mut world, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_at_80_columns() {
    let text = stream(&[], Form { width: Some(80), ..Form::default() });
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn lines_in_a_pipe() {
    insta::assert_snapshot!(stream(&[], Form::default()));
}

#[test]
fn lines_with_flags_by_name() {
    insta::assert_snapshot!(stream(&["-e"], Form::default()));
}

#[test]
fn hostile_names_keep_their_line() {
    let text = stream(&[], Form::default());
    assert_eq!(text.lines().count(), 8);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn json_has_no_header_and_a_line_per_open() {
    let text = stream(&[], Form { json: true, ..Form::default() });
    assert_eq!(text.lines().count(), 7);
    for line in text.split_inclusive('\n') {
        assert_eq!(parsed(line.as_bytes())["type"], "open");
    }
}

#[test]
fn only_what_is_selected_has_a_line() {
    let args = args(&["--path", "/etc/*"]);
    let mut command = Opens { args: &args, table: Table::new(COLUMNS.iter().copied(), None) };
    let (mut world, mut out) = (world(Form::default()), Vec::new());
    world.selection = args.common.filters.selection();
    for open in [open(APP, LOG), failed_open(APP, b"gone"), Open { name: None, ..failed_open(APP, b"") }] {
        command.event(Event::Open(open), &mut world, &mut out).unwrap();
    }
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.ends_with(" /etc/gone\n"));
}
