//! A small site: manifests with backends behind them.

use edgeward_tests::backend::{Backend, Recording, Start};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, Manifests, service};

/// Manifests and the backends they name.
#[derive(Debug, Default)]
pub(crate) struct Site {
    pub(crate) manifests: Manifests,
    pub(crate) recording: Recording,
    backends: Vec<Backend>,
}

impl Site {
    /// One without any object.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One with a Service of this name behind every path of this host.
    pub(crate) async fn with_host(host: &str, service: &str) -> Self {
        let mut site = Self::new();
        site.service(service).await;
        site.ingress(&Ingress::new(service).host(host, service));
        site
    }

    /// Starts a backend and writes a Service in front of it.
    pub(crate) async fn service(&mut self, name: &str) {
        self.service_as(name, Start::default()).await;
    }

    /// Starts a backend that is not the usual one, and writes a Service in front of it.
    pub(crate) async fn service_as(&mut self, name: &str, start: Start) {
        let backend = start.recording(&self.recording).start(name).await;
        self.manifests.write(&format!("service-{name}.yaml"), service(name, &[backend.addr()]));
        self.backends.push(backend);
    }

    /// Writes an Ingress into a file of its own, named after it.
    pub(crate) fn ingress(&self, ingress: &Ingress) {
        self.manifests.write(&format!("ingress-{}.yaml", ingress.name()), ingress.text());
    }

    /// Runs Edgeward over it with all defaults.
    pub(crate) async fn serve(&self) -> Edgeward {
        self.launch().start().await
    }

    /// Edgeward over it, to be started.
    pub(crate) fn launch(&self) -> Launch {
        Launch::new(self.manifests.path())
    }
}
