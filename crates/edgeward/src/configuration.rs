//! The configuration: flag over `EDGEWARD_*` variable over file over default.

mod options;
mod value;

use std::path::{Path, PathBuf};
use std::time::Duration;

use edgeward_controller::object::is_subdomain;
pub use options::{Configuration, Options, heading};
pub use value::{
    AccessLog, Compatibility, LabelSelector, LogFormat, LogLevel, LoopbackAddress, MetricFamily, Network, Period,
    Reference, RefusedAnnotations, Size, Source, TlsVersion, parse_bool,
};

#[cfg(test)]
mod tests;

/// The file that is read when no other one is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/edgeward/edgeward.yaml";

/// What starts the name of every environment variable.
pub const ENVIRONMENT_PREFIX: &str = "EDGEWARD_";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not YAML, has an unknown key, or a value of the wrong form.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// Options that do not go together.
    #[error("{0}")]
    Contradiction(String),
}

/// Where a configuration is read from, so that it can be read again.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What flags and the environment say.
    pub flags: Options,
    /// The file, if any.
    pub file: Option<PathBuf>,
    /// What holds where neither says anything, instead of the defaults.
    pub defaults: Options,
}

impl Sources {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// If the file is not readable or not right, or options contradict each other.
    pub fn read(&self) -> Result<Configuration, ConfigurationError> {
        let file = self.file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let options = self.flags.clone().over(file).over(self.defaults.clone());
        let source = source(&options);
        let serves_without_class = options.watch_ingress_without_class.unwrap_or(source == Source::Manifests);
        let configuration = Configuration {
            source,
            // A cluster may have other controllers for them; a directory has not.
            watch_ingress_without_class: serves_without_class,
            ..options.resolve()
        };
        configuration.validate()?;
        Ok(configuration)
    }
}

/// Where objects come from, when all is considered.
fn source(options: &Options) -> Source {
    match options.source.unwrap_or(Source::Auto) {
        Source::Auto if options.manifests.is_some() => Source::Manifests,
        // Every pod has this variable.
        Source::Auto if is_named(&options.kubeconfig) || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            Source::Kubernetes
        }
        Source::Auto => Source::Manifests,
        named => named,
    }
}

fn is_named(path: &Option<PathBuf>) -> bool {
    path.as_ref().is_some_and(|path| !path.as_os_str().is_empty())
}

/// [`DEFAULT_FILE`], if it is there: the configuration of the machine's service.
pub fn default_file() -> Option<PathBuf> {
    Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists())
}

fn read_file(path: &Path) -> Result<Options, ConfigurationError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigurationError::Read { path: path.to_owned(), error })?;
    parse(path, &text)
}

/// Reads the text of a configuration file. `path` is for errors.
fn parse(path: &Path, text: &str) -> Result<Options, ConfigurationError> {
    // A file with comments only is an empty document, which is no mapping but says nothing wrong.
    serde_saphyr::from_str::<Option<Options>>(text).map(Option::unwrap_or_default).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let plain = error
            .without_snippet()
            .render_with_options(serde_saphyr::RenderOptions::new(&serde_saphyr::UserMessageFormatter));
        ConfigurationError::Parse { path: path.to_owned(), line, column, message: plain }
    })
}

impl Configuration {
    /// Checks what one value alone cannot show.
    fn validate(&self) -> Result<(), ConfigurationError> {
        let contradiction = |text: String| Err(ConfigurationError::Contradiction(text));
        let ports = [
            ("--http-port", self.http_port),
            ("--https-port", self.https_port),
            ("--healthz-port", self.healthz_port),
            ("--admin-address", self.admin_address.0.port()),
        ];
        for (index, (flag, port)) in ports.iter().enumerate() {
            // 0 switches HTTP and HTTPS off, and lets the system choose for the others.
            if let Some((other, _)) = ports[..index].iter().find(|(_, other)| *other == *port && *port != 0) {
                return contradiction(format!("{other} and {flag} are both {port}; give each its own port"));
            }
        }
        if self.use_proxy_protocol && self.proxy_protocol_trusted.is_empty() {
            return contradiction(
                "--use-proxy-protocol needs --proxy-protocol-trusted: name the networks of the load balancers whose \
                 PROXY protocol headers are to be believed"
                    .to_owned(),
            );
        }
        let periods = [
            ("--rescan-interval", self.rescan_interval),
            ("--proxy-protocol-timeout", self.proxy_protocol_timeout),
            ("--tls-handshake-timeout", self.tls_handshake_timeout),
            ("--header-timeout", self.header_timeout),
            ("--body-timeout", self.body_timeout),
            ("--write-timeout", self.write_timeout),
            ("--upgraded-timeout", self.upgraded_timeout),
            ("--upstream-connect-timeout", self.upstream_connect_timeout),
            ("--upstream-read-timeout", self.upstream_read_timeout),
            ("--upstream-send-timeout", self.upstream_send_timeout),
        ];
        if let Some((flag, _)) = periods.into_iter().find(|(_, period)| period.0.is_zero()) {
            return contradiction(format!("{flag} must not be 0: nothing can be done in no time; name a longer one"));
        }
        if self.election_ttl.0 < Duration::from_secs(3) {
            return contradiction(
                "--election-ttl must be 3s or more: the Lease is renewed every third of it".to_owned(),
            );
        }
        if self.retry_budget > 100 {
            return contradiction(format!("--retry-budget is a percentage, 0 to 100, not {}", self.retry_budget));
        }
        if self.manifests.is_empty() {
            return contradiction("--manifests must name at least one directory".to_owned());
        }
        if !is_subdomain(&self.annotations_prefix) {
            // No annotation begins so, and without annotations nothing that they guard is guarded.
            return contradiction(format!(
                "--annotations-prefix must be a DNS name such as nginx.ingress.kubernetes.io, without the slash that follows \
                 it, not `{}`",
                self.annotations_prefix
            ));
        }
        if !self.health_check_path.starts_with('/') {
            return contradiction(format!(
                "--health-check-path must start with /, not be `{}`",
                self.health_check_path
            ));
        }
        Ok(())
    }

    /// The names and values of all options, in no particular order.
    pub fn entries(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(entries)) => entries,
            // Every field is text, a number, a boolean or a list of them, which JSON can always hold.
            _ => serde_json::Map::new(),
        }
    }
}
