//! What is shown to endpoints that speak TLS, and what they have to show: `proxy-ssl-*`.

use std::sync::Arc;

use edgeward_routing::policy::{Policies, UpstreamTls};
use edgeward_routing::template::{Part, Template};

use super::class::Owned;
use crate::annotation::UpstreamTlsSettings;
use crate::certificate::{self, AUTHORITY_KEY, CERTIFICATE_KEY, PRIVATE_KEY_KEY};
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::{CertificateState, Index};
use crate::object::NamespacedName;

/// The policies with what an Ingress asks for of TLS to its endpoints. Where that cannot be had, its routes are closed.
pub(super) fn with_upstream_tls(
    index: &Index,
    owned: &Owned<'_>,
    policies: Policies,
    diagnostics: &mut Vec<Diagnostic>,
) -> Policies {
    let settings = &owned.settings.upstream_tls;
    let origin = || owned.origin.at("metadata.annotations");
    match terms(index, owned) {
        Ok(upstream_tls) => {
            if upstream_tls.is_none() && *settings != UpstreamTlsSettings::default() {
                let message = "the `proxy-ssl-*` annotations have no effect without `proxy-ssl-secret`".to_owned();
                let mend = "name a Secret with `ca.crt`, or with `tls.crt` and `tls.key`, or remove them";
                diagnostics.push(Diagnostic::new(Severity::Warning, "UpstreamTlsIgnored", origin(), message, mend));
            }
            if settings.verifies && settings.name.is_none() {
                let message =
                    "`proxy-ssl-verify` is on and no name is given: no certificate of an endpoint is good".to_owned();
                let mend = "give the name that they have in `proxy-ssl-name`";
                diagnostics.push(Diagnostic::new(Severity::Error, "UpstreamTlsNameless", origin(), message, mend));
            }
            Policies { upstream_tls: upstream_tls.map(Arc::new), ..policies }
        }
        Err(why) => {
            let message = format!("{why}: all routes of this Ingress answer 503");
            let mend = "name a Secret of the namespace of the Ingress with what is asked for: `ca.crt` to verify, \
                        `tls.crt` and `tls.key` to show";
            diagnostics.push(Diagnostic::new(Severity::Error, "RouteClosed", origin(), message, mend));
            Policies { closed: policies.closed.or_else(|| Some(why.into())), ..policies }
        }
    }
}

fn terms(index: &Index, owned: &Owned<'_>) -> Result<Option<UpstreamTls>, String> {
    let settings = &owned.settings.upstream_tls;
    let Some((namespace, name)) = &settings.secret else {
        // The original does not verify then (recorded: c311).
        return match settings.verifies {
            true => Err("`proxy-ssl-verify` is on without `proxy-ssl-secret`".to_owned()),
            false => Ok(None),
        };
    };
    if **namespace != *owned.ingress.meta.name.namespace {
        return Err("`proxy-ssl-secret` names a Secret of another namespace".to_owned());
    }
    let name = NamespacedName { namespace: owned.ingress.meta.name.namespace.clone(), name: (&**name).into() };
    let value = |key| index.secret_value(&name, key).filter(|value| !value.is_empty());
    let identity = match index.certificate(&name) {
        CertificateState::Missing => return Err(format!("there is no Secret `{}/{}`", name.namespace, name.name)),
        CertificateState::Good(certificate) => Some(Arc::clone(certificate)),
        CertificateState::Broken { .. } if value(CERTIFICATE_KEY).or(value(PRIVATE_KEY_KEY)).is_none() => None,
        CertificateState::Broken { error, .. } => {
            return Err(format!("Secret `{}/{}` is no certificate: {error}", name.namespace, name.name));
        }
    };
    let authorities = match value(AUTHORITY_KEY) {
        Some(pem) => {
            let broken =
                || format!("`{AUTHORITY_KEY}` of Secret `{}/{}` holds no certificates", name.namespace, name.name);
            certificate::authorities(pem).ok_or_else(broken)?
        }
        None if settings.verifies || identity.is_none() => {
            return Err(format!("Secret `{}/{}` has no `{AUTHORITY_KEY}`", name.namespace, name.name));
        }
        None => Box::default(),
    };
    let nameless = || Template { parts: vec![Part::Literal(UpstreamTls::NAMELESS.into())] };
    // Versions and suites stand beside the CA in the original's configuration, and nowhere else.
    let (tls12, tls13) = match (authorities.is_empty(), settings.versions) {
        (true, _) => (true, true),
        (false, versions) => versions.unwrap_or((true, false)),
    };
    Ok(Some(UpstreamTls {
        name: settings.name.clone().unwrap_or_else(nameless),
        sends_name: settings.sends_name,
        verifies: settings.verifies,
        depth: settings.depth,
        identity,
        tls12,
        tls13,
        suites: if authorities.is_empty() { Box::default() } else { settings.suites.clone() },
        authorities,
        client: Default::default(),
    }))
}
