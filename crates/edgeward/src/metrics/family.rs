//! The names of the metrics, and how a family of them is made.

use std::collections::HashMap;

use prometheus::core::Desc;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::Identity;

/// A family: name, help and kind.
pub(super) struct Described {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
}

/// One number with its labels.
pub(super) struct Sample {
    value: f64,
    labels: Vec<(&'static str, String)>,
}

impl Sample {
    pub(super) fn new(value: f64, labels: &[(&'static str, &str)]) -> Self {
        Self { value, labels: labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect() }
    }
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal, $help:literal;)+) => {
        $(pub(super) const $constant: Described =
            Described { name: $name, help: $help, is_counter: families!(@ $kind) };)+

        /// All of them.
        pub(super) const ALL: &[Described] = &[$($constant),+];
    };
    (@ counter) => { true };
    (@ gauge) => { false };
}

families! {
    CONFIG_HASH: gauge "nginx_ingress_controller_config_hash", "Hash of the running configuration";
    LAST_RELOAD_SUCCESSFUL: gauge "nginx_ingress_controller_config_last_reload_successful",
        "Whether the last change of the configuration could be applied";
    LAST_RELOAD_TIME: gauge "nginx_ingress_controller_config_last_reload_successful_timestamp_seconds",
        "When a change of the configuration was last applied";
    SUCCESS: counter "nginx_ingress_controller_success", "Changes of the configuration that were applied";
    ERRORS: counter "nginx_ingress_controller_errors", "Changes of the configuration that could not be applied";
    SSL_EXPIRE_TIME: gauge "nginx_ingress_controller_ssl_expire_time_seconds",
        "When the certificate of a host expires, in seconds since the epoch";
    ORPHAN_INGRESS: gauge "nginx_ingress_controller_orphan_ingress",
        "1 for an Ingress with a path whose Service does not exist (no-service) or has no endpoint (no-endpoint)";
    BUILD_INFO: gauge "nginx_ingress_controller_build_info", "1, with the version as labels";
    CONNECTIONS: gauge "nginx_ingress_controller_nginx_process_connections", "Connections of clients by state";
    CONNECTIONS_TOTAL: counter "nginx_ingress_controller_nginx_process_connections_total",
        "Connections of clients that were accepted, and that were handled rather than refused";
    REQUESTS_TOTAL: counter "nginx_ingress_controller_nginx_process_requests_total", "Requests of clients";
    CPU_SECONDS: counter "nginx_ingress_controller_nginx_process_cpu_seconds_total", "CPU time in seconds";
    RESIDENT_MEMORY: gauge "nginx_ingress_controller_nginx_process_resident_memory_bytes", "Memory in use, in bytes";
    VIRTUAL_MEMORY: gauge "nginx_ingress_controller_nginx_process_virtual_memory_bytes", "Address space, in bytes";
    READ_BYTES: counter "nginx_ingress_controller_nginx_process_read_bytes_total", "Bytes read from storage";
    WRITE_BYTES: counter "nginx_ingress_controller_nginx_process_write_bytes_total", "Bytes written to storage";
    NUM_PROCS: gauge "nginx_ingress_controller_nginx_process_num_procs", "Processes";
    OLDEST_START_TIME: gauge "nginx_ingress_controller_nginx_process_oldest_start_time_seconds",
        "When the process was started, in seconds since the epoch";
    OPEN_FILES: gauge "edgeward_open_files", "Open files and sockets";
    GENERATION: gauge "edgeward_config_generation", "Number of the current snapshot";
    STALE: gauge "edgeward_config_stale",
        "1 while what is served may be out of date: a rebuild failed, or the API server does not answer";
    LEADER: gauge "nginx_ingress_controller_leader_election_status", "1 on the instance that writes to the cluster";
    WATCH_FAILURES: counter "edgeward_kubernetes_watch_failures_total",
        "Lists and watches of a kind that failed";
    DRAINING: gauge "edgeward_draining", "1 from the signal to stop on";
    REJECTED_OBJECTS: gauge "edgeward_config_rejected_objects",
        "Objects that are not served as written, by kind and reason; kind is empty for files";
    OBJECTS: gauge "edgeward_config_objects", "Objects that were read, by kind";
    SKIPPED_OBJECTS: gauge "edgeward_config_skipped_objects",
        "Objects of kinds that are not watched, by apiVersion and kind in one";
}

impl Described {
    pub(super) fn description(&self) -> Result<Desc, prometheus::Error> {
        Desc::new(self.name.to_owned(), self.help.to_owned(), Vec::new(), HashMap::new())
    }

    /// The family with one number.
    pub(super) fn one(&self, identity: &Identity, value: f64) -> MetricFamily {
        self.of(identity, vec![Sample::new(value, &[])])
    }

    /// The family with these numbers. Those under ingress-nginx's prefix get the labels of its controller.
    pub(super) fn of(&self, identity: &Identity, samples: Vec<Sample>) -> MetricFamily {
        let is_nginx = self.name.starts_with("nginx_ingress_controller_");
        let metrics = samples.into_iter().map(|sample| {
            let mut labels = sample.labels;
            if is_nginx {
                labels.push(("controller_class", identity.class.clone()));
                labels.push(("controller_namespace", identity.namespace.clone()));
                labels.push(("controller_pod", identity.pod.clone()));
            }
            labels.sort();
            self.metric(sample.value, labels)
        });
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(if self.is_counter { MetricType::COUNTER } else { MetricType::GAUGE });
        family.set_metric(metrics.collect());
        family
    }

    fn metric(&self, value: f64, labels: Vec<(&'static str, String)>) -> Metric {
        let pairs = labels.into_iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value);
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        if self.is_counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }
}
