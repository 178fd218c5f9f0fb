//! Where the numbers of a series lie: all buckets and sums of its histograms in one slice of counters.

use std::sync::atomic::{AtomicU64, Ordering};

use super::family::{Family, Scale};
use super::options::{MetricsError, MetricsOptions};
use crate::record::RequestRecord;

/// The shape that all series share: the sums of all histograms side by side, for nearly every request adds to each, then the
/// buckets of each histogram: one per bound, and the one above the last.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) histograms: Vec<Histogram>,
    cells: usize,
    /// Time series that one set of histograms is exposed as.
    pub(super) exposed: usize,
}

/// One histogram in the layout.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) family: Family,
    /// Inclusive upper bounds in the unit of the observations: nanoseconds or bytes.
    limits: Box<[u64]>,
    /// The same bounds as they are exposed.
    pub(super) bounds: Box<[f64]>,
    /// Observations are exposed divided by this.
    unit: f64,
    /// Where its sum is.
    sum: usize,
    /// Where its buckets begin.
    buckets: usize,
}

/// The state of a histogram at one moment.
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    /// Observations up to and including each bound.
    pub(super) cumulative: Vec<u64>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

/// What a request adds to its histograms; `None` for what did not happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    request_ns: u64,
    response_ns: Option<u64>,
    connect_ns: Option<u64>,
    header_ns: Option<u64>,
    request_bytes: u64,
    response_bytes: u64,
}

impl Observation {
    pub(super) fn of(record: &RequestRecord<'_>) -> Self {
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let last = record.tries.last();
        Self {
            request_ns: nanoseconds(record.duration),
            response_ns: last.map(|last| nanoseconds(last.total)),
            connect_ns: last.and_then(|last| last.connect).map(nanoseconds),
            header_ns: last.and_then(|last| last.header).map(nanoseconds),
            request_bytes: record.request_length,
            response_bytes: record.bytes_sent(),
        }
    }

    fn value(&self, family: Family) -> Option<u64> {
        match family {
            Family::Requests => None,
            Family::RequestDuration => Some(self.request_ns),
            Family::ResponseDuration => self.response_ns,
            Family::ConnectDuration => self.connect_ns,
            Family::HeaderDuration => self.header_ns,
            Family::RequestSize => Some(self.request_bytes),
            Family::ResponseSize | Family::BytesSent => Some(self.response_bytes),
        }
    }
}

impl Layout {
    pub(super) fn new(options: &MetricsOptions) -> Result<Self, MetricsError> {
        let mut layout = Self { histograms: Vec::new(), cells: 0, exposed: 0 };
        for family in Family::ALL {
            let Some(scale) = family.scale().filter(|_| options.families.contains(&family)) else { continue };
            let (bounds, unit) = match scale {
                Scale::Time => (&options.time_buckets, 1e9),
                Scale::Length => (&options.length_buckets, 1.0),
                Scale::Size => (&options.size_buckets, 1.0),
            };
            let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
            if bounds.is_empty() || !ascending || !bounds.iter().all(|bound| bound.is_finite() && *bound > 0.0) {
                return Err(MetricsError::Buckets { family: family.name(), bounds: bounds.clone() });
            }
            // A bound of a fraction of a byte holds the same whole numbers as the number below it. Time is rounded, for
            // 0.005 has no exact form. The conversion saturates.
            let limit = |bound: &f64| if unit > 1.0 { (bound * unit).round() as u64 } else { *bound as u64 };
            layout.histograms.push(Histogram {
                family,
                limits: bounds.iter().map(limit).collect(),
                bounds: bounds.as_slice().into(),
                unit,
                sum: layout.histograms.len(),
                buckets: layout.cells,
            });
            layout.cells += bounds.len() + 1;
            layout.exposed += bounds.len() + 3;
        }
        let sums = layout.histograms.len();
        layout.histograms.iter_mut().for_each(|histogram| histogram.buckets += sums);
        layout.cells += sums;
        Ok(layout)
    }

    /// Cells for one series, all zero.
    pub(super) fn cells(&self) -> Box<[AtomicU64]> {
        std::iter::repeat_with(AtomicU64::default).take(self.cells).collect()
    }

    /// Adds a request to the cells of its series.
    pub(super) fn observe(&self, cells: &[AtomicU64], observation: &Observation) {
        for histogram in &self.histograms {
            if let Some(value) = observation.value(histogram.family) {
                let bucket = histogram.limits.iter().position(|limit| value <= *limit);
                let bucket = histogram.buckets + bucket.unwrap_or(histogram.limits.len());
                cells[histogram.sum].fetch_add(value, Ordering::Relaxed);
                cells[bucket].fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Histogram {
    /// Reads the cells of a series. The count is that of the buckets read, so that the two always agree; the sum may be
    /// a request ahead or behind.
    pub(super) fn read(&self, cells: &[AtomicU64]) -> Reading {
        let mut count = 0;
        let mut cumulative: Vec<u64> = cells[self.buckets..][..=self.limits.len()]
            .iter()
            .map(|cell| {
                count += cell.load(Ordering::Relaxed);
                count
            })
            .collect();
        cumulative.pop();
        Reading { cumulative, count, sum: cells[self.sum].load(Ordering::Relaxed) as f64 / self.unit }
    }
}
