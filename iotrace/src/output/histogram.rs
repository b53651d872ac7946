//! Histograms as text.

use unicode_width::UnicodeWidthStr;

/// Narrowest bar, however little room there is.
const BAR_MIN: usize = 8;
/// One to seven eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// What bars are drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bars {
    /// Block elements, to an eighth of a column: for terminals in a UTF-8 locale.
    Blocks,
    /// `*`, for all others.
    Ascii,
}

/// A row per bucket: the half-open range, the count, and a bar in proportion to the largest count. Each row ends with a
/// newline and is at most `width` columns wide, unless less than 8 would be left for the bars.
///
/// `buckets` are `(low, high, count)` in ascending order, `high` being the next one's `low` or `u64::MAX` for no limit;
/// `text` writes a limit with its unit ([`super::nanos`] or [`super::bytes`]). Empty buckets at either end are left out;
/// without any count the text is empty. A bucket that is not empty has a bar, however short.
#[must_use]
pub fn histogram(buckets: &[(u64, u64, u64)], width: usize, bars: Bars, text: fn(u64) -> String) -> String {
    let filled = |bucket: &(u64, u64, u64)| bucket.2 > 0;
    let (Some(first), Some(last)) = (buckets.iter().position(filled), buckets.iter().rposition(filled)) else {
        return String::new();
    };
    let shown = buckets.get(first..=last).unwrap_or_default();
    let rows: Vec<_> = shown
        .iter()
        .map(|&(low, high, count)| (text(low), if high == u64::MAX { "inf".into() } else { text(high) }, count))
        .collect();
    let widest = |of: fn(&(String, String, u64)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (low_width, high_width) = (widest(|row| row.0.width()), widest(|row| row.1.width()));
    let count_width = widest(|row| row.2.to_string().len());
    let most = rows.iter().map(|row| row.2).max().unwrap_or(0);
    // "[LOW, HIGH)  COUNT  "
    let room = width.saturating_sub(low_width + high_width + count_width + 8).max(BAR_MIN);
    let mut out = String::new();
    for (low, high, count) in &rows {
        let row = format!(
            "[{low:>low_width$}, {high:>high_width$})  {count:>count_width$}  {}",
            bar(*count, most, room, bars)
        );
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn bar(count: u64, most: u64, room: usize, bars: Bars) -> String {
    let steps = match bars {
        Bars::Blocks => room * 8,
        Bars::Ascii => room,
    };
    let most = u128::from(most.max(1));
    let length = (u128::from(count) * steps as u128 + most / 2) / most;
    let length = usize::try_from(length).unwrap_or(steps).clamp(usize::from(count > 0), steps);
    match bars {
        Bars::Blocks => "█".repeat(length / 8) + EIGHTHS.get(length % 8).unwrap_or(&""),
        Bars::Ascii => "*".repeat(length),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{bytes, nanos};
    use super::*;
    use proptest::prelude::*;

    /// Counts from 512 ns on, in log2 buckets.
    fn log2(counts: &[u64]) -> Vec<(u64, u64, u64)> {
        counts.iter().enumerate().map(|(index, &count)| (512 << index, 1024 << index, count)).collect()
    }

    fn usual() -> Vec<(u64, u64, u64)> {
        log2(&[0, 0, 0, 1, 12, 2048, 4093, 1021, 0, 64, 333, 7, 0, 0, 0, 1, 0, 0])
    }

    #[test]
    fn width_80() {
        insta::assert_snapshot!(histogram(&usual(), 80, Bars::Blocks, nanos));
    }

    #[test]
    fn width_40() {
        insta::assert_snapshot!(histogram(&usual(), 40, Bars::Blocks, nanos));
    }

    #[test]
    fn ascii() {
        insta::assert_snapshot!(histogram(&usual(), 80, Bars::Ascii, nanos));
    }

    #[test]
    fn sizes_and_a_last_bucket_without_limit() {
        let buckets = [(0, 1024, 3), (1024, 4096, 9), (4096, u64::MAX, 1)];
        insta::assert_snapshot!(histogram(&buckets, 40, Bars::Blocks, bytes));
    }

    #[test]
    fn without_counts_there_is_nothing() {
        assert_eq!(histogram(&[], 80, Bars::Blocks, nanos), "");
        assert_eq!(histogram(&log2(&[0, 0]), 80, Bars::Blocks, nanos), "");
    }

    proptest! {
        #[test]
        fn rows_fit_and_show_every_count(counts in prop::collection::vec(prop_oneof![Just(0), any::<u64>()], 0..40), width in 0usize..120) {
            for bars in [Bars::Blocks, Bars::Ascii] {
                let text = histogram(&log2(&counts), width, bars, nanos);
                for line in text.lines() {
                    prop_assert!(line.width() <= width.max(60) && line.trim_end() == line);
                    let empty = line.contains(")  ") && line.ends_with(" 0");
                    prop_assert!(empty || line.ends_with(|c| c == '*' || ('▉'..='▏').contains(&c) || c == '█'), "{line}");
                }
            }
        }
    }
}
