//! Who may ask, by address.

use std::net::IpAddr;
use std::sync::Arc;

use edgeward_routing::policy::{NetworkSet, Satisfy};
use ipnet::IpNet;

use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Networks",
    doc: "Who may ask, by address.",
    annotations: &[
        Annotation::honoured(
            "allowlist-source-range",
            Scope::Route,
            |value, settings| {
                settings.networks.allowed = Some(guarding(value)?);
                settings.is_guarded = true;
                Ok(())
            },
            "Networks that may ask; everybody else gets 403.",
        )
        .aliased(&["whitelist-source-range"]),
        Annotation::honoured(
            "denylist-source-range",
            Scope::Route,
            |value, settings| {
                settings.networks.denied = Some(guarding(value)?);
                settings.is_guarded = true;
                Ok(())
            },
            "Networks that get 403.",
        ),
        Annotation::honoured(
            "satisfy",
            Scope::Route,
            satisfy,
            "Whether all guards must let a request pass, networks and authentication, or `any` of them is enough.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkSettings {
    /// `allowlist-source-range`.
    pub allowed: Option<Arc<NetworkSet>>,
    /// `denylist-source-range`.
    pub denied: Option<Arc<NetworkSet>>,
    /// `satisfy`.
    pub satisfy: Satisfy,
}

pub(super) const NETWORKS: &str = "addresses and networks such as `10.0.0.0/8`, with commas between them";

/// Networks with commas between them. One that is none spoils the list, as in ingress-nginx (internal/net ParseIPNets), and an
/// empty list is none.
pub(crate) fn parse_networks(value: &str) -> Option<NetworkSet> {
    value.split(',').map(|item| parse_network(item.trim())).collect()
}

/// A network, or an address.
pub(crate) fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok())
}

/// A list that guards: where it cannot be read, nobody is let in (recorded: c201).
fn guarding(value: &str) -> Result<Arc<NetworkSet>, Rejection> {
    parse_networks(value).map(Arc::new).ok_or_else(|| Rejection::Closes(NETWORKS.to_owned()))
}

fn satisfy(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.networks.satisfy = match value.trim() {
        "any" => Satisfy::Any,
        "all" => Satisfy::All,
        _ => return Err(invalid("`any` or `all`")),
    };
    Ok(())
}
