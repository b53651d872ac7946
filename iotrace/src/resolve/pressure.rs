//! Time in which somebody waited for I/O: `/proc/pressure/io` (Documentation/accounting/psi.rst).

use std::{fs, path::Path, time::Duration};

/// Since the system started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Some task waited.
    pub some: Duration,
    /// All that had something to do waited.
    pub full: Duration,
}

/// Up to now; `None` where the kernel does not count it (`CONFIG_PSI`, `psi=0`).
pub fn waited_for_io() -> Option<Waited> {
    parse(&fs::read_to_string(Path::new("/proc/pressure/io")).ok()?)
}

fn parse(text: &str) -> Option<Waited> {
    let total = |kind: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(kind))?;
        let total = line.split(' ').find_map(|word| word.strip_prefix("total="))?;
        total.parse().ok().map(Duration::from_micros)
    };
    Some(Waited { some: total("some")?, full: total("full")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_microseconds() {
        let text = "some avg10=9.29 avg60=7.23 avg300=2.82 total=13489711\nfull avg10=6.36 avg60=3.61 avg300=1.26 total=7234674\n";
        let (some, full) = (Duration::from_micros(13_489_711), Duration::from_micros(7_234_674));
        assert_eq!(parse(text), Some(Waited { some, full }));
        assert_eq!(parse("some avg10=0.00\n"), None);
        assert_eq!(parse(""), None);
    }
}
