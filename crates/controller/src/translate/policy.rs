//! Policies: what the annotations of an Ingress and the configuration come to.

use std::sync::Arc;

use edgeward_routing::policy::{Policies, SslRedirect, Timeouts};

use crate::annotation::IngressSettings;
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
    }
}

/// The policies of the route with this Ingress path, where those of its Ingress are `policies`.
pub(crate) fn at_path(configuration: &Configuration, policies: &Policies, path: &str) -> Policies {
    let is_exempt = configuration.no_tls_redirect.iter().any(|prefix| path.starts_with(prefix.as_str()));
    let ssl_redirect = if is_exempt { SslRedirect::Off } else { policies.ssl_redirect };
    Policies { ssl_redirect, ..policies.clone() }
}
