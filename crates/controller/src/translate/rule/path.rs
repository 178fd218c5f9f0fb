//! The paths of rules: which are some, and which of them a request can have.

use edgeward_routing::path::{BadPath, PathPattern};

use super::{Path, Place, Planner};
use crate::diagnostic::Severity;
use crate::object::IngressPath;
use crate::translate::class::Owned;

impl<'a> Planner<'a, '_> {
    /// The path of a rule, and its text: an empty one is `/`, and a type that is absent or ImplementationSpecific is
    /// Prefix (internal/k8s SetDefaultNGINXPathType).
    pub(in super::super) fn pattern(
        &mut self,
        owned: &Owned<'_>,
        path: &'a IngressPath,
        place: Place,
    ) -> Option<(Path<'a>, &'a str)> {
        let text = if path.path.is_empty() { "/" } else { path.path.as_str() };
        if let Err(error) = PathPattern::check(text) {
            let message = format!("path {text:?} {error}: it is left out");
            let origin = owned.origin.at(format!("{place}.path"));
            self.say(Severity::Error, "InvalidPath", origin, message, "write a path that starts with `/`");
            return None;
        }
        match path.path_type.as_deref() {
            Some("Exact") => Some((Path::Exact(text), text)),
            Some("Prefix" | "ImplementationSpecific") => Some((Path::Prefix(text), text)),
            None => {
                // In the removed versions it did not exist, or could be left out.
                if owned.ingress.legacy.is_none() {
                    let message =
                        "there is no pathType: it is taken for `Prefix`, but the API server refuses the Ingress";
                    let origin = owned.origin.at(format!("{place}.pathType"));
                    let mend = "write `pathType: Prefix`";
                    self.say(Severity::Warning, "PathTypeMissing", origin, message.to_owned(), mend);
                }
                Some((Path::Prefix(text), text))
            }
            Some(other) => {
                let message = format!("`{other}` is no path type: the path is left out");
                let origin = owned.origin.at(format!("{place}.pathType"));
                let mend = "use `Exact`, `Prefix` or `ImplementationSpecific`";
                self.say(Severity::Error, "InvalidPathType", origin, message, mend);
                None
            }
        }
    }

    /// Whether any request may have a path; one that is compared with what no request has is reported.
    pub(in super::super) fn takes_requests(
        &mut self,
        owned: &Owned<'_>,
        path: &IngressPath,
        text: &str,
        place: Place,
    ) -> bool {
        if owned.settings.paths.use_regex || owned.settings.paths.target.is_some() || is_regular_expression(path) {
            return true;
        }
        let mend = match PathPattern::normalized(text) {
            Ok(form) if form == text => return true,
            Ok(form) => format!("write `{form}`"),
            // A `%` that escapes nothing is a plain character.
            Err(BadPath::BadEncoding) => return true,
            Err(_) => "remove it: such requests are refused with 400".to_owned(),
        };
        let message = format!(
            "path `{text}` takes no request that is written like it: requests are decoded and normalised before they \
             are compared"
        );
        let origin = owned.origin.at(format!("{place}.path"));
        self.say(Severity::Warning, "PathNotNormalized", origin, message, &mend);
        false
    }
}

/// Whether a path looks like a regular expression. Only paths that are not held to be plain by their type are meant as
/// one.
pub(super) fn is_regular_expression(path: &IngressPath) -> bool {
    let is_plain = matches!(path.path_type.as_deref(), Some("Exact" | "Prefix"));
    !is_plain && path.path.contains(['^', '$', '(', ')', '[', ']', '{', '}', '|', '*', '+', '?', '\\'])
}
