//! How requests are spread over endpoints.

use std::num::NonZeroUsize;

use edgeward_routing::template::Template;

use super::value::{BOOL, parse_bool, parse_load_balance};
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
        Annotation::honoured(
            "service-upstream",
            Scope::Backend,
            |value, settings| {
                settings.backend.service_upstream = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
                Ok(())
            },
            "Sends requests to the Service's address and not to its endpoints, where it has one.",
        ),
        Annotation::honoured(
            "upstream-hash-by",
            Scope::Backend,
            hash_by,
            "Text with variables whose hash picks the endpoint.",
        ),
        Annotation::honoured(
            "upstream-hash-by-subset",
            Scope::Backend,
            |value, settings| {
                let is_grouped = parse_bool(value).ok_or_else(|| refused(value, BOOL))?;
                settings.backend.hash_subset = Some(is_grouped);
                Ok(())
            },
            "Whether the hash picks a group of endpoints, and chance one of them.",
        ),
        Annotation::honoured(
            "upstream-hash-by-subset-size",
            Scope::Backend,
            subset_size,
            "Size of that group (default 3).",
        ),
    ],
};

fn load_balance(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    const ALLOWED: &str = "`round_robin` or `ewma` (for hashing use `upstream-hash-by`, for sessions `affinity`, for least \
                           request `edgeward.dev/load-balance`)";
    settings.backend.load_balance = Some(match (parse_load_balance(value), value.trim()) {
        (Some(balance), _) => balance,
        // They only name what other annotations switch on, and with them they mean nothing.
        (None, "chash" | "chashsubset" | "sticky_balanced" | "sticky_persistent") => return Err(invalid(ALLOWED)),
        (None, _) => return Err(refused(value, ALLOWED)),
    });
    Ok(())
}

fn hash_by(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    const ALLOWED: &str = "text with variables such as `$request_uri`, `$host` or `$http_x_user`";
    let value = value.trim();
    // upstreamhashby/main.go hashByRegex.
    if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_${} ".contains(&b)) {
        return Err(refused(value, ALLOWED));
    }
    let template = value.parse::<Template>().map_err(|error| Rejection::Invalid(format!("{ALLOWED} ({error})")))?;
    settings.backend.hash_by = Some(template);
    Ok(())
}

fn subset_size(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    const ALLOWED: &str = "a whole number of at least 1";
    let size = value.parse::<i64>().map_err(|_| refused(value, ALLOWED))?;
    let size = usize::try_from(size).ok().and_then(NonZeroUsize::new).ok_or_else(|| invalid(ALLOWED))?;
    settings.backend.hash_subset_size = Some(size);
    Ok(())
}

/// A value that drops the Ingress, unless it is none (parser/validators.go checkAnnotation; recorded: c280).
fn refused(value: &str, allowed: &str) -> Rejection {
    if value.is_empty() { invalid(allowed) } else { Rejection::Drops(allowed.to_owned()) }
}
