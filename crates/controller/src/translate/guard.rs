//! Guards: what annotations ask for that other objects say more of. What cannot be enforced closes the routes.

use std::sync::Arc;

use edgeward_routing::policy::external_auth::AuthScheme;
use edgeward_routing::policy::{BasicAuth, DigestAuth, ExternalAuth, Policies};
use edgeward_routing::template::Template;

use super::class::Owned;
use super::client_certificate;
use super::options::Options;
use crate::annotation::basic_auth::PasswordScheme;
use crate::annotation::{self, external_auth::is_settable};
use crate::configmap::Configuration;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::{Index, UsersForm};
use crate::object::NamespacedName;

/// The annotation that names the users.
const SECRET: &str = "auth-secret";

/// What guards the routes of an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guards {
    basic_auth: Option<Arc<BasicAuth>>,
    digest_auth: Option<Arc<DigestAuth>>,
    external_auth: Option<Arc<ExternalAuth>>,
}

impl Guards {
    /// These policies, guarded.
    pub(super) fn over(&self, policies: Policies) -> Policies {
        let Self { basic_auth, digest_auth, external_auth } = self.clone();
        Policies { basic_auth, digest_auth, external_auth, ..policies }
    }
}

/// Finds the objects that guards name, and closes the routes of what they cannot be enforced for. Of the Ingresses that a value
/// drops only those stay that guard something.
pub(super) fn find(
    index: &Index,
    options: &Options,
    configuration: &Configuration,
    owned: &mut Vec<Owned<'_>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    owned.retain_mut(|owned| {
        if owned.is_dropped() {
            owned.settings.is_guarded = is_guarded(options, configuration, owned);
        }
        !owned.is_dropped() || owned.settings.is_guarded
    });
    for owned in owned {
        let mut finder = Finder { index, options, configuration, owned, diagnostics };
        finder.find_users();
        finder.find_external_auth();
    }
}

/// Whether an Ingress guards anything that other Ingresses of its hosts do not.
fn is_guarded(options: &Options, configuration: &Configuration, owned: &Owned<'_>) -> bool {
    let settings = &owned.settings;
    let asks_all = configuration.global_auth.is_some() && !settings.no_global_auth;
    !owned.is_canary() && (settings.is_guarded || asks_all || client_certificate::is_asked(options, owned))
}

struct Finder<'f, 'a> {
    index: &'f Index,
    options: &'f Options,
    configuration: &'f Configuration,
    owned: &'f mut Owned<'a>,
    diagnostics: &'f mut Vec<Diagnostic>,
}

impl Finder<'_, '_> {
    fn say(&mut self, severity: Severity, code: &'static str, name: &str, message: String, mend: &str) {
        let key = format!("{}/{name}", self.options.annotations_prefix);
        let origin = self.owned.origin.at(annotation::field(&key));
        self.diagnostics.push(Diagnostic::new(severity, code, origin, message, mend));
    }

    /// Closes the routes because of an annotation.
    fn close(&mut self, name: &str, why: &str, mend: &str) {
        self.owned.settings.closed.get_or_insert_with(|| why.into());
        self.owned.settings.is_guarded = true;
        self.say(Severity::Error, "RouteClosed", name, format!("{why}: all routes of this Ingress answer 503"), mend);
    }

    /// The name of an object, which is in the namespace of the Ingress unless others are allowed (auth/main.go).
    fn name(&mut self, annotation: &str, text: &str) -> Option<NamespacedName> {
        let own = Arc::clone(&self.owned.ingress.meta.name.namespace);
        let Some(name) = NamespacedName::relative(text, &own) else {
            self.close(annotation, &format!("`{text}` names no object"), "write `name` or `namespace/name`");
            return None;
        };
        if name.namespace != own && !self.configuration.allow_cross_namespace {
            let mend = "move it to the namespace of the Ingress, or set `allow-cross-namespace-resources: \"true\"` in \
                        the ConfigMap of the options";
            self.close(annotation, &format!("`{name}` is in another namespace"), mend);
            return None;
        }
        Some(name)
    }

    /// Users and passwords, however they are asked for.
    fn find_users(&mut self) {
        let settings = self.owned.settings.basic_auth.clone();
        let Some(scheme) = settings.scheme else { return };
        // What is closed already needs no more reasons, and an annotation that could not be read is one.
        if self.owned.settings.closed.is_some() {
            return;
        }
        let Some(text) = settings.secret else {
            self.close("auth-type", "no `auth-secret` names the users", "name a Secret with them in `auth-secret`");
            return;
        };
        let Some(name) = self.name(SECRET, &text) else { return };
        let is_found = match scheme {
            PasswordScheme::Basic => self.find_basic_auth(&name, settings.form, settings.realm),
            PasswordScheme::Digest => self.find_digest_auth(&name, settings.form, settings.realm),
        };
        if is_found.is_none() {
            let what = match settings.form {
                UsersForm::List => " with the key `auth`",
                UsersForm::Map => "",
            };
            self.close(SECRET, &format!("there is no Secret `{name}`{what}"), "create it, or correct the name");
        }
    }

    /// Users and passwords; `None` where there is no list of them.
    fn find_basic_auth(&mut self, name: &NamespacedName, form: UsersForm, realm: Box<str>) -> Option<()> {
        let list = self.index.users(name, form)?;
        if let Some((entry, what)) = list.refused.first() {
            let why = format!("entry {entry} of Secret `{name}` is {what}, which is not spoken here");
            self.close(SECRET, &why, "make the entry anew with `htpasswd -B`");
            return Some(());
        }
        if !list.unusable.is_empty() {
            self.say_unusable(name, &list.unusable, "make them anew with `htpasswd -B`");
        } else if list.users.is_empty() {
            let message = format!("there are no users in Secret `{name}`: nobody may pass");
            self.say(Severity::Warning, "UserUnusable", SECRET, message, "add users with `htpasswd -B`");
        }
        if !list.weak.is_empty() {
            let message = format!(
                "of the passwords in these entries of Secret `{name}` 8 characters count, and whoever reads it finds them out in \
                 hours (crypt(3) with DES): {}",
                listed(&list.weak)
            );
            self.say(Severity::Warning, "UserWeak", SECRET, message, "make them anew with `htpasswd -B` (bcrypt)");
        }
        let users = Arc::clone(&list.users);
        self.owned.guards.basic_auth = Some(Arc::new(BasicAuth { realm, users }));
        Some(())
    }

    /// Users and digests of passwords; `None` where there is no list of them.
    fn find_digest_auth(&mut self, name: &NamespacedName, form: UsersForm, realm: Box<str>) -> Option<()> {
        let list = self.index.digests(name, form)?;
        if !list.unusable.is_empty() {
            self.say_unusable(name, &list.unusable, "make them anew with `htdigest`");
        }
        if !list.users.has_realm(&realm) {
            let message = format!("there are no users of the realm `{realm}` in Secret `{name}`: nobody may pass");
            let mend = "add users with `htdigest`, of the realm that `auth-realm` says";
            self.say(Severity::Warning, "UserUnusable", SECRET, message, mend);
        }
        let users = Arc::clone(&list.users);
        self.owned.guards.digest_auth = Some(Arc::new(DigestAuth { realm, users }));
        Some(())
    }

    /// Says which entries of a Secret let nobody in.
    fn say_unusable(&mut self, name: &NamespacedName, entries: &[usize], mend: &str) {
        let message = format!("no password fits these entries of Secret `{name}`: {}", listed(entries));
        self.say(Severity::Warning, "UserUnusable", SECRET, message, mend);
    }

    fn find_external_auth(&mut self) {
        let settings = &self.owned.settings;
        if settings.closed.is_some() {
            return;
        }
        if settings.external_auth.url.is_none() {
            if let Some(global) = self.configuration.global_auth.as_ref().filter(|_| !settings.no_global_auth) {
                self.owned.guards.external_auth = Some(Arc::clone(global));
                self.owned.settings.is_guarded = true;
            }
            return;
        }
        let settings = settings.external_auth.clone();
        if settings.url.as_ref().is_some_and(|url| url.scheme == AuthScheme::Unknown) {
            let message = "the scheme of `auth-url` is neither `http` nor `https`: nobody may pass".to_owned();
            self.say(Severity::Error, "AuthUnreachable", "auth-url", message, "use an `http` or `https` URL");
        }
        if let Some((message, mend)) = settings.url.as_ref().and_then(|url| self.options.unreachable("auth-url", url)) {
            self.say(Severity::Error, "AuthUnreachable", "auth-url", message, mend);
        }
        let Some(headers) = self.set_headers(settings.set_headers.as_deref()) else { return };
        self.owned.guards.external_auth = settings.policy(headers).map(Arc::new);
    }

    /// The headers that a service gets, from the ConfigMap of this name.
    fn set_headers(&mut self, name: Option<&str>) -> Option<Vec<(Box<str>, Template)>> {
        const HEADERS: &str = "auth-proxy-set-headers";
        let Some(text) = name else { return Some(Vec::new()) };
        // Without a namespace ingress-nginx does not find it (recorded: c376).
        if !text.contains('/') {
            self.close(HEADERS, &format!("`{text}` names no namespace"), "write `namespace/name`");
            return None;
        }
        let name = self.name(HEADERS, text)?;
        let Some(map) = self.index.config_map(&name) else {
            self.close(HEADERS, &format!("there is no ConfigMap `{name}`"), "create it, or correct the name");
            return None;
        };
        let mut headers = Vec::new();
        for (key, value) in &map.data {
            let is_value = value.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte));
            let template = if value.is_empty() { Ok(Template::default()) } else { value.parse() };
            match template {
                Ok(template) if is_settable(key) && is_value => {
                    headers.push((key.to_ascii_lowercase().into(), template))
                }
                _ => {
                    let why = format!("`{key}` of ConfigMap `{name}` is no header, or its value none of one");
                    self.close(
                        HEADERS,
                        &why,
                        "use letters, digits, `-_` in names, none that the proxy alone writes, and visible ASCII and known \
                         variables",
                    );
                    return None;
                }
            }
        }
        if !map.unreadable.is_empty() {
            self.close(HEADERS, &format!("a value of ConfigMap `{name}` is no string"), "quote it");
            return None;
        }
        Some(headers)
    }
}

/// The first of these numbers of entries. Nothing else is told of users: whoever reads a diagnostic may not read their Secret.
fn listed(entries: &[usize]) -> String {
    entries.iter().take(10).map(usize::to_string).collect::<Vec<_>>().join(", ")
}
