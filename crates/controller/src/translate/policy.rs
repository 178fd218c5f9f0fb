//! Policies: what the annotations of an Ingress and the configuration come to.

use std::num::NonZeroU64;
use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::BackendKey;
use edgeward_routing::policy::limits::Zone;
use edgeward_routing::policy::{
    ErrorPages, HeaderFields, Limits, Networks, Pace, Policies, ResponsePolicies, SslRedirect, Substitution, Timeouts,
    Trace,
};

use super::class::Owned;
use super::options::Options;
use crate::annotation::{self, IngressSettings, NetworkSettings, TraceSettings};
use crate::configmap::{Configuration, Tracing};
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::NamespacedName;

/// The policies of the routes of an Ingress that asks for `settings`. Its routes share what is behind pointers.
pub(crate) fn of_settings(configuration: &Configuration, settings: &IngressSettings) -> Policies {
    let redirects = &settings.redirects;
    let ssl_redirect = if redirects.force_ssl.unwrap_or(configuration.force_ssl_redirect) {
        SslRedirect::Always
    } else if redirects.ssl.unwrap_or(configuration.ssl_redirect) {
        SslRedirect::WithCertificate
    } else {
        SslRedirect::Off
    };
    let timeouts = &configuration.timeouts;
    let upstream = &settings.upstream;
    Policies {
        closed: settings.closed.clone().or_else(|| configuration.closed.clone()),
        ssl_redirect,
        body_size: settings.body_size.unwrap_or(configuration.body_size),
        tunnel_idle: upstream.read_timeout,
        streams_request: settings.streams_request.unwrap_or(configuration.streams_request),
        protocol: upstream.protocol.unwrap_or_default(),
        timeouts: Timeouts {
            connect: upstream.connect_timeout.unwrap_or(timeouts.connect),
            send: upstream.send_timeout.unwrap_or(timeouts.send),
            read: upstream.read_timeout.unwrap_or(timeouts.read),
        },
        retry: upstream.retry(configuration.retry, configuration.retries_non_idempotent),
        upstream_request: upstream.request(configuration.is_http10).map(Arc::new),
        upstream_tls: None,
        mirror: settings.mirror.mirror().map(Arc::new),
        error_pages: pages(configuration, settings, None),
        stand_in: None,
        host: None,
        redirect: redirects.redirect().map(Arc::new),
        rewrite: None,
        redirect_style: redirects.style(configuration.redirect_style),
        cors: settings.cors.cors().map(Arc::new),
        limits: None,
        networks: networks(configuration, &settings.networks).map(Arc::new),
        satisfy: settings.networks.satisfy,
        basic_auth: None,
        digest_auth: None,
        external_auth: None,
        sets_session: settings.affinity.is_by_cookie,
        response: response(configuration, settings),
        is_unlogged: configuration.is_log_off || settings.is_logged == Some(false),
        trace: trace(configuration, &settings.trace).map(Arc::new),
    }
}

/// How the requests of an Ingress are traced: what it says of it counts where it asks for traces itself, as in ingress-nginx
/// (annotations/opentelemetry/main.go).
fn trace(configuration: &Configuration, settings: &TraceSettings) -> Option<Trace> {
    let Tracing { is_on, trusts_client, operation, .. } = &configuration.tracing;
    let own = Some(settings).filter(|settings| settings.is_on == Some(true));
    settings.is_on.unwrap_or(*is_on).then(|| Trace {
        trusts_client: own.and_then(|own| own.trusts_client).unwrap_or(*trusts_client),
        operation: own.and_then(|own| own.operation.clone()).or_else(|| operation.clone()),
    })
}

/// Reports what of an Ingress does not hold where TLS is passed on, and where it is not although the Ingress asks for it.
pub(super) fn report_passthrough(
    options: &Options,
    owned: &Owned<'_>,
    policies: &Policies,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if !owned.settings.passes_tls {
        return;
    }
    let mut say = |code, message: &str, mend: &str| {
        let origin = owned.origin.at("metadata.annotations");
        diagnostics.push(Diagnostic::new(Severity::Warning, code, origin, message, mend));
    };
    if !options.enable_ssl_passthrough {
        say(
            "AnnotationWithoutEffect",
            "`ssl-passthrough` has no effect without `--enable-ssl-passthrough`: TLS ends here",
            "start Edgeward with `--enable-ssl-passthrough`, or remove the annotation",
        );
    } else if policies.asks_who() || owned.settings.client_certificates.secret.is_some() {
        say(
            "PassthroughUnguarded",
            "TLS is passed on (`ssl-passthrough`): authentication does not hold for it, only for plain HTTP",
            "have the application authenticate its clients, or remove `ssl-passthrough`",
        );
    }
}

/// What is changed in responses; `None` for nothing.
fn response(configuration: &Configuration, settings: &IngressSettings) -> Option<Arc<ResponsePolicies>> {
    let asked = &settings.response;
    let from = asked.redirect_from.as_ref().unwrap_or(&configuration.redirect_from);
    let to = asked.redirect_to.as_ref().unwrap_or(&configuration.redirect_to);
    // `default` is about an address that no endpoint has here or there.
    let replaces = !matches!(&**from, "off" | "default") && **to != *"off";
    let rate = NonZeroU64::new(settings.body.rate.unwrap_or(configuration.rate));
    let policies = ResponsePolicies {
        headers: None,
        redirect: if replaces { Substitution::prefix(from, to).ok() } else { None },
        cookie_domain: asked.cookie_domain.clone().unwrap_or_else(|| configuration.cookie_domain.clone()),
        cookie_path: asked.cookie_path.clone().unwrap_or_else(|| configuration.cookie_path.clone()),
        pace: rate.map(|rate| Pace { rate, after: settings.body.rate_after.unwrap_or(configuration.rate_after) }),
    };
    (policies != ResponsePolicies::default()).then(|| Arc::new(policies))
}

/// The lists of an Ingress; where it has none of a kind, that of the ConfigMap holds.
fn networks(configuration: &Configuration, settings: &NetworkSettings) -> Option<Networks> {
    let denied = settings.denied.clone().or_else(|| configuration.denied.clone());
    let allowed = settings.allowed.clone().or_else(|| configuration.allowed.clone());
    Some(Networks { denied, allowed }).filter(|networks| *networks != Networks::default())
}

/// The limits of an Ingress. They go on counting where they did: in the zone that its routes have in the previous snapshot.
pub(super) fn limits(owned: &Owned<'_>, previous: &Snapshot) -> Option<Arc<Limits>> {
    let settings = Some(&owned.settings.limits).filter(|limits| limits.is_limited())?;
    let name = owned.ingress.meta.name.to_string();
    let hosts = crate::index::hosts(owned.ingress).filter_map(|host| previous.routes.of_pattern(&host));
    let mut known = hosts.flat_map(|host| host.routes()).filter_map(|route| route.policies.limits.as_ref());
    let zone = known.find(|limits| limits.zone.name() == name).map(|limits| Arc::clone(&limits.zone));
    Some(Arc::new(settings.limits(zone.unwrap_or_else(|| Arc::new(Zone::new(&name))))))
}

/// Has this backend answer in place of the routes' own where an Ingress that asks for `settings` says so.
pub(crate) fn answered_by(
    configuration: &Configuration,
    settings: &IngressSettings,
    backend: &BackendKey,
    policies: Policies,
) -> Policies {
    Policies {
        error_pages: pages(configuration, settings, Some(backend)),
        stand_in: Some(Arc::new(backend.clone())),
        ..policies
    }
}

fn pages(
    configuration: &Configuration,
    settings: &IngressSettings,
    backend: Option<&BackendKey>,
) -> Option<Arc<ErrorPages>> {
    let intercepts = !configuration.keeps_answers;
    settings.errors.pages(&configuration.error_statuses, intercepts, backend).map(Arc::new)
}

/// The policies of the routes of an Ingress, with what its annotations name looked up.
pub(super) fn of_ingress(
    index: &Index,
    configuration: &Configuration,
    owned: &Owned<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Policies {
    let mut policies = of_settings(configuration, &owned.settings);
    if let Some(name) = &owned.settings.response.custom_headers {
        match custom_headers(index, configuration, &owned.namespace(), name) {
            Ok(fields) if fields.is_empty() => {}
            Ok(fields) => {
                let response = policies.response.get_or_insert_default();
                Arc::make_mut(response).headers = Some(configuration.settings.response_headers.with(&fields));
            }
            Err(why) => {
                let message = format!("{why}: all routes of this Ingress answer 503");
                let mend = "correct the ConfigMap or the annotation; names must be in `global-allowed-response-headers`, and a cluster \
                            needs `--watch-config-maps`";
                let key = owned.ingress.meta.annotations.keys().find(|key| key.ends_with("/custom-headers"));
                let origin = owned.origin.at(annotation::field(key.map_or("custom-headers", String::as_str)));
                diagnostics.push(Diagnostic::new(Severity::Error, "RouteClosed", origin, message, mend));
                policies.closed.get_or_insert_with(|| "custom-headers cannot be read".into());
            }
        }
    }
    policies
}

/// The fields that `custom-headers` names (customheaders/main.go: one bad field closes the routes; recorded: c147).
fn custom_headers(
    index: &Index,
    configuration: &Configuration,
    own: &str,
    name: &NamespacedName,
) -> Result<HeaderFields, String> {
    if *name.namespace != *own && !configuration.allow_cross_namespace {
        return Err(format!("ConfigMap `{name}` is in another namespace"));
    }
    let map = index.config_map(name).ok_or_else(|| format!("there is no ConfigMap `{name}`"))?;
    if let Some(key) = map.unreadable.first() {
        return Err(format!("`{key}` of ConfigMap `{name}` is no string"));
    }
    let mut fields = HeaderFields::default();
    for (key, value) in &map.data {
        let is_visible = !value.is_empty() && value.bytes().all(|b| matches!(b, b' '..=b'~'));
        if !is_visible {
            return Err(format!("header `{key}` of ConfigMap `{name}` has no value that a header may have"));
        }
        if !configuration.allowed_response_headers.iter().any(|allowed| **allowed == **key) {
            return Err(format!("header `{key}` of ConfigMap `{name}` is not allowed"));
        }
        fields.set(key, value).map_err(|error| format!("header `{key}` of ConfigMap `{name}`: {error}"))?;
    }
    Ok(fields)
}

/// The policies of the route with this Ingress path, where those of its Ingress are `policies`.
pub(crate) fn at_path(configuration: &Configuration, policies: &Policies, path: &str) -> Policies {
    let is_in = |list: &[String]| list.iter().any(|prefix| path.starts_with(prefix.as_str()));
    let mut policies = policies.clone();
    if is_in(&configuration.no_tls_redirect) {
        policies.ssl_redirect = SslRedirect::Off;
    }
    if is_in(&configuration.no_auth) {
        policies.basic_auth = None;
        policies.digest_auth = None;
        policies.external_auth = None;
    }
    policies
}
