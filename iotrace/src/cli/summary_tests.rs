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
    append(&mut out, &line("top", "tracepoint", Duration::from_secs(5), &LOSSES, None)).unwrap();
    let value = parsed(&out);
    assert_eq!((&value["events"], &value["lost"], &value["names_lost"]), (&4091.into(), &2.into(), &8.into()));
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn requests_that_hang_have_a_line_for_each_disk_and_others_have_none() {
    let of = |disk: &str, requests, oldest_ns| InFlightLine { disk: disk.to_owned(), requests, oldest_ns };
    assert_eq!(hanging(&[]), "");
    let text = hanging(&[of("sda", 3, 12_300_000_000), of("sdb", 7, 999_999_999), of("sdc", 1, 1_000_000_000)]);
    assert_eq!(text, "not ended: 3 requests to sda, the oldest for 12.3s\nnot ended: a request to sdc, for 1s\n");
}
