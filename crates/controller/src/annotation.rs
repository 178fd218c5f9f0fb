//! Annotations: the one table of every name, what becomes of it, and how its value is read.
//!
//! The table is the only place that knows an annotation. Reading an Ingress, reporting what is not honoured, and the
//! reference page all come from it, so that they cannot say different things. A name that is not honoured yet is always
//! reported; one that guards access closes the routes of its Ingress, because serving them without it would open them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use edgeward_routing::origin::Origin;
use hashbrown::HashMap;

use crate::diagnostic::{Diagnostic, Severity};
use crate::object::Kind;

mod affinity;
mod balance;
pub(crate) mod basic_auth;
mod body;
mod canary;
mod client_certificate;
mod cors;
mod errors;
pub(crate) mod external_auth;
mod former;
mod limit;
mod mirror;
mod nearest;
mod network;
mod observe;
mod own;
mod path;
mod redirect;
mod response;
mod risk;
mod settings;
mod snippet;
mod tls;
mod upstream;
mod upstream_tls;
mod value;

pub use basic_auth::BasicAuthSettings;
pub(crate) use body::parse_kilobytes;
pub(crate) use nearest::nearest;
pub(crate) use network::{NetworkSettings, parse_network};
pub use observe::TraceSettings;
pub use path::PathSettings;
pub(crate) use path::aliases_in;
pub(crate) use response::pair;
pub use risk::Risk;
pub use settings::{BackendSettings, CheckKind, HealthCheckSettings, IngressSettings};
pub(crate) use tls::{CIPHERS, parse_ciphers};
pub use upstream_tls::UpstreamTlsSettings;
pub(crate) use value::{FAULTS, parse_bool, parse_http_version, parse_load_balance, parse_seconds};

/// The code of the diagnostic that an Ingress is dropped.
pub(crate) const DROPPED: &str = "IngressDropped";

/// The prefix of Edgeward's own annotations, without the slash.
pub const OWN_PREFIX: &str = "edgeward.dev";

/// One annotation.
#[derive(Debug)]
pub struct Annotation {
    /// Its name, without the prefix.
    pub name: &'static str,
    /// Other names for it. They count only where `name` itself is absent or empty (ingress-nginx parser/main.go).
    pub aliases: &'static [&'static str],
    /// What it has an effect on.
    pub scope: Scope,
    /// What becomes of it.
    pub status: Status,
    /// When it guards access, although nothing enforces it here.
    pub guard: Option<Guard>,
    /// How its value is read; `None` for those that are reported whatever it is.
    pub parse: Option<Parse>,
    /// The annotation without which it is not looked at.
    pub needs: Option<&'static str>,
    /// The kind of object that its value names.
    pub object: Option<Kind>,
    /// What it does, one sentence, for the reference page.
    pub doc: &'static str,
    /// What happens as long as it is not honoured, where that does not go without saying.
    pub meanwhile: &'static str,
    /// What it does otherwise than in ingress-nginx, one sentence; empty where it does the same.
    pub differs: &'static str,
    /// Values with which it does the same all the same.
    pub same: &'static [&'static str],
    /// What to use instead of one that is refused, without a full stop.
    pub instead: &'static str,
}

/// What an annotation has an effect on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The routes of its Ingress.
    Route,
    /// All routes of the hosts that its Ingress names, those of other Ingresses too.
    Host,
    /// The Service ports that its Ingress names, whoever else names them: the oldest Ingress decides.
    Backend,
}

/// What becomes of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what it does in ingress-nginx.
    Honoured,
    /// It has no effect: it is about something that nginx has and Edgeward does without. An annotation is read all the same, for its
    /// value may keep its Ingress from being served; an option of the ConfigMap is reported.
    NoEffect,
    /// It will not have an effect, as one that puts text into a configuration file that is not there.
    Refused,
    /// ingress-nginx does not know it any more, or never did.
    Former,
}

/// What becomes of an Ingress with an annotation that will never be honoured and may be what guards it, such as a snippet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refused {
    /// Its routes answer 503.
    #[default]
    Closed,
    /// It is served without.
    Ignored,
}

/// When an annotation guards access. What guards and cannot be enforced closes its routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// When it is not blank.
    NotBlank,
    /// Unless it says false.
    True,
}

/// Reads a value into the settings of its Ingress.
pub type Parse = fn(&str, &mut IngressSettings) -> Result<(), Rejection>;

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It is not one of the allowed values, which are these. The default stands, as in ingress-nginx.
    Invalid(String),
    /// It is a list, and not all of it is one of the allowed values, which are these. The rest counts.
    LeftOut(String),
    /// It is not one of the allowed values, which are these, and nothing can stand in for it: no endpoint is probed.
    Unprobed(String),
    /// It is not one of the allowed values, which are these, and the Ingress is not served: in ingress-nginx such a value
    /// drops the whole of it (recorded: row 44).
    Drops(String),
    /// It is not one of the allowed values, which are these, and the routes of the Ingress answer 503, for what it asks for
    /// guards them or is in the way of every request.
    Closes(String),
    /// It has been taken, but not as it was meant: what it does instead, and what to use.
    Noted(&'static str, &'static str),
    /// It is valid, but what it asks for is not spoken here: serving the routes without it would send nonsense.
    Unserved(&'static str),
}

/// Annotations of ingress-nginx that belong together: one section of the reference page.
#[derive(Debug)]
pub struct Group {
    /// Its heading.
    pub name: &'static str,
    /// What they are about, one sentence.
    pub doc: &'static str,
    /// The annotations, by name.
    pub annotations: &'static [Annotation],
}

/// Every annotation of ingress-nginx v1.15.1 (its docs/user-guide/nginx-configuration/annotations-risk.md), in groups.
pub fn groups() -> [&'static Group; 20] {
    [
        &redirect::GROUP,
        &path::GROUP,
        &network::GROUP,
        &limit::GROUP,
        &basic_auth::GROUP,
        &external_auth::GROUP,
        &client_certificate::GROUP,
        &cors::GROUP,
        &canary::GROUP,
        &affinity::GROUP,
        &balance::GROUP,
        &upstream::GROUP,
        &upstream_tls::GROUP,
        &body::GROUP,
        &response::GROUP,
        &errors::GROUP,
        &mirror::GROUP,
        &observe::GROUP,
        &tls::GROUP,
        &snippet::GROUP,
    ]
}

/// Every annotation of ingress-nginx.
pub fn table() -> impl Iterator<Item = &'static Annotation> {
    groups().into_iter().flat_map(|group| group.annotations)
}

/// Edgeward's own annotations (prefix [`OWN_PREFIX`]), for Ingresses and, over them, for Services.
pub fn own_table() -> &'static [Annotation] {
    &own::TABLE
}

/// Names with ingress-nginx's prefix that are in many manifests but in no current version of it.
pub fn former_table() -> &'static [Annotation] {
    &former::TABLE
}

/// The annotation with this name, or with this other name, of ingress-nginx.
pub fn by_name(name: &str) -> Option<&'static Annotation> {
    NAMES.get(name).copied()
}

/// The kind of object that an annotation of this name, without its prefix, names.
pub(crate) fn named_kind(name: &str) -> Option<Kind> {
    NAMES.get(name)?.object
}

/// Whether an annotation of this name, without its prefix, is about the Services that its Ingress names: about how requests are
/// spread over their endpoints, or what else is said of them there.
pub(crate) fn concerns_services(name: &str) -> bool {
    let rows = [NAMES.get(name), OWN_NAMES.get(name)];
    rows.into_iter().flatten().any(|row| row.scope == Scope::Backend)
        // A Service that stands in; what is wrong with the health checks of one that speaks something else.
        || matches!(name, "default-backend" | "backend-protocol")
}

type Names = HashMap<&'static str, &'static Annotation>;

static NAMES: LazyLock<Names> = LazyLock::new(|| names(table().chain(former_table())));
static OWN_NAMES: LazyLock<Names> = LazyLock::new(|| names(own_table()));

fn names(rows: impl IntoIterator<Item = &'static Annotation>) -> Names {
    rows.into_iter()
        .flat_map(|row| std::iter::once((row.name, row)).chain(row.aliases.iter().map(move |alias| (*alias, row))))
        .collect()
}

/// A value that is not one of the `allowed`.
fn invalid(allowed: &str) -> Rejection {
    Rejection::Invalid(allowed.to_owned())
}

impl Annotation {
    const fn new(name: &'static str, scope: Scope, status: Status, doc: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            scope,
            status,
            guard: None,
            parse: None,
            needs: None,
            object: None,
            doc,
            meanwhile: "",
            differs: "",
            same: &[],
            instead: "",
        }
    }

    const fn honoured(name: &'static str, scope: Scope, parse: Parse, doc: &'static str) -> Self {
        Self { parse: Some(parse), ..Self::new(name, scope, Status::Honoured, doc) }
    }

    const fn moot(name: &'static str, scope: Scope, parse: Parse, doc: &'static str) -> Self {
        Self { parse: Some(parse), ..Self::new(name, scope, Status::NoEffect, doc) }
    }

    const fn refused(name: &'static str, scope: Scope, doc: &'static str) -> Self {
        Self::new(name, scope, Status::Refused, doc)
    }

    const fn former(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Scope::Route, Status::Former, doc)
    }

    const fn guarding(self, guard: Guard) -> Self {
        Self { guard: Some(guard), ..self }
    }

    const fn aliased(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn needing(self, other: &'static str) -> Self {
        Self { needs: Some(other), ..self }
    }

    const fn naming(self, kind: Kind) -> Self {
        Self { object: Some(kind), ..self }
    }

    const fn meanwhile(self, meanwhile: &'static str) -> Self {
        Self { meanwhile, ..self }
    }

    const fn instead(self, instead: &'static str) -> Self {
        Self { instead, ..self }
    }

    const fn differing(self, differs: &'static str) -> Self {
        Self { differs, ..self }
    }

    const fn but_for(self, same: &'static [&'static str]) -> Self {
        Self { same, ..self }
    }
}

/// Reads annotations. One reader serves a whole translation, so that a slip that is in thousands of Ingresses is looked
/// up once.
pub struct Reader<'p> {
    prefix: &'p str,
    refused: Refused,
    /// The highest risk that is taken.
    risk: Risk,
    /// The known names nearest to unknown keys.
    nearest: HashMap<String, Option<&'static str>>,
}

impl<'p> Reader<'p> {
    /// A reader for this prefix of ingress-nginx's annotations, without the slash.
    pub fn new(prefix: &'p str, refused: Refused) -> Self {
        Self { prefix, refused, risk: Risk::default(), nearest: HashMap::new() }
    }

    /// This reader, for which an Ingress with an annotation of a higher risk than this is not served (ConfigMap
    /// `annotations-risk-level`). What is refused is, whatever its risk.
    pub(crate) fn up_to(self, risk: Risk) -> Self {
        Self { risk, ..self }
    }

    /// Reads the annotations of an Ingress. `origin` is the whole Ingress; what is wrong goes to `diagnostics`.
    pub fn ingress(
        &mut self,
        annotations: &BTreeMap<String, String>,
        origin: &Origin,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> IngressSettings {
        let mut settings = IngressSettings::default();
        let prefix = self.prefix;
        let refused = self.refused;
        let nearest = &mut self.nearest;
        let mut reading = Reading { annotations, prefix, refused, origin, is_canary: false, nearest, diagnostics };
        reading.is_canary = reading.value("canary").and_then(parse_bool) == Some(true);
        for (key, value) in annotations {
            let Some((key_prefix, name)) = key.split_once('/') else { continue };
            if key_prefix == prefix {
                reading.read(&NAMES, key, name, value, &mut settings);
            } else if key_prefix == OWN_PREFIX {
                reading.read(&OWN_NAMES, key, name, value, &mut settings);
            }
        }
        reading.check_health(&settings.backend.health_check);
        reading.check_risk(self.risk, &mut settings);
        settings
    }

    /// Reads Edgeward's own annotations of a Service, whose `origin` is the whole object.
    pub fn service(
        &mut self,
        annotations: &BTreeMap<String, String>,
        origin: &Origin,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> BackendSettings {
        let mut settings = IngressSettings::default();
        let (prefix, refused, nearest) = (OWN_PREFIX, self.refused, &mut self.nearest);
        let mut reading = Reading { annotations, prefix, refused, origin, is_canary: false, nearest, diagnostics };
        for (key, value) in annotations {
            if let Some(name) = key.strip_prefix(OWN_PREFIX).and_then(|rest| rest.strip_prefix('/')) {
                reading.read(&OWN_NAMES, key, name, value, &mut settings);
            }
        }
        reading.check_health(&settings.backend.health_check);
        settings.backend
    }
}

/// The field path of an annotation.
pub(crate) fn field(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

/// The annotations of one object, being read.
struct Reading<'a> {
    annotations: &'a BTreeMap<String, String>,
    prefix: &'a str,
    refused: Refused,
    origin: &'a Origin,
    /// Whether it is an Ingress that adds no route of its own, so that nothing can be asked for its routes.
    is_canary: bool,
    nearest: &'a mut HashMap<String, Option<&'static str>>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reading<'_> {
    fn say(&mut self, severity: Severity, code: &'static str, key: &str, message: String, mend: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(severity, code, self.origin.at(field(key)), message, mend));
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.annotations.get(&format!("{}/{name}", self.prefix)).map(String::as_str)
    }

    fn read(&mut self, names: &Names, key: &str, name: &str, value: &str, settings: &mut IngressSettings) {
        let Some(row) = names.get(name) else {
            let near = self.nearest.entry_ref(key).or_insert_with(|| nearest(name, names.keys().copied()));
            let mend = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it".to_owned(),
            };
            self.say(Severity::Warning, "AnnotationUnknown", key, format!("`{key}` is no known annotation"), mend);
            return;
        };
        if name != row.name && self.value(row.name).is_some_and(|canonical| !canonical.is_empty()) {
            let message = format!("`{name}` is another name for `{}`, which is set too and counts", row.name);
            self.say(Severity::Warning, "AnnotationShadowed", key, message, "remove one of the two");
            return;
        }
        if let Some(other) = row.needs.filter(|other| self.value(other).is_none_or(|value| value.trim().is_empty())) {
            let message = format!("`{name}` has no effect without `{other}`");
            self.say(
                Severity::Warning,
                "AnnotationWithoutEffect",
                key,
                message,
                format!("add `{other}`, or remove it"),
            );
            return;
        }
        if self.is_canary && row.scope != Scope::Backend {
            // A value may still drop the Ingress.
            let refusal = row.parse.and_then(|parse| parse(value, &mut IngressSettings::default()).err());
            if !matches!(refusal, Some(Rejection::Drops(_))) {
                let message = format!("`{name}` has no effect on a canary: what its main Ingress says counts");
                let mend = "remove it, or annotate the main Ingress";
                self.say(Severity::Warning, "CanaryAnnotationIgnored", key, message, mend);
                return;
            }
        }
        if let Some(parse) = row.parse {
            // An empty alias asks for nothing, and an empty name leaves it to its alias (parser/main.go checkAnnotation).
            let is_alias = name != row.name;
            let mut others = row.aliases.iter().filter_map(|alias| self.value(alias));
            if value.is_empty() && (is_alias || others.any(|other| !other.is_empty())) {
                return;
            }
            match parse(value, settings) {
                Ok(()) => {}
                Err(Rejection::Invalid(allowed)) => {
                    let message = format!("`{value}` is no value of `{name}`: the default is used");
                    self.say(Severity::Error, "AnnotationInvalid", key, message, format!("use {allowed}"));
                }
                Err(Rejection::LeftOut(allowed)) => {
                    let message = format!("`{value}` is no value of `{name}`: what is wrong in it is left out");
                    self.say(Severity::Error, "AnnotationInvalid", key, message, format!("use {allowed}"));
                }
                Err(Rejection::Noted(what, allowed)) => {
                    let message = format!("`{value}` of `{name}` {what}");
                    self.say(Severity::Error, "AnnotationInvalid", key, message, format!("use {allowed}"));
                }
                Err(Rejection::Unprobed(allowed)) => {
                    settings.backend.health_check.is_refused = true;
                    let message = format!("`{value}` is no value of `{name}`: no endpoint is probed");
                    self.say(Severity::Error, "AnnotationInvalid", key, message, format!("use {allowed}"));
                }
                Err(Rejection::Drops(allowed)) => {
                    settings.is_dropped = true;
                    let message = format!("`{value}` is no value of `{name}`: the Ingress is not served");
                    self.say(Severity::Error, DROPPED, key, message, format!("use {allowed}"));
                }
                Err(Rejection::Closes(allowed)) => {
                    let message = format!("`{value}` is no value of `{name}`: all routes of this Ingress answer 503");
                    settings.close(format!("{name} cannot be read"), row.scope);
                    settings.is_guarded |= row.scope != Scope::Backend;
                    self.say(Severity::Error, "RouteClosed", key, message, format!("use {allowed}"));
                }
                Err(Rejection::Unserved(why)) => {
                    let message =
                        format!("`{name}: {value}` is not honoured: {why}; all routes of this Ingress answer 503");
                    settings.close(format!("{name}: {value} is not honoured"), row.scope);
                    let mend = "use a protocol that is spoken here, or keep this Ingress on another controller";
                    self.say(Severity::Error, "RouteClosed", key, message, mend);
                }
            }
            return;
        }
        let is_passed_over = row.status == Status::Refused && self.refused == Refused::Ignored;
        if row.guard.is_some_and(|guard| !is_passed_over && self.guards(guard, value)) {
            let reach = match row.scope {
                Scope::Host => "all routes of its namespace on its hosts answer",
                Scope::Route | Scope::Backend => "all routes of this Ingress answer",
            };
            let message = format!("`{name}` guards these routes and is {}: {reach} 503", row.status.word());
            settings.close(format!("{name} is {}", row.status.word()), row.scope);
            // What guards an endpoint refuses no client.
            settings.is_guarded |= row.scope != Scope::Backend;
            let mend = match row.instead {
                "" => "keep this Ingress on another controller, or remove the annotation once something else guards it",
                instead => instead,
            };
            self.say(Severity::Error, "RouteClosed", key, message, mend);
            return;
        }
        let mut message = format!("`{name}` is {}", row.status.word());
        if !row.meanwhile.is_empty() {
            message = format!("{message}: {}", row.meanwhile);
        }
        let mend = match row.status {
            Status::Former => row.doc,
            Status::Refused if !row.instead.is_empty() => row.instead,
            Status::Honoured | Status::NoEffect | Status::Refused => "remove it if these routes work without it",
        };
        self.say(Severity::Warning, "AnnotationNotHonoured", key, message, mend);
    }

    fn guards(&self, guard: Guard, value: &str) -> bool {
        match guard {
            Guard::NotBlank => !value.trim().is_empty(),
            Guard::True => parse_bool(value) != Some(false),
        }
    }

    /// Drops an Ingress that asks for more than the operator risks. What it asks for is read all the same: where it guards
    /// its routes they must not go to others.
    fn check_risk(&mut self, most: Risk, settings: &mut IngressSettings) {
        if most >= Risk::default() {
            return;
        }
        for key in self.annotations.keys() {
            let name = key.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix('/'));
            let Some(row) = name.and_then(by_name).filter(|row| row.status != Status::Refused) else { continue };
            let risk = Risk::of(row);
            if risk > most {
                settings.is_dropped = true;
                let message = format!(
                    "`{key}` is of {} risk, above the `annotations-risk-level` {}: the Ingress is not served",
                    risk.word(),
                    most.word()
                );
                self.say(Severity::Error, DROPPED, key, message, "remove it, or raise the level in the ConfigMap");
            }
        }
    }

    fn check_health(&mut self, check: &HealthCheckSettings) {
        if check.kind.is_some() || check.is_refused || *check == HealthCheckSettings::default() {
            return;
        }
        let message =
            format!("the other `health-check-*` annotations have no effect without `{OWN_PREFIX}/health-check`");
        let origin = self.origin.at("metadata.annotations");
        let mend = format!("add `{OWN_PREFIX}/health-check: http` or `tcp`");
        self.diagnostics.push(Diagnostic::new(Severity::Warning, "HealthCheckOff", origin, message, mend));
    }
}

impl Status {
    /// The status in a sentence: "`name` is …".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::NoEffect => "without effect here",
            Self::Refused => "refused",
            Self::Former => "no annotation of ingress-nginx",
        }
    }
}

#[cfg(test)]
mod tests;
