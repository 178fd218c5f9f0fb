//! Grammars of values that several annotations and ConfigMap keys share.

use std::time::Duration;

use edgeward_routing::backend::LoadBalance;

/// The largest time-out in seconds: 68 years, and no arithmetic on it overflows.
const MAX_SECONDS: u64 = i32::MAX as u64;

/// A boolean as ingress-nginx reads it (Go's strconv.ParseBool).
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// What [`parse_bool`] takes, for a mend.
pub(super) const BOOL: &str = "`true` or `false`";

/// A time-out in whole seconds, at least one. ingress-nginx also takes 0, which fails every request, and -1, which
/// breaks its whole configuration (recorded: c304).
pub(crate) fn parse_seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: u64 = digits.parse().ok()?;
    (1..=MAX_SECONDS).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// What [`parse_seconds`] takes, for a mend.
pub(super) const SECONDS: &str = "a whole number of seconds of at least 1, without a unit";

/// What `Faults::parse` takes, for a mend.
pub(crate) const FAULTS: &str = "words of `error`, `timeout`, `invalid_header`, `http_500`, `http_502`, `http_503`, `http_504`, `http_403`, `http_404`, \
     `http_429` and `non_idempotent`, or `off`";

/// A value of `proxy-http-version`: whether it is 1.0.
pub(crate) fn parse_http_version(text: &str) -> Option<bool> {
    match text.trim() {
        "1.0" => Some(true),
        "1.1" => Some(false),
        _ => None,
    }
}

/// Whether text is made of what ingress-nginx allows in the name of a server: no blank, no quote, no `;`
/// (parser/validators.go ValidateServerName).
pub(super) fn is_server_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || br"/-._~:^$[](){}*+?|&=\".contains(&b))
}

/// A duration with a unit: `500ms`, `30s`, `5m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_at);
    let number: u64 = digits.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let total = number.checked_mul(milliseconds)?;
    (total <= MAX_SECONDS * 1_000).then(|| Duration::from_millis(total))
}

/// Text of letters, digits and a few signs, which can stand in any header field (parser/validators.go BasicCharsRegex, which
/// passes over blanks). `None` for other text, and for none.
pub(super) fn basic_text(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/: ".contains(&b);
    (!text.is_empty() && text.bytes().all(is_allowed)).then(|| text.into())
}

/// What [`basic_text`] takes, for a mend.
pub(super) const BASIC_TEXT: &str = "letters, digits and `-._~/:`";

/// ingress-nginx's `load-balance`. Its other values, `chash`, `chashsubset`, `sticky_balanced` and `sticky_persistent`,
/// only name what `upstream-hash-by` and `affinity` switch on.
pub(crate) fn parse_load_balance(text: &str) -> Option<LoadBalance> {
    match text.trim() {
        "round_robin" => Some(LoadBalance::RoundRobin),
        "ewma" => Some(LoadBalance::PeakEwma),
        _ => None,
    }
}
