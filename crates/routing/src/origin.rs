//! Where a piece of routing state came from.

use std::fmt;
use std::sync::Arc;

/// The Kubernetes object, and the field in it, that a route, certificate or diagnostic came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The object's kind, such as `Ingress`.
    pub kind: &'static str,
    /// The object's namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// The field, written as `kubectl explain` and the API server's errors write it:
    /// `spec.rules[0].http.paths[1].path`, `metadata.annotations[nginx.ingress.kubernetes.io/ssl-redirect]`.
    /// Empty for the whole object.
    pub field: String,
}

impl Origin {
    /// The whole object.
    pub fn object(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into(), field: String::new() }
    }

    /// The same object, at `field`.
    pub fn at(&self, field: impl Into<String>) -> Self {
        Self { field: field.into(), ..self.clone() }
    }
}

impl fmt::Display for Origin {
    /// `Ingress shop/web spec.rules[0].host`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)?;
        if !self.field.is_empty() {
            write!(f, " {}", self.field)?;
        }
        Ok(())
    }
}
