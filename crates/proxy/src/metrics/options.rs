//! What is counted, and how finely.

use super::family::Family;

/// How request metrics are kept. The defaults are ingress-nginx's, less the families that no dashboard of it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsOptions {
    /// Whether requests are counted per route at all (`--enable-metrics`). Without it only totals are kept.
    pub enabled: bool,
    /// Label `controller_namespace`: the namespace that the process runs in.
    pub controller_namespace: String,
    /// Label `controller_class`: the controller that the process serves an IngressClass as.
    pub controller_class: String,
    /// Label `controller_pod`: the pod that the process runs in.
    pub controller_pod: String,
    /// Whether series are told apart by the host of the rule, with a label `host` (`--metrics-per-host`).
    pub per_host: bool,
    /// Whether the label `status` is a class such as `2xx` (`--report-status-classes`).
    pub status_classes: bool,
    /// The families that are kept (`--exclude-socket-metrics` takes some away).
    pub families: Vec<Family>,
    /// Bucket bounds of durations, in seconds (`--time-buckets`).
    pub time_buckets: Vec<f64>,
    /// Bucket bounds of `request_size` and `response_size`, in bytes (`--length-buckets`).
    pub length_buckets: Vec<f64>,
    /// Bucket bounds of `bytes_sent`, in bytes (`--size-buckets`).
    pub size_buckets: Vec<f64>,
    /// Most time series of requests: one per counter and per bucket, sum and count of a histogram, for each method and
    /// status of a route. Three quarters of them may belong to histograms, the rest is left for counters.
    pub max_series: usize,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            controller_namespace: String::new(),
            controller_class: "k8s.io/ingress-nginx".to_owned(),
            controller_pod: String::new(),
            per_host: true,
            status_classes: false,
            families: Family::DEFAULT.to_vec(),
            time_buckets: vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
            length_buckets: vec![10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0],
            size_buckets: vec![10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0],
            max_series: 100_000,
        }
    }
}

/// Why metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Bucket bounds that make no histogram.
    #[error("the buckets of {family} are {bounds:?}; they must be positive, finite and ascending numbers")]
    Buckets {
        /// The metric.
        family: &'static str,
        /// The bounds as given.
        bounds: Vec<f64>,
    },
    /// A metric of this name exists, or its name is not one.
    #[error("cannot register a metric: {0}")]
    Register(#[from] prometheus::Error),
}
