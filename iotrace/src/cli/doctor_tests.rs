#![allow(clippy::unwrap_used)]
use super::*;
use crate::kernel::doctor::{
    facts::Facts,
    judge,
    sample::{distribution, hardened, ordinary_user, preempting, without_btf, without_io_uring, without_trampolines},
};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

/// What people see of a machine.
fn shown(facts: &Facts, width: Option<usize>) -> String {
    page(&judge::report(facts), &Form { width, ..Form::default() })
}

/// The tables after the first.
fn without_checks(shown: &str) -> &str {
    shown.split_once("\n\n").unwrap().1
}

#[test]
fn a_hardened_kernel() {
    insta::assert_snapshot!(shown(&hardened(), Some(80)));
}

#[test]
fn a_distributions_kernel() {
    insta::assert_snapshot!(shown(&distribution(), Some(80)));
}

#[test]
fn a_kernel_that_preempts() {
    insta::assert_snapshot!(without_checks(&shown(&preempting(), Some(80))));
}

#[test]
fn an_architecture_without_trampolines() {
    insta::assert_snapshot!(without_checks(&shown(&without_trampolines(), Some(80))));
}

#[test]
fn a_kernel_without_io_uring() {
    insta::assert_snapshot!(without_checks(&shown(&without_io_uring(), Some(80))));
}

#[test]
fn an_ordinary_user() {
    insta::assert_snapshot!(shown(&ordinary_user(), None));
}

#[test]
fn a_kernel_without_btf() {
    insta::assert_snapshot!(shown(&without_btf(), Some(110)));
}

#[test]
fn json_of_a_hardened_kernel() {
    insta::assert_snapshot!(String::from_utf8(lines(&judge::report(&hardened())).unwrap()).unwrap());
}

#[test]
fn every_line_fits_the_terminal() {
    for facts in [hardened(), ordinary_user(), without_btf(), distribution(), preempting(), without_io_uring()] {
        for width in [60, 80, 100] {
            for line in shown(&facts, Some(width)).lines() {
                assert!(line.width() <= width, "{line}");
                assert_eq!(line, line.trim_end());
            }
        }
    }
}

#[test]
fn json_begins_with_the_type_and_ends_with_the_summary() {
    for (facts, ok) in [(distribution(), true), (preempting(), true), (ordinary_user(), false), (without_btf(), false)]
    {
        let text = String::from_utf8(lines(&judge::report(&facts)).unwrap()).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (summary, rows) = rows.split_last().unwrap();
        assert!(rows.iter().all(|row| row["type"] == "doctor"));
        assert!(text.lines().all(|line| line.starts_with("{\"type\":")));
        assert_eq!((&summary["type"], &summary["command"]), (&"summary".into(), &"doctor".into()));
        assert_eq!(summary["ok"], ok);
    }
}

#[test]
fn what_a_machine_calls_itself_cannot_break_the_table() {
    let mut facts = distribution();
    facts.release = Some("6.1\x1b[31m\nred".into());
    let text = shown(&facts, None);
    assert!(text.contains(r"6.1\x1b[31m"), "{text}");
    assert!(!text.contains('\x1b'));
}
