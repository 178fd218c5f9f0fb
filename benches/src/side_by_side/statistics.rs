//! Few numbers with outliers: medians, and how sure one can be of them.

use serde::Serialize;

/// How often a sample is drawn anew for a confidence interval.
const RESAMPLES: usize = 2000;

/// A sample, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The median.
    pub(crate) median: f64,
    /// The smallest value.
    pub(crate) min: f64,
    /// The largest value.
    pub(crate) max: f64,
    /// Between these two is the median with a probability of 95 % (bootstrap).
    pub(crate) interval: (f64, f64),
}

impl Summary {
    /// Sums up a sample; `None` for an empty one.
    pub(crate) fn of(sample: &[f64]) -> Option<Self> {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        // The same numbers give the same interval every time.
        let mut random = fastrand::Rng::with_seed(1);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let mut drawn: Vec<f64> = sorted.iter().map(|_| sorted[random.usize(..sorted.len())]).collect();
                drawn.sort_by(f64::total_cmp);
                median(&drawn)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        let interval = (medians[RESAMPLES / 40], medians[RESAMPLES - 1 - RESAMPLES / 40]);
        Some(Self { median: median(&sorted), min, max, interval })
    }
}

/// The median of a sorted sample that is not empty.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_of_an_unsorted_sample() {
        let summary = Summary::of(&[9.0, 1.0, 2.0]);
        assert_eq!(summary.map(|s| (s.median, s.min, s.max)), Some((2.0, 1.0, 9.0)));
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 3.0]).map(|s| s.median), Some(2.5));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_interval_is_narrow_for_a_sample_that_agrees() {
        assert_eq!(Summary::of(&[2.0; 5]).map(|s| s.interval), Some((2.0, 2.0)));
        let wide = Summary::of(&[1.0, 1.1, 0.9, 1.0, 3.0, 1.05, 0.95]).map(|s| s.interval);
        assert!(wide.is_some_and(|(low, high)| (0.9..=1.0).contains(&low) && (1.0..=3.0).contains(&high)), "{wide:?}");
    }
}
