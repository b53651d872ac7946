//! Lengths of time: `500ms`, `1m30s`, `0.5`.

use std::time::Duration;

/// A length of time longer than zero: humantime's units (`500ms`, `10s`, `1m30s`), or a plain number of seconds.
///
/// # Errors
/// A line that names what was expected, when `text` is neither, or is zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    match latency(text)? {
        Duration::ZERO => Err("must be longer than 0".into()),
        time => Ok(time),
    }
}

/// The same as [`duration`], but may be zero: a threshold of 0 lets everything pass.
///
/// # Errors
/// A line that names what was expected.
pub fn latency(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    // f64 also knows "inf", "nan" and "1e9": not what anybody means by a number of seconds.
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let parsed = if plain {
        text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    } else {
        humantime::parse_duration(text).ok()
    };
    parsed.ok_or_else(|| "expected a length of time such as 500ms, 10s, 1m30s or 0.5 (seconds)".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_and_plain_seconds() {
        for (text, nanos) in [
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1m 30s", 90_000_000_000),
            ("1.5s", 1_500_000_000),
            ("250us", 250_000),
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            (".5", 500_000_000),
            (" 2 ", 2_000_000_000),
            ("2h", 7_200_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn zero_is_a_latency_but_no_duration() {
        for text in ["0", "0s", "0.0", "0ms"] {
            assert_eq!(latency(text), Ok(Duration::ZERO), "{text}");
            assert_eq!(duration(text), Err("must be longer than 0".into()), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", " ", ".", "1.2.3", "-1", "-1s", "1e3", "inf", "nan", "fast", "10x", "99999999999999999999999", "٣"]
        {
            let error = latency(text).unwrap_err();
            assert!(error.contains("500ms"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_value_or_an_error(text in ".{0,12}") {
            let _ = duration(&text);
        }

        #[test]
        fn milliseconds_mean_milliseconds(ms in 1u64..10_000_000) {
            prop_assert_eq!(duration(&format!("{ms}ms")), Ok(Duration::from_millis(ms)));
        }
    }
}
