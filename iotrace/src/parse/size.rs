//! Sizes of buffers: `64KiB`, `1MiB`.

use parse_size::Config;

/// Smallest ring buffer: one page of the smallest page size. aya rounds up to the host's page size.
const MIN: u64 = 4 << 10;
/// Largest ring buffer.
const MAX: u64 = 1 << 30;

/// Size of a ring buffer in bytes: `64KiB`, `1MiB`, `65536`. All units are binary (`1M` is `1MiB`).
///
/// Rounded up to a power of two, which the kernel requires, and to at least 4096; at most 1 GiB.
///
/// # Errors
/// A line that names what was expected.
pub fn size(text: &str) -> Result<u32, String> {
    let bytes = Config::new()
        .with_binary()
        .parse_size(text)
        .map_err(|_| "expected a size such as 64KiB, 1MiB or 65536 (bytes)".to_owned())?;
    match bytes {
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
