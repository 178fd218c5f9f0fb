//! How requests are spread over endpoints.

use edgeward_routing::template::Template;

use super::value::parse_load_balance;
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Balancing",
    doc: "How requests are spread over endpoints.",
    annotations: &[
        Annotation::honoured(
            "load-balance",
            Scope::Backend,
            load_balance,
            "How requests are spread over the endpoints: `round_robin` or `ewma`.",
        ),
        Annotation::later(
            "service-upstream",
            Scope::Backend,
            "Sends requests to the Service's address and not to its endpoints.",
        )
        .meanwhile("they go to the endpoints"),
        Annotation::honoured(
            "upstream-hash-by",
            Scope::Backend,
            hash_by,
            "Text with variables whose hash picks the endpoint.",
        ),
        Annotation::later("upstream-hash-by-subset", Scope::Backend, "Whether the hash picks a group of endpoints."),
        Annotation::later("upstream-hash-by-subset-size", Scope::Backend, "Size of that group."),
    ],
};

fn load_balance(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let balance = parse_load_balance(value).ok_or_else(|| {
        invalid("`round_robin` or `ewma` (for hashing use `upstream-hash-by`, for least request `edgeward.dev/load-balance`)")
    })?;
    settings.backend.load_balance = Some(balance);
    Ok(())
}

fn hash_by(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let template = value.trim().parse::<Template>().map_err(|error| {
        Rejection::Invalid(format!("text with variables such as `$request_uri`, `$host` or `$http_x_user` ({error})"))
    })?;
    settings.backend.hash_by = Some(template);
    Ok(())
}
