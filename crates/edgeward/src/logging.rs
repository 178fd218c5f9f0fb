//! Edgeward's own log, on standard error. The access log is another one, and belongs to the proxy.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::configuration::{LogFormat, LogLevel};

/// Changes the level of the log while the process runs.
#[derive(Debug, Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Writes `level` and what is more severe from now on, unless `RUST_LOG` says otherwise.
    pub fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }
}

/// Starts the log. A second call in one process has no effect, and its control none either.
pub fn start(format: LogFormat, level: LogLevel) -> LogControl {
    let (filter, handle) = reload::Layer::new(filter(level));
    let is_colored = std::io::stderr().is_terminal() && !no_color();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(is_colored);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Only tests start it twice; the first one stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LogControl(handle)
}

/// Whether the user asks for no colours (<https://no-color.org>).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn filter(level: LogLevel) -> EnvFilter {
    // Pingora's own log is off at every level. What a client does wrong is an error to it, and the access log tells that
    // with the reason; below that it writes whole request heads, with their passwords and cookies. RUST_LOG can switch
    // it on, and says so by naming it.
    EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(format!("{},pingora_proxy=off,pingora_core=off,pingora=off,pingora_pool=off", level.name()))
    })
}
