//! Sends spans to a collector, in OTLP over gRPC.
//!
//! Where the collector is and what this service is called, the ConfigMap says; where it does not, the variables of the
//! environment that OpenTelemetry has for that (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME` and the like), and else its
//! defaults. A collector that cannot be reached costs its spans and nothing else.

use edgeward_proxy::trace::SpanQueue;
use edgeward_routing::SnapshotReader;
use edgeward_routing::settings::TraceSettings;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::oneshot;

/// What ingress-nginx calls itself in traces.
const SERVICE: &str = "nginx";

/// Sends what comes by the queue, by the settings that are current, until `ending` is told or gone. Then it sends what is left.
pub async fn run(mut queue: SpanQueue, snapshots: SnapshotReader, mut ending: oneshot::Receiver<()>) {
    let mut sender = Sender { link: None, is_failing: false };
    let mut is_ending = false;
    while !is_ending {
        let settings = snapshots.load().settings.trace.clone();
        let most = settings.batch.min(settings.queue);
        tokio::select! {
            () = queue.gather(most, settings.delay) => {}
            _ = &mut ending => is_ending = true,
        }
        loop {
            let batch = queue.take(most);
            let (count, is_last) = (batch.len(), batch.len() < most);
            if count > 0 && !sender.send(batch, &settings).await {
                queue.lose(count);
            }
            if is_last || !is_ending {
                break;
            }
        }
    }
}

struct Sender {
    link: Option<Link>,
    is_failing: bool,
}

/// A client of a collector, and what it was made for.
struct Link {
    collector: Option<Box<str>>,
    service: Option<Box<str>>,
    exporter: SpanExporter,
}

impl Sender {
    /// Sends a batch. What goes wrong is said once, until it goes well again. Returns whether the collector has it.
    async fn send(&mut self, batch: Vec<SpanData>, settings: &TraceSettings) -> bool {
        let sent = match self.link(settings) {
            Ok(link) => link.exporter.export(batch).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match &sent {
            Err(error) if !self.is_failing => {
                tracing::warn!(%error, "cannot send spans; they are dropped until the collector takes them");
            }
            Ok(()) if self.is_failing => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        self.is_failing = sent.is_err();
        sent.is_ok()
    }

    /// The client for these settings.
    fn link(&mut self, settings: &TraceSettings) -> Result<&Link, ExporterBuildError> {
        let current =
            self.link.take().filter(|link| link.collector == settings.collector && link.service == settings.service);
        let link = match current {
            Some(link) => link,
            None => Link::new(settings)?,
        };
        Ok(self.link.insert(link))
    }
}

impl Link {
    /// Opens no connection: that is for the first batch.
    fn new(settings: &TraceSettings) -> Result<Self, ExporterBuildError> {
        let TraceSettings { collector, service, .. } = settings;
        let mut builder = SpanExporter::builder().with_tonic();
        if let Some(collector) = collector {
            builder = builder.with_endpoint(&**collector);
        }
        let variables = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        let mut named = variables.into_iter().filter_map(|name| std::env::var(name).ok());
        let url = collector.as_deref().map(str::to_owned).or_else(|| named.find(|url| !url.is_empty()));
        if url.is_some_and(|url| url.starts_with("https:")) {
            builder = builder.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        let mut exporter = builder.build()?;
        exporter.set_resource(&resource(service.as_deref()));
        Ok(Self { collector: collector.clone(), service: service.clone(), exporter })
    }
}

/// What is said of this process with all its spans. The builder reads `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.
fn resource(service: Option<&str>) -> Resource {
    let is_named = || {
        std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
            || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="))
    };
    let builder = Resource::builder();
    match service {
        Some(name) => builder.with_service_name(name.to_owned()).build(),
        None if is_named() => builder.build(),
        None => builder.with_service_name(SERVICE).build(),
    }
}
