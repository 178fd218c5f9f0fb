//! Clients that stay with one endpoint.

use edgeward_routing::affinity::{AffinityMode, SameSite, SessionCookie};

use super::value::{BASIC_TEXT, BOOL, basic_text, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Session affinity",
    doc: "Clients that stay with one endpoint.",
    annotations: &[
        Annotation::honoured(
            "affinity",
            Scope::Backend,
            |value, settings| {
                if value.trim() != "cookie" {
                    return Err(invalid("`cookie`"));
                }
                settings.affinity.is_by_cookie = true;
                Ok(())
            },
            "Keeps a client on one endpoint with a cookie (`cookie` is the only value).",
        ),
        Annotation::honoured(
            "affinity-canary-behavior",
            Scope::Backend,
            |value, settings| {
                settings.affinity.leaves_canary = match value.trim() {
                    "sticky" => false,
                    "legacy" => true,
                    _ => return Err(invalid("`sticky` or `legacy`")),
                };
                Ok(())
            },
            "On a canary: whether clients also stay with it (`sticky`) or not (`legacy`).",
        ),
        Annotation::honoured(
            "affinity-mode",
            Scope::Backend,
            |value, settings| {
                settings.affinity.mode = Some(match value.trim() {
                    "balanced" => AffinityMode::Balanced,
                    "persistent" => AffinityMode::Persistent,
                    _ => return Err(invalid("`balanced` or `persistent`")),
                });
                Ok(())
            },
            "Whether some clients move when endpoints are added (`balanced`) or all stay (`persistent`).",
        ),
        Annotation::honoured(
            "session-cookie-change-on-failure",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.changes_on_failure = boolean(value)?;
                Ok(())
            },
            "Whether a client gets another endpoint, and cookie, when its own fails.",
        ),
        Annotation::honoured(
            "session-cookie-conditional-samesite-none",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.spares_old_clients = boolean(value)?;
                Ok(())
            },
            "Whether browsers that misread `SameSite=None` are not told it.",
        ),
        Annotation::honoured(
            "session-cookie-domain",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.domain = Some(text(value)?);
                Ok(())
            },
            "Domain of the affinity cookie.",
        ),
        Annotation::honoured(
            "session-cookie-expires",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.expires = Some(seconds(value)?);
                Ok(())
            },
            "Seconds after which the affinity cookie expires, as a date.",
        ),
        Annotation::honoured(
            "session-cookie-max-age",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.max_age = Some(seconds(value)?);
                Ok(())
            },
            "`Max-Age` of the affinity cookie, in seconds.",
        ),
        Annotation::honoured(
            "session-cookie-name",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.name = text(value)?;
                Ok(())
            },
            "Name of the affinity cookie (default `INGRESSCOOKIE`).",
        ),
        Annotation::honoured(
            "session-cookie-path",
            Scope::Backend,
            path,
            "Path of the affinity cookie; that of the rule without it.",
        ),
        Annotation::honoured(
            "session-cookie-samesite",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.same_site = Some(match value.trim() {
                    "None" => SameSite::None,
                    "Lax" => SameSite::Lax,
                    "Strict" => SameSite::Strict,
                    _ => return Err(invalid("`None`, `Lax` or `Strict`")),
                });
                Ok(())
            },
            "`SameSite` of the affinity cookie.",
        ),
        Annotation::honoured(
            "session-cookie-secure",
            Scope::Backend,
            |value, settings| {
                settings.affinity.cookie.is_secure = boolean(value)?;
                Ok(())
            },
            "Whether the affinity cookie is `Secure` over plain HTTP too; over HTTPS it always is.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AffinitySettings {
    /// Whether a cookie keeps clients with an endpoint. The cookie means nothing without it.
    pub is_by_cookie: bool,
    /// `affinity-mode`.
    pub mode: Option<AffinityMode>,
    /// Whether clients do not stay with this canary.
    pub leaves_canary: bool,
    /// The cookie.
    pub cookie: SessionCookie,
}

fn boolean(value: &str) -> Result<bool, Rejection> {
    parse_bool(value).ok_or_else(|| invalid(BOOL))
}

fn text(value: &str) -> Result<Box<str>, Rejection> {
    basic_text(value).ok_or_else(|| invalid(BASIC_TEXT))
}

/// Seconds, of which the original takes texts too that are no number, and fails every request then.
fn seconds(value: &str) -> Result<i64, Rejection> {
    /// What the original still writes as digits.
    const MOST: u64 = 99_999_999_999_999;
    let seconds = value.trim().parse::<i64>().ok().filter(|seconds| seconds.unsigned_abs() <= MOST);
    seconds.ok_or_else(|| invalid("a whole number of seconds, without a unit"))
}

fn path(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    // URLIsValidRegex (parser/validators.go).
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:,?&= ".contains(&b);
    if value.is_empty() || !value.bytes().all(is_allowed) {
        return Err(invalid("a path of letters, digits and `-._~/:,?&=`"));
    }
    settings.affinity.cookie.path = Some(value.into());
    Ok(())
}
