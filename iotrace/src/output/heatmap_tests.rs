#![allow(clippy::unwrap_used)]
use super::super::nanos;
use super::*;
use proptest::prelude::*;

const PLAIN: Ink = Ink { bars: Bars::Blocks, colour: false };

/// Buckets up to 2^bit - 1.
fn column(counts: &[(u32, u64)]) -> Vec<(u64, u64)> {
    counts.iter().map(|(bit, count)| ((1 << bit) - 1, *count)).collect()
}

/// A disk that gets slow in the middle, and one interval without requests.
fn usual() -> Vec<Vec<(u64, u64)>> {
    let fast = column(&[(15, 311), (16, 4_093), (17, 12)]);
    let slow = column(&[(15, 2), (16, 97), (17, 0), (18, 31), (25, 7), (28, 1)]);
    vec![fast.clone(), fast.clone(), fast.clone(), slow.clone(), slow, Vec::new(), fast]
}

#[test]
fn blocks() {
    insta::assert_snapshot!(heatmap(&usual(), PLAIN, nanos));
}

#[test]
fn ascii() {
    let text = heatmap(&usual(), Ink { bars: Bars::Ascii, ..PLAIN }, nanos);
    assert!(text.is_ascii());
    insta::assert_snapshot!(text);
}

#[test]
fn colours_change_nothing_else() {
    let colour = heatmap(&usual(), Ink { colour: true, ..PLAIN }, nanos);
    let codes = ["27", "226", "208", "196"].map(|code| format!("\x1b[38;5;{code}m"));
    let plain = codes.iter().fold(colour.clone(), |text, code| text.replace(code, "")).replace("\x1b[0m", "");
    assert_eq!((plain, colour.contains('\x1b')), (heatmap(&usual(), PLAIN, nanos), true));
}

#[test]
fn without_counts_there_is_nothing() {
    assert_eq!(heatmap(&[], PLAIN, nanos), "");
    assert_eq!(heatmap(&[column(&[(4, 0)]), Vec::new()], PLAIN, nanos), "");
}

#[test]
fn one_request_has_a_shade() {
    assert_eq!(heatmap(&[column(&[(10, 1)])], PLAIN, nanos), "1.02us █\n       █ 1\n");
}

proptest! {
    #[test]
    fn every_bucket_with_a_count_has_one_shade(columns in prop::collection::vec(prop::collection::btree_map(1u32..64, 0u64..5_000, 0..8), 0..20)) {
        let columns: Vec<_> = columns.into_iter().map(|counts| column(&counts.into_iter().collect::<Vec<_>>())).collect();
        let text = heatmap(&columns, PLAIN, nanos);
        let shown = |line: &str| line.chars().filter(|c| SHADES.iter().any(|(block, _, _)| block == c)).count();
        let rows = text.lines().count().saturating_sub(1);
        let drawn: usize = text.lines().take(rows).map(shown).sum();
        prop_assert_eq!(drawn, columns.iter().flatten().filter(|(_, count)| *count > 0).count());
    }
}
