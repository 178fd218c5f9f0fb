//! Diagnostics: the user's mistakes, each with its origin and the mend.

use edgeward_routing::origin::Origin;
use serde::Serialize;

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something that was asked for is not served as written.
    Error,
    /// It is served, but probably not as meant.
    Warning,
    /// Worth knowing.
    Info,
}

/// A place in a manifest file. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FileLocation {
    /// Path of the file, as given on the command line plus what is below it.
    pub file: String,
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

/// One mistake: what is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Machine-readable reason in CamelCase (`SecretNotFound`, `RouteConflict`), which is also the Event reason.
    pub code: &'static str,
    /// The object and field; `None` for a file that holds no readable object.
    pub origin: Option<Origin>,
    /// Where it stands in a file, when the source knows.
    pub location: Option<FileLocation>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it, one sentence without a full stop.
    pub mend: String,
}

impl Diagnostic {
    /// A diagnostic about an object's field.
    pub fn new(
        severity: Severity,
        code: &'static str,
        origin: Origin,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { severity, code, origin: Some(origin), location: None, message: message.into(), mend: mend.into() }
    }
}

impl std::fmt::Display for Diagnostic {
    /// `warning[RouteConflict] Ingress shop/web spec.rules[0]: message; mend`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        write!(f, "{severity}[{}] ", self.code)?;
        if let Some(at) = &self.location {
            write!(f, "{}:{}:{} ", at.file, at.line, at.column)?;
        }
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        f.write_str(&self.message)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        Ok(())
    }
}
