//! Request metrics as Prometheus reads them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::family::Family;
use super::layout;
use super::options::{MetricsError, MetricsOptions};
use super::store::{RouteLabels, Store};

/// The collector of all request metrics.
pub(super) struct RequestMetrics {
    store: Arc<Store>,
    descriptions: Vec<Desc>,
    controller_class: String,
    controller_namespace: String,
    controller_pod: String,
    per_host: bool,
    counts: bool,
}

impl RequestMetrics {
    pub(super) fn new(store: Arc<Store>, options: &MetricsOptions) -> Result<Self, MetricsError> {
        let described = Family::ALL.into_iter().filter(|family| options.families.contains(family));
        let descriptions = described
            .map(|family| Desc::new(family.name().to_owned(), family.help().to_owned(), Vec::new(), HashMap::new()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            store,
            descriptions,
            controller_class: options.controller_class.clone(),
            controller_namespace: options.controller_namespace.clone(),
            controller_pod: options.controller_pod.clone(),
            per_host: options.per_host,
            counts: options.families.contains(&Family::Requests),
        })
    }

    /// The labels of a series, sorted by name as the format's other writers do.
    fn labels(&self, route: Option<&RouteLabels>, method: &str, status: &str) -> Vec<LabelPair> {
        let of = |label: fn(&RouteLabels) -> &str| route.map_or("", label);
        let mut labels = vec![
            label("canary", of(|route| &route.canary)),
            label("controller_class", &self.controller_class),
            label("controller_namespace", &self.controller_namespace),
            label("controller_pod", &self.controller_pod),
        ];
        if self.per_host {
            labels.push(label("host", of(|route| &route.host)));
        }
        labels.extend([
            label("ingress", of(|route| &route.ingress)),
            label("method", method),
            label("namespace", of(|route| &route.namespace)),
            label("path", of(|route| &route.path)),
            label("service", of(|route| &route.service)),
            label("status", status),
        ]);
        labels
    }
}

impl Collector for RequestMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let histograms = &self.store.layout().histograms;
        let mut counters = Vec::new();
        let mut by_histogram: Vec<Vec<Metric>> = histograms.iter().map(|_| Vec::new()).collect();
        for (route, series) in self.store.all() {
            series.each(|method, status, series| {
                let labels = self.labels(route.as_ref(), method, status);
                for (histogram, metrics) in histograms.iter().zip(&mut by_histogram) {
                    let Some(cells) = series.cells.get() else { break };
                    let reading = histogram.read(cells);
                    if reading.count > 0 {
                        metrics.push(histogram_metric(labels.clone(), histogram, reading));
                    }
                }
                counters.push(counter_metric(labels, series.requests.load(Ordering::Relaxed)));
            });
        }
        let mut families = Vec::with_capacity(histograms.len() + 1);
        if self.counts {
            families.push(family(Family::Requests, MetricType::COUNTER, counters));
        }
        let histograms = histograms.iter().zip(by_histogram);
        families.extend(histograms.map(|(it, metrics)| family(it.family, MetricType::HISTOGRAM, metrics)));
        families
    }
}

fn family(family: Family, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut out = MetricFamily::default();
    out.set_name(family.name().to_owned());
    out.set_help(family.help().to_owned());
    out.set_field_type(kind);
    out.set_metric(metrics);
    out
}

fn counter_metric(labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn histogram_metric(labels: Vec<LabelPair>, histogram: &layout::Histogram, reading: layout::Reading) -> Metric {
    let buckets = histogram.bounds.iter().zip(reading.cumulative).map(|(bound, cumulative)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut out = Histogram::default();
    out.set_bucket(buckets.collect());
    out.set_sample_count(reading.count);
    out.set_sample_sum(reading.sum);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(out);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
