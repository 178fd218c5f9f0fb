//! What is in the access log.

use crate::log_format::LogFormat;
use crate::policy::block::Pattern;

/// What of requests is in the access log, where that is not the route's to say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogSettings {
    /// What a line looks like; `None` for what the process was told (ConfigMap `log-format-upstream`, `-escape-json` and
    /// `-escape-none`).
    pub format: Option<LogFormat>,
    /// Targets of requests without a line, query included (ConfigMap `skip-access-log-urls`).
    pub skipped: Box<[Pattern]>,
    /// Whether requests to authentication services have lines of their own (ConfigMap `enable-auth-access-log`).
    pub has_auth: bool,
}

impl LogSettings {
    /// Whether a request with this target has no line.
    pub fn skips(&self, target: &[u8]) -> bool {
        self.skipped.iter().any(|pattern| pattern.matches(target))
    }
}
