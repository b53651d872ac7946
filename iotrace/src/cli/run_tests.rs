#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may panic
use super::*;

#[test]
fn what_was_not_lost_is_not_mentioned() {
    assert_eq!(footer(&Losses { seen: 4093, ..Losses::default() }), "");
}

#[test]
fn each_kind_of_loss_has_its_line() {
    let losses = Losses {
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
    let text = footer(&losses);
    let counts: Vec<&str> = text.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(counts, ["2", "8", "7", "13", "17", "19", "11"]);
    insta::assert_snapshot!(text);
}
