//! Times of day for the kernel's monotonic times.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use std::{fmt::Write, ops::Deref};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;
/// Samples of the two clocks; the one taken fastest counts.
const SAMPLES: usize = 5;

/// Turns CLOCK_MONOTONIC, which the kernel side stamps its records with, into the time of day.
///
/// The date and time down to the second are formatted once a second and then reused: streams stamp each event.
#[derive(Clone, Debug)]
pub struct Clock {
    /// CLOCK_REALTIME - CLOCK_MONOTONIC, nanoseconds.
    offset: i64,
    zone: TimeZone,
    utc: Prefix,
    local: Prefix,
}

/// A time as [`Clock::stamp`] formats it, without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Stamp(#[schemars(with = "String")] [u8; Self::LEN]);

impl Stamp {
    const LEN: usize = 30;
}

impl Deref for Stamp {
    type Target = str;

    fn deref(&self) -> &str {
        // Only ASCII is written.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// The formatted start of a second.
#[derive(Clone, Debug, Default)]
struct Prefix {
    second: Option<i64>,
    text: String,
}

impl Clock {
    /// The clock as it is set now, and the system's time zone.
    #[must_use]
    pub fn now() -> Self {
        Self::new(sample(), TimeZone::system())
    }

    /// A clock with a given CLOCK_REALTIME - CLOCK_MONOTONIC, nanoseconds: for recorded data.
    #[must_use]
    pub fn new(offset: i64, zone: TimeZone) -> Self {
        Self { offset, zone, utc: Prefix::default(), local: Prefix::default() }
    }

    /// CLOCK_REALTIME - CLOCK_MONOTONIC, nanoseconds.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// Takes the clock as it is set now. After a suspend (CLOCK_MONOTONIC stands still meanwhile) or when somebody set
    /// the clock, times would be wrong until then: call it about once a second.
    pub fn resample(&mut self) {
        self.offset = sample();
    }

    /// Nanoseconds since 1970 of a monotonic time.
    #[must_use]
    pub fn unix_ns(&self, mono_ns: u64) -> i64 {
        i64::try_from(mono_ns).unwrap_or(i64::MAX).saturating_add(self.offset)
    }

    /// `2026-11-20T12:00:00.123456789Z`: UTC, always nine digits.
    #[must_use]
    pub fn rfc3339(&mut self, mono_ns: u64) -> String {
        self.stamp(mono_ns).to_string()
    }

    /// What [`Self::rfc3339`] gives, without allocating except when a new second begins.
    #[must_use]
    pub fn stamp(&mut self, mono_ns: u64) -> Stamp {
        let time = self.unix_ns(mono_ns);
        let prefix = self.utc.of(time.div_euclid(SECOND), |at, text| {
            let utc = at.to_zoned(TimeZone::UTC);
            let (date, time) = (utc.date(), utc.time());
            let (hour, minute, second) = (time.hour(), time.minute(), time.second());
            write!(text, "{:04}-{:02}-{:02}T", date.year(), date.month(), date.day())?;
            write!(text, "{hour:02}:{minute:02}:{second:02}.")
        });
        let mut text = [b'Z'; Stamp::LEN];
        let below_second = digits::<9>(time.rem_euclid(SECOND));
        let parts = prefix.as_bytes().iter().chain(&below_second);
        for (to, from) in text.iter_mut().zip(parts) {
            *to = *from;
        }
        Stamp(text)
    }

    /// `12:00:00.123`: local time for tables, milliseconds cut off.
    #[must_use]
    pub fn hms(&mut self, mono_ns: u64) -> String {
        let time = self.unix_ns(mono_ns);
        let Self { local, zone, .. } = self;
        let prefix = local.of(time.div_euclid(SECOND), |at, text| {
            let time = at.to_zoned(zone.clone()).time();
            write!(text, "{:02}:{:02}:{:02}.", time.hour(), time.minute(), time.second())
        });
        let millis = digits::<3>(time.rem_euclid(SECOND) / 1_000_000);
        prefix.chars().chain(millis.map(char::from)).collect()
    }
}

impl Prefix {
    /// The text for a second, formatted unless it is the one before.
    fn of(&mut self, second: i64, format: impl FnOnce(Timestamp, &mut String) -> std::fmt::Result) -> &str {
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            // 64 bits of nanoseconds end in 2262, within what jiff knows; and writing to a String cannot fail.
            let _ = format(Timestamp::from_second(second).unwrap_or_default(), &mut self.text);
        }
        &self.text
    }
}

/// The last N decimal digits of a number that is not negative.
fn digits<const N: usize>(mut value: i64) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    text
}

/// CLOCK_REALTIME - CLOCK_MONOTONIC. Read in between two reads of the other clock; being interrupted there would shift
/// the result, so the narrowest of several tries counts.
fn sample() -> i64 {
    let tries = (0..SAMPLES).map(|_| {
        let (before, real, after) =
            (read(libc::CLOCK_MONOTONIC), read(libc::CLOCK_REALTIME), read(libc::CLOCK_MONOTONIC));
        (after - before, real - (before + (after - before) / 2))
    });
    tries.min().map_or(0, |(_, offset)| offset)
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call to write to. Both clocks exist on every Linux, so it cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * SECOND + time.tv_nsec
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::tz::Offset;
    use proptest::prelude::*;

    fn utc(offset: i64) -> Clock {
        Clock::new(offset, TimeZone::UTC)
    }

    #[test]
    fn nine_digits_and_z() {
        let mut clock = utc(0);
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1_795_176_000_123_456_789, "2026-11-20T12:00:00.123456789Z"),
            (1_795_176_000_123_456_790, "2026-11-20T12:00:00.123456790Z"),
            (1_795_176_000_999_999_999, "2026-11-20T12:00:00.999999999Z"),
            (1_795_176_001_000_000_000, "2026-11-20T12:00:01.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
        ] {
            assert_eq!(clock.rfc3339(ns), text);
        }
    }

    #[test]
    fn the_offset_is_added_and_a_time_before_1970_is_no_problem() {
        assert_eq!(utc(1_795_176_000 * SECOND).rfc3339(1), "2026-11-20T12:00:00.000000001Z");
        assert_eq!(utc(-1).rfc3339(0), "1969-12-31T23:59:59.999999999Z");
        assert!(utc(i64::MAX).rfc3339(u64::MAX).starts_with("2262-"));
    }

    #[test]
    fn tables_have_local_time() {
        let mut clock = Clock::new(0, TimeZone::fixed(Offset::constant(-3)));
        assert_eq!(clock.hms(1_795_176_000_123_999_999), "09:00:00.123");
        assert_eq!(clock.hms(1_795_176_000_124_000_000), "09:00:00.124");
        assert_eq!(clock.hms(1_795_176_061_000_000_000), "09:01:01.000");
    }

    #[test]
    fn now_is_now() {
        let clock = Clock::now();
        let mono = read(libc::CLOCK_MONOTONIC) as u64;
        let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
        assert!((real - clock.unix_ns(mono)).abs() < 1_000_000_000);
    }

    proptest! {
        #[test]
        fn agrees_with_jiff_in_any_order(times in prop::collection::vec(0u64..4_000_000_000_000_000_000, 1..20)) {
            let mut clock = utc(0);
            for ns in times {
                let text = clock.rfc3339(ns);
                let parsed: Timestamp = text.parse().unwrap();
                prop_assert_eq!(parsed.as_nanosecond(), i128::from(ns));
                prop_assert_eq!(text.len(), 30);
            }
        }
    }
}
