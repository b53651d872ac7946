//! Latencies of single syncs, for percentiles: as they are while they are few, and in a histogram when they are many.

use hdrhistogram::Histogram;

/// So many are kept as they are. A histogram of what takes 10 ms has 100 KiB.
const FEW: usize = 1024;
/// Bytes of a histogram, with room for syncs of minutes.
const HISTOGRAM: usize = 256 << 10;

/// Latencies in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    few: Vec<u64>,
    many: Option<Box<Histogram<u64>>>,
    /// Of `many`, which rounds it.
    longest: u64,
}

impl Latencies {
    /// Adds one.
    pub(super) fn record(&mut self, ns: u64) {
        self.longest = self.longest.max(ns);
        match &mut self.many {
            // It grows as it must.
            Some(many) => {
                let _ = many.record(ns);
            }
            None => {
                self.few.push(ns);
                if self.few.len() > FEW {
                    self.gather();
                }
            }
        }
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        other.few.iter().for_each(|ns| self.record(*ns));
        if let Some(more) = &other.many {
            self.longest = self.longest.max(other.longest);
            self.gather();
            if let Some(many) = &mut self.many {
                let _ = many.add(&**more);
            }
        }
    }

    /// From now on in a histogram, unless there is no memory for it.
    fn gather(&mut self) {
        if self.many.is_some() {
            return;
        }
        // Three digits, and as long as it must be.
        let Ok(mut many) = Histogram::<u64>::new(3) else { return };
        for ns in self.few.drain(..) {
            let _ = many.record(ns);
        }
        self.few.shrink_to_fit();
        self.many = Some(Box::new(many));
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.few.len() as u64 + self.many.as_ref().map_or(0, |many| many.len())
    }

    /// The longest.
    pub(super) fn longest(&self) -> u64 {
        self.longest
    }

    /// Bytes of memory, at most.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.few.capacity() * 8 + self.many.as_ref().map_or(0, |_| HISTOGRAM)
    }

    /// Median and 99th percentile.
    pub(super) fn percentiles(&self) -> (u64, u64) {
        if let Some(many) = &self.many {
            let at = |quantile| many.value_at_quantile(quantile).min(self.longest);
            return (at(0.5), at(0.99));
        }
        let mut sorted = self.few.clone();
        sorted.sort_unstable();
        let at = |per_cent: usize| {
            let rank = (sorted.len() * per_cent).div_ceil(100).saturating_sub(1);
            sorted.get(rank).copied().unwrap_or(0)
        };
        (at(50), at(99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
        let mut all = Latencies::default();
        values.into_iter().for_each(|ns| all.record(ns));
        all
    }

    #[test]
    fn few_are_exact() {
        assert_eq!(of(1..=100).percentiles(), (50, 99));
        assert_eq!(of([7]).percentiles(), (7, 7));
        assert_eq!(of([]).percentiles(), (0, 0));
        assert_eq!(of([1, 1_000_001]).percentiles(), (1, 1_000_001));
    }

    proptest! {
        #[test]
        fn many_are_as_few_within_three_digits(
            a in prop::collection::vec(1_u64..100_000_000, 1..600), b in prop::collection::vec(1_u64..100_000_000, 1..600)
        ) {
            let mut sum = of(a.clone());
            sum.gather();
            sum.add(&of(b.clone()));
            let exact = Latencies { few: [a, b].concat(), ..Latencies::default() };
            prop_assert_eq!(sum.len(), exact.len());
            prop_assert_eq!(sum.longest(), exact.few.iter().max().copied().unwrap_or(0));
            let near = |found: u64, exact: u64| found.abs_diff(exact) * 1000 <= exact.max(1000);
            let (found, exact) = (sum.percentiles(), exact.percentiles());
            prop_assert!(near(found.0, exact.0) && near(found.1, exact.1), "{found:?} {exact:?}");
        }
    }

    #[test]
    fn it_takes_no_more_than_it_says() {
        let many = of((0..10_000).map(|number| number * 10_000_000));
        let counts = many.many.as_ref().map_or(0, |many| many.distinct_values() * 8);
        assert!(counts > 0 && counts <= HISTOGRAM, "{counts}");
    }
}
