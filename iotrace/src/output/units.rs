//! Numbers for people.

/// Nanoseconds with three significant digits, trailing zeros left out: `45us`, `1.23ms`, `2.1s`. From 1000 s on whole
/// seconds.
#[must_use]
pub fn nanos(ns: u64) -> String {
    scaled(ns, &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)])
}

/// Bytes with three significant digits in binary units: `58B`, `1.5KiB`, `40GiB`. From 1000 on in the next unit.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    scaled(
        bytes,
        &[
            ("B", 1),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
            ("PiB", 1 << 50),
            ("EiB", 1 << 60),
        ],
    )
}

/// Bytes for a column headed KB: units of 1024 bytes, rounded up, so that `0` means none at all.
#[must_use]
pub fn kib(bytes: u64) -> String {
    bytes.div_ceil(1024).to_string()
}

/// How many per cent `part` is of `whole`, with one decimal, without the sign (a column's header has it). `?` when
/// `whole` is 0.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "?".into();
    }
    // Integers, because f64 would round large counts. At most 2^64 * 1000 fits u128.
    let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A rate or a mean for a column: three significant digits, from 100 on whole numbers, trailing zeros left out. What is not
/// nothing is at least `0.01`, so that `0` means none at all; `?` when `whole` is 0.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "?".into();
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    let rounded = |power: u128| (part * power + whole / 2) / whole;
    let (power, digits) = match (rounded(100), rounded(10)) {
        (hundredths, _) if hundredths < 1000 => (100, hundredths.max(u128::from(part > 0))),
        (_, tenths) if tenths < 1000 => (10, tenths),
        _ => return rounded(1).to_string(),
    };
    let width = if power == 100 { 2 } else { 1 };
    let text = format!("{}.{:0width$}", digits / power, digits % power);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value in the smallest unit that leaves fewer than four digits before the point.
fn scaled(value: u64, units: &[(&str, u64)]) -> String {
    let last = units.len().saturating_sub(1);
    for (index, &(name, size)) in units.iter().enumerate() {
        let whole = value / size;
        // Three significant digits: two decimals below 10, one below 100.
        let decimals = match whole {
            _ if size == 1 => 0,
            0..=9 => 2,
            10..=99 => 1,
            _ => 0,
        };
        let power = 10u128.pow(decimals);
        let rounded = (u128::from(value) * power + u128::from(size) / 2) / u128::from(size);
        // 999.6us is rounded to 1000us, that is 1ms.
        if rounded >= 1000 * power && index < last {
            continue;
        }
        let (digits, fraction) = (rounded / power, rounded % power);
        let fraction = format!("{fraction:0width$}", width = decimals as usize);
        let fraction = if decimals == 0 { "" } else { fraction.trim_end_matches('0') };
        let point = if fraction.is_empty() { "" } else { "." };
        return format!("{digits}{point}{fraction}{name}");
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_three_digits() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1000, "1us"),
            (1024, "1.02us"),
            (45_000, "45us"),
            (45_340, "45.3us"),
            (1_234_567, "1.23ms"),
            (9_999_999, "10ms"),
            (999_499_999, "999ms"),
            (999_500_000, "1s"),
            (2_100_000_000, "2.1s"),
            (90_000_000_000, "90s"),
            (1_234_567_000_000, "1235s"),
            (u64::MAX, "18446744074s"),
        ] {
            assert_eq!(nanos(ns), text);
        }
    }

    #[test]
    fn bytes_are_binary() {
        for (value, text) in [
            (58, "58B"),
            (999, "999B"),
            (1000, "0.98KiB"),
            (1023, "1KiB"),
            (1024, "1KiB"),
            (1536, "1.5KiB"),
            (40 << 30, "40GiB"),
            (1023 << 10, "1MiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn kib_are_rounded_up() {
        for (value, text) in [(0, "0"), (1, "1"), (1024, "1"), (1025, "2"), (u64::MAX, "18014398509481984")] {
            assert_eq!(kib(value), text);
        }
    }

    #[test]
    fn percentages() {
        for (part, whole, text) in [
            (0, 7, "0.0"),
            (1, 3, "33.3"),
            (2, 3, "66.7"),
            (5, 5, "100.0"),
            (3, 2, "150.0"),
            (1, 0, "?"),
            (u64::MAX, 1, "1844674407370955161500.0"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }

    #[test]
    fn ratios_have_three_digits_and_zero_is_none() {
        for (part, whole, text) in [
            (0, 7, "0"),
            (1, 1_000_000, "0.01"),
            (1, 3, "0.33"),
            (5, 2, "2.5"),
            (9_994, 1000, "9.99"),
            (9_996, 1000, "10"),
            (99_940, 1000, "99.9"),
            (99_960, 1000, "100"),
            (1_234_567, 1, "1234567"),
            (1, 0, "?"),
            (u64::MAX, 1, "18446744073709551615"),
        ] {
            assert_eq!(ratio(part, whole), text);
        }
    }

    proptest! {
        #[test]
        fn a_time_reads_back_within_half_a_percent(ns in any::<u64>()) {
            let text = nanos(ns);
            let at = text.find(char::is_alphabetic).unwrap();
            let unit = match &text[at..] { "ns" => 1.0, "us" => 1e3, "ms" => 1e6, _ => 1e9 };
            let back = text[..at].parse::<f64>().unwrap() * unit;
            prop_assert!((back - ns as f64).abs() <= ns as f64 * 0.005 + 0.5, "{} {}", ns, text);
        }
    }
}
