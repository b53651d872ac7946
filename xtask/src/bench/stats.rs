//! Medians and quartiles: what a few rounds on a shared machine allow to say.

use std::iter::Sum;

use serde::{Deserialize, Serialize};

/// The middle of some figures, and between which values half of them lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Half of the figures are smaller.
    pub(crate) median: f64,
    /// A quarter of the figures is smaller.
    pub(crate) low: f64,
    /// A quarter of the figures is larger.
    pub(crate) high: f64,
}

impl Spread {
    /// Median and quartiles; `NaN` when there are no figures.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self { median: quantile(&figures, 0.5), low: quantile(&figures, 0.25), high: quantile(&figures, 0.75) }
    }
}

impl Sum for Spread {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self { median: 0.0, low: 0.0, high: 0.0 }, |sum, one| Self {
            median: sum.median + one.median,
            low: sum.low + one.low,
            high: sum.high + one.high,
        })
    }
}

/// The median; `NaN` when there are no figures.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(figures).median
}

/// Between two neighbours in proportion, so that two figures have their mean as median.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([7.0]), 7.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn quartiles_enclose_the_middle_half() {
        assert_eq!(Spread::of([5.0, 4.0, 3.0, 2.0, 1.0]), Spread { median: 3.0, low: 2.0, high: 4.0 });
        assert_eq!(Spread::of([1.0, 2.0]), Spread { median: 1.5, low: 1.25, high: 1.75 });
    }

    #[test]
    fn one_figure_out_of_line_moves_nothing() {
        assert_eq!(Spread::of([1.0, 1.0, 1.0, 1.0, 1000.0]), Spread { median: 1.0, low: 1.0, high: 1.0 });
    }
}
