//! SIGHUP: reads the configuration file and the manifests again.

use std::sync::Arc;

use edgeward_controller::translate;
use tokio::sync::{Notify, watch};

use crate::configuration::{Configuration, Reference, Source, Sources};
use crate::logging::LogControl;
use crate::wiring;

/// What a reload touches.
pub(super) struct Reload<'a> {
    pub(super) sources: Sources,
    pub(super) configuration: &'a watch::Sender<Arc<Configuration>>,
    pub(super) options: &'a watch::Sender<Arc<translate::Options>>,
    pub(super) log: LogControl,
    pub(super) rescan: &'a Notify,
}

impl Reload<'_> {
    /// Reads everything again. A configuration that is wrong changes nothing.
    pub(super) fn run(&self) {
        match self.sources.read() {
            Ok(wanted) => self.apply(&wanted),
            Err(error) => tracing::error!("the configuration stays as it is: {error}"),
        }
        self.rescan.notify_one();
    }

    fn apply(&self, wanted: &Configuration) {
        let before = self.configuration.borrow().clone();
        let applied = merge(&before, wanted);
        let waiting = differing(&applied, wanted);
        if !waiting.is_empty() {
            tracing::warn!("these options take effect with a restart: {}", waiting.join(", "));
        }
        let changed = differing(&before, &applied);
        tracing::info!(?changed, "read the configuration again");
        if applied == *before {
            return;
        }
        self.log.set_level(applied.log_level);
        let certificate = self.options.borrow().generated_certificate.clone();
        self.options.send_replace(Arc::new(wiring::controller_options(&applied, certificate)));
        self.configuration.send_replace(Arc::new(applied));
    }
}

/// `before` with what can change while the process runs taken from `wanted`: what the translation reads at each run, the
/// level of the log, and what is first read at the end.
pub(super) fn merge(before: &Configuration, wanted: &Configuration) -> Configuration {
    let wanted = wanted.clone();
    // What is watched of a cluster is decided at the start, and another object may not be among it.
    let is_watched = before.source == Source::Kubernetes;
    let named = |wanted: Reference, before: &Reference| if is_watched { before.clone() } else { wanted };
    Configuration {
        ingress_class: wanted.ingress_class,
        ingress_class_by_name: wanted.ingress_class_by_name,
        watch_ingress_without_class: wanted.watch_ingress_without_class,
        configmap: named(wanted.configmap, &before.configmap),
        default_backend_service: named(wanted.default_backend_service, &before.default_backend_service),
        default_ssl_certificate: named(wanted.default_ssl_certificate, &before.default_ssl_certificate),
        tls_session_ticket_secret: named(wanted.tls_session_ticket_secret, &before.tls_session_ticket_secret),
        annotations_prefix: wanted.annotations_prefix,
        disable_catch_all: wanted.disable_catch_all,
        disable_svc_external_name: wanted.disable_svc_external_name,
        enable_ssl_passthrough: wanted.enable_ssl_passthrough,
        compatibility: wanted.compatibility,
        upstream_connect_timeout: wanted.upstream_connect_timeout,
        upstream_read_timeout: wanted.upstream_read_timeout,
        upstream_send_timeout: wanted.upstream_send_timeout,
        log_level: wanted.log_level,
        shutdown_grace_period: wanted.shutdown_grace_period,
        drain_timeout: wanted.drain_timeout,
        drain_idle_grace: wanted.drain_idle_grace,
        drain_websocket_window: wanted.drain_websocket_window,
        ..before.clone()
    }
}

/// The names of the options that have different values, sorted.
pub(super) fn differing(a: &Configuration, b: &Configuration) -> Vec<String> {
    let (a, b) = (a.entries(), b.entries());
    let mut names: Vec<String> =
        a.into_iter().filter(|(name, value)| b.get(name) != Some(value)).map(|(name, _)| name).collect();
    names.sort();
    names
}
