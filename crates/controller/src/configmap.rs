//! Options from the ConfigMap: the one table of every key, what becomes of it, and how its value is read.
//!
//! The names and defaults are ingress-nginx's (internal/ingress/controller/config/config.go), with one deliberate
//! difference: nobody's forwarded headers are believed unless `proxy-real-ip-cidr` names networks. ingress-nginx
//! believes everybody there, so that any client can say who it is.

use std::sync::{Arc, LazyLock};

use edgeward_routing::backend::LoadBalance;
use edgeward_routing::forward::FieldNames;
use edgeward_routing::origin::Origin;
use edgeward_routing::path::TrailingSlash;
use edgeward_routing::policy::{
    Block, BodySize, ExternalAuth, NetworkSet, Policies, RedirectStyle, Retry, SslRedirect, Substitution, Timeouts,
};
use edgeward_routing::settings::{Hsts, Settings};
use hashbrown::HashMap;

use crate::annotation::external_auth::ExternalAuthSettings;
use crate::annotation::{IngressSettings, Risk, Status, nearest};
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{ConfigMap, Kind, NamespacedName};
use crate::translate::{Options, policy};

mod auth;
mod compression;
mod connection;
mod headers;
mod log;
mod table;
mod trace;
mod value;

pub(crate) use headers::named;
pub(crate) use trace::Tracing;

/// One key of the ConfigMap.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What becomes of it.
    pub status: Status,
    /// Why it is not honoured, and what there is instead, in a few words. Of those that are: what is other than in ingress-nginx;
    /// empty for nothing.
    pub why: &'static str,
    /// Whether it guards access: where it cannot be enforced, setting it closes every route.
    pub guard: bool,
    /// How its value is read; `None` for those that are not honoured.
    pub parse: Option<Parse>,
}

/// Reads a value into the configuration, or says which values are allowed.
pub type Parse = fn(&str, &mut Configuration) -> Result<(), String>;

/// Every key that ingress-nginx documents, by name.
pub fn table() -> &'static [Key] {
    &table::TABLE
}

static KEYS: LazyLock<HashMap<&'static str, &'static Key>> =
    LazyLock::new(|| table().iter().map(|key| (key.name, key)).collect());

/// What holds for all Ingresses: the options, with the ConfigMap over them.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// What the data plane needs per request.
    pub settings: Settings,
    /// Whether hosts with a certificate redirect to HTTPS unless an annotation says otherwise.
    pub ssl_redirect: bool,
    /// Whether all hosts do.
    pub force_ssl_redirect: bool,
    /// Ingress paths that begin with one of these are never redirected to HTTPS. It is the path of the rule that is
    /// compared, as text, not that of the request (template.go isLocationInLocationList; recorded: c082).
    pub no_tls_redirect: Vec<String>,
    /// Ingress paths that begin with one of these ask nobody who it is (`no-auth-locations`).
    pub no_auth: Vec<String>,
    /// What `global-auth-*` ask for.
    pub external_auth: ExternalAuthSettings,
    /// Who is asked whether requests may pass, of Ingresses that name nobody themselves.
    pub global_auth: Option<Arc<ExternalAuth>>,
    /// Whether an Ingress may name Secrets and ConfigMaps of other namespaces.
    pub allow_cross_namespace: bool,
    /// Largest request body.
    pub body_size: BodySize,
    /// What the value that is being read may have in it, where it has something else in it beside.
    left_out: Option<String>,
    /// Whether the bodies of requests go on as they come (`proxy-request-buffering: off`).
    pub streams_request: bool,
    /// Limits on an endpoint.
    pub timeouts: Timeouts,
    /// When another endpoint is tried.
    pub retry: Retry,
    /// Whether requests are tried again that are not idempotent, whatever an annotation says.
    pub retries_non_idempotent: bool,
    /// Statuses that the default backend answers for, sorted.
    pub error_statuses: Vec<u16>,
    /// Whether endpoints' own answers are passed on all the same.
    pub keeps_answers: bool,
    /// Whether what an Ingress asks for of TLS to endpoints counts for its own routes alone.
    pub upstream_tls_of_routes_only: bool,
    /// Whether requests to endpoints are in HTTP/1.0.
    pub is_http10: bool,
    /// How requests are spread over endpoints.
    pub load_balance: LoadBalance,
    /// Networks that may ask, for routes without a list of their own.
    pub allowed: Option<Arc<NetworkSet>>,
    /// Networks that may not ask, for routes without a list of their own.
    pub denied: Option<Arc<NetworkSet>>,
    /// Whether requests go to the address of a Service and not to its endpoints.
    pub service_upstream: bool,
    /// Why every route is closed; `None` when they are served.
    pub closed: Option<Box<str>>,
    block: Block,
    /// Names of header fields that Ingresses may add to responses, as they are written (`global-allowed-response-headers`).
    pub allowed_response_headers: Vec<Box<str>>,
    /// What is replaced at the beginning of `Location` (`proxy-redirect-from`), or `off`.
    pub redirect_from: Box<str>,
    /// What it is replaced with, or `off`.
    pub redirect_to: Box<str>,
    /// What is replaced in the domains of cookies.
    pub cookie_domain: Option<Substitution>,
    /// What is replaced in the paths of cookies.
    pub cookie_path: Option<Substitution>,
    /// Bytes per second of a response; 0 is without a limit.
    pub rate: u64,
    /// Bytes of a response after which that limit holds.
    pub rate_after: u64,
    /// Whether the ConfigMap asks for PROXY protocol: from the networks in `proxy-real-ip-cidr` then.
    asks_for_proxy_protocol: bool,
    /// How redirects are written: where `relative-redirects` and `preserve-trailing-slash` ask for it.
    pub redirect_style: RedirectStyle,
    /// The highest risk of annotations that Ingresses are served with.
    pub risk: Risk,
    /// What the keys about compression ask for.
    compression: compression::Asked,
    /// Whether names of header fields may have `_` in them, and whether others than plain ones are left out.
    passes_underscores: bool,
    ignores_invalid_headers: bool,
    /// What `log-format-*` ask for.
    log_format: log::Format,
    /// Whether what no route takes is in the access log (`enable-access-log-for-default-backend`).
    logs_default_backend: bool,
    /// What is asked for of traces.
    pub(crate) tracing: Tracing,
    /// Whether the ConfigMap asks for snippets.
    asks_for_snippets: bool,
    /// Whether no request is in the access log.
    pub is_log_off: bool,
    /// The ConfigMap with header fields of every response.
    pub add_headers: Option<NamespacedName>,
    /// The ConfigMap with header fields of every request to an endpoint.
    pub set_headers: Option<NamespacedName>,
    hsts: Hsts,
    is_hsts_on: bool,
}

impl Configuration {
    fn new(options: &Options) -> Self {
        let strict = options.is_strict();
        Self {
            settings: Settings {
                limits: options.limits.clone(),
                tls: options.tls.clone(),
                upstream_pool: options.upstream_pool.clone(),
                proxy_protocol: options.proxy_protocol.clone(),
                trailing_slash: if strict { TrailingSlash::Ignore } else { TrailingSlash::Redirect },
                passes_tls: options.enable_ssl_passthrough,
                health_path: options.health_path.as_str().into(),
                ejection: options.ejection.clone(),
                ..Settings::default()
            },
            ssl_redirect: !strict,
            force_ssl_redirect: false,
            no_tls_redirect: vec!["/.well-known/acme-challenge".to_owned()],
            no_auth: vec!["/.well-known/acme-challenge".to_owned()],
            external_auth: ExternalAuthSettings::default(),
            global_auth: None,
            allow_cross_namespace: false,
            body_size: options.body_size,
            left_out: None,
            streams_request: false,
            timeouts: options.timeouts,
            retry: Retry { tries: Retry::tries_of(options.tries.max(1)), ..Retry::default() },
            retries_non_idempotent: false,
            error_statuses: Vec::new(),
            keeps_answers: false,
            upstream_tls_of_routes_only: false,
            is_http10: false,
            load_balance: LoadBalance::default(),
            allowed: None,
            denied: None,
            service_upstream: false,
            closed: None,
            block: Block::default(),
            allowed_response_headers: Vec::new(),
            redirect_from: "off".into(),
            redirect_to: "off".into(),
            cookie_domain: None,
            cookie_path: None,
            rate: 0,
            rate_after: 0,
            asks_for_proxy_protocol: false,
            redirect_style: RedirectStyle::default(),
            risk: Risk::default(),
            compression: compression::Asked::default(),
            passes_underscores: false,
            ignores_invalid_headers: true,
            log_format: log::Format::default(),
            logs_default_backend: true,
            tracing: Tracing::default(),
            asks_for_snippets: false,
            is_log_off: false,
            add_headers: None,
            set_headers: None,
            hsts: Hsts::default(),
            is_hsts_on: !strict,
        }
    }
}

/// Reads the ConfigMap that the options name. Without one the options alone count.
///
/// One that has been there and is gone counts as it was, as in ingress-nginx, which passes over its removal (store.go,
/// cmEventHandler): what it guarded stays guarded. One that may not be read may guard everything, and nothing is served. One that
/// never was there is a diagnostic, and the options alone count; ingress-nginx does not start without it.
pub fn read(index: &Index, options: &Options, diagnostics: &mut Vec<Diagnostic>) -> Configuration {
    let mut configuration = Configuration::new(options);
    if let Some(name) = &options.configmap {
        let origin = Origin::object(Kind::ConfigMap.name(), &name.namespace, &name.name);
        match index.config_map(name) {
            Some(map) => read_keys(map, &origin, &mut configuration, diagnostics),
            None => {
                let (message, mend) = match index.vanished_config_map(name) {
                    Some(map) => {
                        read_keys(map, &origin, &mut configuration, diagnostics);
                        (
                            "the ConfigMap with the options is gone: what it said last stays in force",
                            "create it again; an empty one brings the defaults back",
                        )
                    }
                    None if index.is_refused(Kind::ConfigMap) => {
                        configuration.closed = Some("the ConfigMap with the options may not be read".into());
                        (
                            "the ConfigMap with the options may not be read: all routes answer 503",
                            "give Edgeward the right to, or correct `--configmap`",
                        )
                    }
                    None => (
                        "the ConfigMap with the options does not exist or cannot be read: the defaults are used",
                        "create it, mend what else is said of it, or correct `--configmap`",
                    ),
                };
                diagnostics.push(Diagnostic::new(Severity::Error, "ConfigMapNotFound", origin, message, mend));
            }
        }
    }
    configuration.global_auth = configuration.external_auth.policy(Vec::new()).map(Arc::new);
    const AUTH_URL: &str = "global-auth-url";
    if let (Some(auth), Some(name)) = (&configuration.global_auth, &options.configmap)
        && let Some((message, mend)) = options.unreachable(AUTH_URL, &auth.url)
    {
        let origin = Origin::object(Kind::ConfigMap.name(), &name.namespace, &name.name).at(field(AUTH_URL));
        diagnostics.push(Diagnostic::new(Severity::Error, "AuthUnreachable", origin, message, mend));
    }
    configuration.settings.trace.collector = configuration.tracing.collector();
    headers::read(index, &mut configuration, diagnostics);
    configuration.settings.hsts = configuration.is_hsts_on.then(|| configuration.hsts.to_string().into());
    configuration.settings.field_names = match (configuration.ignores_invalid_headers, configuration.passes_underscores)
    {
        (false, _) => FieldNames::Any,
        (true, true) => FieldNames::Underscores,
        (true, false) => FieldNames::Plain,
    };
    configuration.settings.compression = configuration.compression.compression();
    let block = std::mem::take(&mut configuration.block);
    configuration.settings.block = Some(block).filter(|block| !block.is_empty()).map(Arc::new);
    // What no route takes is answered by the default backend under these (createServers, the `_` server): the redirect and
    // the networks belong to routes (recorded: c209), the rest holds everywhere.
    let everywhere = policy::of_settings(&configuration, &IngressSettings::default());
    let is_unlogged = everywhere.is_unlogged || !configuration.logs_default_backend;
    configuration.settings.default_policies =
        Policies { ssl_redirect: SslRedirect::Off, networks: None, is_unlogged, ..everywhere };
    configuration
}

impl Configuration {
    /// Has it told that of a value all counts but this, which is none of the `allowed`.
    fn leave_out(&mut self, allowed: &str, bad: &[&str]) {
        if !bad.is_empty() {
            self.left_out = Some(format!("{allowed} (`{}` is left out)", bad.join("`, `")));
        }
    }
}

/// The field path of a key.
pub(crate) fn field(key: &str) -> String {
    format!("data[{key}]")
}

fn read_keys(map: &ConfigMap, origin: &Origin, configuration: &mut Configuration, diagnostics: &mut Vec<Diagnostic>) {
    let mut say = |severity, code, name: &str, message: String, mend: String| {
        diagnostics.push(Diagnostic::new(severity, code, origin.at(field(name)), message, mend));
    };
    let unreadable = map.unreadable.iter().map(|name| (name, None));
    for (name, value) in map.data.iter().map(|(name, value)| (name, Some(value))).chain(unreadable) {
        let Some(key) = KEYS.get(name.as_str()) else {
            let mend = match nearest(name, KEYS.keys().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it".to_owned(),
            };
            say(Severity::Warning, "OptionUnknown", name, format!("`{name}` is no known option"), mend);
            continue;
        };
        match (key.parse, value) {
            (Some(parse), Some(value)) => {
                let read = parse(value, configuration);
                if let Some(allowed) = configuration.left_out.take() {
                    let message = format!("`{value}` is no value of `{name}`: what is wrong in it is left out");
                    say(Severity::Error, "OptionInvalid", name, message, format!("use {allowed}"));
                }
                let Err(allowed) = read else { continue };
                if key.guard {
                    let message =
                        format!("`{value}` is no value of `{name}`, which guards every route: all routes answer 503");
                    configuration.closed.get_or_insert_with(|| format!("{name} cannot be read").into());
                    say(Severity::Error, "RouteClosed", name, message, format!("use {allowed}"));
                } else {
                    let message = format!("`{value}` is no value of `{name}`: the default is used");
                    say(Severity::Error, "OptionInvalid", name, message, format!("use {allowed}"));
                }
            }
            // The reader of the manifest has said that it is no string. The default is used, but not in place of a guard.
            (_, None) if !key.guard => {}
            (_, value) if key.guard && value.is_none_or(|value| !value.trim().is_empty()) => {
                let why = value.map_or("no string", |_| key.status.word());
                let message = format!("`{name}` guards every route and is {why}: all routes answer 503");
                let mend =
                    "remove it once something else guards the routes, or keep them on another controller".to_owned();
                configuration.closed.get_or_insert_with(|| format!("{name} is {why}").into());
                say(Severity::Error, "RouteClosed", name, message, mend);
            }
            _ => {
                let message = format!("`{name}` is {}: {}", key.status.word(), key.why);
                let (code, mend) = match key.status {
                    Status::NoEffect => ("OptionWithoutEffect", "remove it"),
                    _ => ("OptionNotHonoured", "remove it if all works without it"),
                };
                say(Severity::Warning, code, name, message, mend.to_owned());
            }
        }
    }
    match configuration.log_format.compile() {
        Ok((format, unknown)) => {
            configuration.settings.log.format = format;
            if !unknown.is_empty() {
                let message =
                    format!("the access log has no variables `${}`: they are written as `-`", unknown.join("`, `$"));
                let mend = "use variables that are known".to_owned();
                say(Severity::Warning, "OptionInvalid", "log-format-upstream", message, mend);
            }
        }
        Err(error) => {
            let name = "log-format-upstream";
            let message = format!("{error}: the format that the process was started with is used");
            say(Severity::Error, "OptionInvalid", name, message, "use variables that are known".to_owned());
        }
    }
    if configuration.asks_for_snippets {
        let name = "allow-snippet-annotations";
        let message =
            "snippets are refused, whatever this says: there is no nginx configuration to put text into".to_owned();
        let mend = "say the same with other annotations, or keep what needs snippets on another controller".to_owned();
        say(Severity::Warning, "OptionWithoutEffect", name, message, mend);
    }
    let settings = &mut configuration.settings;
    if configuration.asks_for_proxy_protocol {
        // nginx takes the address in a header from the same networks (nginx.tmpl, set_real_ip_from), and any header at all.
        settings.proxy_protocol.trusted.extend_from_slice(&settings.trusted);
        if settings.proxy_protocol.trusted.is_empty() {
            let name = "use-proxy-protocol";
            let message = format!("`{name}` closes every connection: no network is trusted to say who a client is");
            let mend = "name the networks of the load balancers in `proxy-real-ip-cidr`".to_owned();
            say(Severity::Error, "NoTrustedNetworks", name, message, mend);
        }
    }
    if (settings.use_forwarded_headers || settings.enable_real_ip) && settings.trusted.is_empty() {
        let name = if settings.use_forwarded_headers { "use-forwarded-headers" } else { "enable-real-ip" };
        let message = format!("`{name}` has no effect: no network is trusted to say who a client is");
        let mend = "name the networks of the proxies in front in `proxy-real-ip-cidr`".to_owned();
        say(Severity::Warning, "NoTrustedNetworks", name, message, mend);
    }
}

#[cfg(test)]
mod tests;
