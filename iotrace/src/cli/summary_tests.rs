#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;
use crate::{cli::lines::tests::parsed, output::json::append};

/// Something of every kind, no two alike.
const LOSSES: Losses = Losses {
    seen: 4093,
    events: 2,
    paths: 3,
    processes: 5,
    unmatched: 7,
    cut: 11,
    maps_full: 13,
    other_files: 17,
    skipped: 19,
};

#[test]
fn what_was_not_lost_is_not_mentioned() {
    assert_eq!(footer(&Losses { seen: 4093, ..Losses::default() }), "");
}

#[test]
fn each_kind_of_loss_has_its_line() {
    let text = footer(&LOSSES);
    let counts: Vec<&str> = text.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(counts, ["2", "8", "7", "13", "17", "19", "11"]);
    insta::assert_snapshot!(text);
}

#[test]
fn the_last_line_of_json_counts_what_is_there_and_what_is_not() {
    let mut out = Vec::new();
    append(&mut out, &line("top", "tracepoint", Duration::from_secs(5), &LOSSES)).unwrap();
    let value = parsed(&out);
    assert_eq!((&value["events"], &value["lost"], &value["names_lost"]), (&4091.into(), &2.into(), &8.into()));
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}
