//! What becomes of what was configured for ingress-nginx: each annotation, each option, and what surprises in the objects.
//!
//! It reads the same tables and the same diagnostics as the translation, so that it cannot promise anything else than what is
//! served.

mod surprise;

pub use surprise::webhook;

use std::collections::BTreeMap;

use edgeward_routing::origin::Origin;

use crate::annotation::{self, Status, by_name};
use crate::configmap;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{Ingress, Kind};
use crate::translate::{Options, Translation};

/// What becomes of something that is configured, the good before the bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It does what it did.
    Honoured,
    /// It does something else than before.
    Differs,
    /// It is served as by ingress-nginx, and that is not what most people expect.
    Surprise,
    /// It has no effect.
    Ignored,
    /// Nobody knows it.
    Unknown,
    /// It has no meaning; the default is used, or the Ingress is not served.
    Invalid,
    /// It will not be done, and what it is about answers 503.
    Refused,
    /// Something of ingress-nginx that is left would break the switch.
    Leftover,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Honoured,
        Self::Differs,
        Self::Surprise,
        Self::Ignored,
        Self::Unknown,
        Self::Invalid,
        Self::Refused,
        Self::Leftover,
    ];

    /// One word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Differs => "differs",
            Self::Surprise => "surprise",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Leftover => "leftover",
        }
    }

    /// How much it matters.
    pub const fn severity(self) -> Severity {
        match self {
            Self::Honoured | Self::Differs => Severity::Info,
            Self::Surprise | Self::Ignored | Self::Unknown => Severity::Warning,
            Self::Invalid | Self::Refused | Self::Leftover => Severity::Error,
        }
    }

    /// What a diagnostic of the translation comes to.
    fn of(diagnostic: &Diagnostic) -> Self {
        match (diagnostic.code, diagnostic.severity) {
            ("RouteClosed" | "HostClosed", _) => Self::Refused,
            ("AnnotationUnknown" | "OptionUnknown", _) => Self::Unknown,
            (_, Severity::Error) => Self::Invalid,
            (_, Severity::Warning) => Self::Ignored,
            (_, Severity::Info) => Self::Differs,
        }
    }
}

/// What becomes of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What becomes of it.
    pub verdict: Verdict,
    /// What it is: the key of an annotation or an option, a path, the name of an object.
    pub subject: String,
    /// Where it is, what happens, and what to do about it. Its severity is that of the verdict.
    pub diagnostic: Diagnostic,
}

impl Finding {
    fn new(verdict: Verdict, subject: &str, code: &'static str, origin: Origin, message: String, mend: &str) -> Self {
        let diagnostic = Diagnostic::new(verdict.severity(), code, origin, message, mend);
        Self { verdict, subject: subject.to_owned(), diagnostic }
    }

    /// Something about an option or an object that has no place in the objects themselves.
    pub fn elsewhere(verdict: Verdict, subject: &str, code: &'static str, message: String, mend: &str) -> Self {
        let diagnostic = Diagnostic {
            severity: verdict.severity(),
            code,
            origin: None,
            location: None,
            message,
            mend: mend.to_owned(),
        };
        Self { verdict, subject: subject.to_owned(), diagnostic }
    }

    /// What a diagnostic of the translation says of something.
    fn told(subject: &str, diagnostic: &Diagnostic) -> Self {
        let verdict = Verdict::of(diagnostic);
        let diagnostic = Diagnostic { severity: verdict.severity(), ..diagnostic.clone() };
        Self { verdict, subject: subject.to_owned(), diagnostic }
    }
}

/// Codes of diagnostics that say that an Ingress is somebody else's.
const FOREIGN: [&str; 3] = ["ForeignClass", "ClassNotFound", "NoClass"];

/// Looks over everything of which `translation` is the outcome: the findings about Ingresses, in the order of their names,
/// then those about the ConfigMap, then those about classes.
pub fn audit(index: &Index, options: &Options, translation: &Translation) -> Vec<Finding> {
    let mut told: BTreeMap<&Origin, &Diagnostic> = BTreeMap::new();
    let mut foreign = Vec::new();
    for diagnostic in &translation.diagnostics {
        let Some(origin) = &diagnostic.origin else { continue };
        if FOREIGN.contains(&diagnostic.code) {
            foreign.push((&origin.namespace, &origin.name));
        }
        // Of several the worst.
        let known = told.entry(origin).or_insert(diagnostic);
        if Verdict::of(known) < Verdict::of(diagnostic) {
            *known = diagnostic;
        }
    }
    let is_ours = |ingress: &&Ingress| {
        let name = &ingress.meta.name;
        !foreign.contains(&(&name.namespace, &name.name))
    };
    let ours: Vec<&Ingress> = index.ingresses().filter(is_ours).collect();
    let mut findings: Vec<Finding> = ours.iter().flat_map(|ingress| annotations(ingress, options, &told)).collect();
    if !options.is_strict() {
        findings.extend(surprise::findings(&ours, options));
    }
    findings.extend(config_map(index, options, &told));
    findings.extend(surprise::leftovers(index, options));
    findings
}

fn annotations(ingress: &Ingress, options: &Options, told: &BTreeMap<&Origin, &Diagnostic>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, value) in &ingress.meta.annotations {
        let Some(name) = key.strip_prefix(&*options.annotations_prefix).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let origin = ingress.meta.origin(Kind::Ingress).at(annotation::field(key));
        findings.push(match (told.get(&origin), by_name(name)) {
            (Some(diagnostic), _) => Finding::told(name, diagnostic),
            (None, Some(row)) if row.status == Status::NoEffect => {
                Finding::new(Verdict::Differs, name, "AnnotationWithoutEffect", origin, row.doc.to_owned(), "")
            }
            (None, Some(row)) if row.differs.is_empty() || row.same.contains(&value.trim()) => {
                Finding::new(Verdict::Honoured, name, "AnnotationHonoured", origin, row.doc.to_owned(), "")
            }
            (None, row) => {
                let how = row.map_or("", |row| row.differs).to_owned();
                Finding::new(Verdict::Differs, name, "AnnotationDiffers", origin, how, "")
            }
        });
    }
    findings
}

fn config_map(index: &Index, options: &Options, told: &BTreeMap<&Origin, &Diagnostic>) -> Vec<Finding> {
    let Some(name) = &options.configmap else { return Vec::new() };
    let object = Origin::object(Kind::ConfigMap.name(), &name.namespace, &name.name);
    let Some(map) = index.config_map(name) else {
        let missing = told.get(&object);
        return missing.map(|diagnostic| Finding::told(&name.to_string(), diagnostic)).into_iter().collect();
    };
    let keys = map.data.keys().chain(&map.unreadable);
    let found = keys.map(|key| {
        let origin = object.at(configmap::field(key));
        match told.get(&origin) {
            Some(diagnostic) => Finding::told(key, diagnostic),
            None => {
                Finding::new(Verdict::Honoured, key, "OptionHonoured", origin, "It does what it did.".to_owned(), "")
            }
        }
    });
    found.collect()
}
