//! Sizes of buffers: `64KiB`, `1MiB`.

use crate::kernel::budget::LEAST;
use parse_size::Config;

/// Smallest ring buffer: one page of the smallest page size. aya rounds up to the host's page size.
const MIN: u64 = 4 << 10;
/// Largest ring buffer.
const MAX: u64 = 1 << 30;

/// A limit of memory in bytes: `64MiB`. At least 32 MiB, at most 64 GiB.
///
/// # Errors
/// A line that names what was expected.
pub fn memory(text: &str) -> Result<u64, String> {
    match parse(text)? {
        bytes if bytes < LEAST => Err("must be at least 32MiB".into()),
        bytes if bytes > 64 << 30 => Err("must be at most 64GiB".into()),
        bytes => Ok(bytes),
    }
}

fn parse(text: &str) -> Result<u64, String> {
    let parsed = Config::new().with_binary().parse_size(text);
    parsed.map_err(|_| "expected a size such as 64KiB, 1MiB or 65536 (bytes)".to_owned())
}

/// Size of a ring buffer in bytes: `64KiB`, `1MiB`, `65536`. All units are binary (`1M` is `1MiB`).
///
/// Rounded up to a power of two, which the kernel requires, and to at least 4096; at most 1 GiB.
///
/// # Errors
/// A line that names what was expected.
pub fn size(text: &str) -> Result<u32, String> {
    match parse(text)? {
        0 => Err("must be more than 0".into()),
        bytes if bytes > MAX => Err("must be at most 1GiB".into()),
        bytes => u32::try_from(bytes.max(MIN).next_power_of_two()).map_err(|_| "must be at most 1GiB".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_binary() {
        for (text, bytes) in [
            ("64KiB", 64 << 10),
            ("64K", 64 << 10),
            ("64kb", 64 << 10),
            ("1MiB", 1 << 20),
            ("1 MB", 1 << 20),
            ("0.5M", 1 << 19),
            ("65536", 65536),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn rounded_up_to_a_power_of_two_of_a_page_at_least() {
        for (text, bytes) in [("1", 4096), ("4095", 4096), ("4097", 8192), ("100K", 128 << 10), ("513MiB", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_limit_of_memory_has_limits_of_its_own() {
        for (text, bytes) in [("32MiB", 32 << 20), ("100M", 100 << 20), ("64GiB", 64 << 30)] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        assert_eq!(memory("33554431"), Err("must be at least 32MiB".into()));
        assert_eq!(memory("65GiB"), Err("must be at most 64GiB".into()));
        assert!(memory("much").unwrap_err().starts_with("expected a size"));
    }

    #[test]
    fn too_much_too_little_and_nonsense() {
        assert_eq!(size("0"), Err("must be more than 0".into()));
        for text in ["1073741825", "2GiB", "4GiB", "16EiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "big", "-1", "1 parsec"] {
            assert!(size(text).unwrap_err().contains("64KiB"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn fits_what_was_asked_for(bytes in 1u32..=1 << 30) {
            let got = size(&bytes.to_string()).unwrap();
            prop_assert!(got >= bytes && got.is_power_of_two() && (4096..=1 << 30).contains(&got));
            prop_assert!(got == 4096 || got / 2 < bytes);
        }
    }
}
