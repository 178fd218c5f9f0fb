//! Policies: what the annotations of an Ingress and the configuration come to.

use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::policy::limits::Zone;
use edgeward_routing::policy::{Limits, Networks, Policies, SslRedirect, Timeouts};

use super::class::Owned;
use crate::annotation::{IngressSettings, NetworkSettings};
use crate::configmap::Configuration;

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
    Policies {
        closed: settings.closed.clone().or_else(|| configuration.closed.clone()),
        ssl_redirect,
        body_size: settings.body_size.unwrap_or(configuration.body_size),
        protocol: settings.protocol.unwrap_or_default(),
        timeouts: Timeouts {
            connect: settings.connect_timeout.unwrap_or(timeouts.connect),
            send: settings.send_timeout.unwrap_or(timeouts.send),
            read: settings.read_timeout.unwrap_or(timeouts.read),
        },
        host: None,
        redirect: redirects.redirect().map(Arc::new),
        rewrite: None,
        redirect_style: redirects.style,
        cors: settings.cors.cors().map(Arc::new),
        limits: None,
        networks: networks(configuration, &settings.networks).map(Arc::new),
        satisfy: settings.networks.satisfy,
    }
}

/// The lists of an Ingress, in place of which it may have none those of the ConfigMap hold, each by itself.
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

/// The policies of the route with this Ingress path, where those of its Ingress are `policies`.
pub(crate) fn at_path(configuration: &Configuration, policies: &Policies, path: &str) -> Policies {
    let is_exempt = configuration.no_tls_redirect.iter().any(|prefix| path.starts_with(prefix.as_str()));
    let ssl_redirect = if is_exempt { SslRedirect::Off } else { policies.ssl_redirect };
    Policies { ssl_redirect, ..policies.clone() }
}
