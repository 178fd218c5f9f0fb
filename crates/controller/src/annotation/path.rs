//! What of hosts and paths is matched, and what the application gets.

use edgeward_routing::host::{HostPattern, parse_alias};
use edgeward_routing::policy::Replacement;

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Paths and hosts",
    doc: "What of hosts and paths is matched, and what the application gets.",
    annotations: &[
        Annotation::refused("enable-rewrite-log", Scope::Route, "Whether nginx logs its rewrites.")
            .meanwhile("there is no nginx here that could log them")
            .instead("compare the target in the access log with the one in the log of the application"),
        Annotation::honoured(
            "rewrite-target",
            Scope::Host,
            rewrite_target,
            "Path that the application gets instead; `$1` to `$9` are what groups of the path took. All paths of the hosts \
             are regular expressions then, unless it is the path itself.",
        ),
        Annotation::honoured("server-alias", Scope::Host, server_alias, "Further host names, separated by commas."),
        Annotation::honoured(
            "use-regex",
            Scope::Host,
            |value, settings| {
                settings.paths.use_regex = parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Whether paths are regular expressions: all paths of the hosts then, whatever the case.",
        ),
        Annotation::honoured(
            "x-forwarded-prefix",
            Scope::Route,
            x_forwarded_prefix,
            "Value of `X-Forwarded-Prefix` to the application, where `rewrite-target` changes the path.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PathSettings {
    /// `use-regex`.
    pub use_regex: bool,
    /// `rewrite-target`.
    pub target: Option<Replacement>,
    /// `x-forwarded-prefix`.
    pub prefix: Option<Replacement>,
    /// `server-alias`, sorted.
    pub aliases: Box<[HostPattern]>,
}

/// RegexPathWithCapture (parser/validators.go).
fn is_path_with_groups(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/:$".contains(&b))
}

fn rewrite_target(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let target = Some(value).filter(|value| !value.is_empty() && is_path_with_groups(value));
    // Recorded: c037, c320 (a query or another character is ignored with the whole value). An unknown variable breaks the
    // whole configuration of ingress-nginx.
    let target = target.and_then(|value| value.parse().ok());
    let allowed = "a path of letters, digits and `-._~/:`, with `$1` to `$9` for what groups of the path took";
    settings.paths.target = Some(target.ok_or_else(|| invalid(allowed))?);
    match value.split('/').any(|segment| segment == "..") {
        true => Err(Rejection::Noted(
            "has the segment `..`, which leads nowhere: every request that is rewritten to it gets 400",
            "the path that is meant, without `..`",
        )),
        false => Ok(()),
    }
}

fn x_forwarded_prefix(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let allowed = "a path of letters, digits and `-._~/:`, with `$1` to `$9` for what groups of the path took";
    if !is_path_with_groups(&value.replace(' ', "")) {
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    let prefix = Some(value.trim()).filter(|value| !value.is_empty()).and_then(|value| value.parse().ok());
    settings.paths.prefix = Some(prefix.ok_or_else(|| invalid(allowed))?);
    Ok(())
}

fn server_alias(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    // IsValidRegex (parser/validators.go); recorded: c324.
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:^$[](){}*+?|&=\\".contains(&b);
    let names = || value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let allowed = "host names, `*.NAME`, `NAME.*` or `~` with a regular expression, separated by commas";
    if !names().all(|name| name.bytes().all(is_allowed)) {
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    let mut aliases = Vec::new();
    for name in counted(value) {
        // One that is no name breaks the whole configuration of ingress-nginx (recorded: c398).
        let name = parse_alias(name).map_err(|error| invalid(&format!("{allowed}; `{name}` {error}")))?;
        aliases.extend(name);
    }
    aliases.sort();
    aliases.dedup();
    if aliases.is_empty() {
        return Err(invalid(allowed));
    }
    settings.paths.aliases = aliases.into();
    if counted(value).count() < names().count() {
        return Err(Rejection::LeftOut(format!(
            "at most {ALIASES} names, {EXPRESSIONS} of them regular expressions, and rules for the others"
        )));
    }
    Ok(())
}

/// The most names that count in a value of `server-alias`: each has all routes of its host.
const ALIASES: usize = 256;

/// How many of them may be regular expressions, which are tried one by one.
const EXPRESSIONS: usize = 32;

/// The names in a value of `server-alias` that count.
fn counted(value: &str) -> impl Iterator<Item = &str> {
    let mut expressions = 0;
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty()).take(ALIASES);
    names.filter(move |name| {
        let is_expression = name.starts_with('~');
        expressions += usize::from(is_expression);
        !is_expression || expressions <= EXPRESSIONS
    })
}

/// The names in a value of `server-alias`, as far as they are some.
pub(crate) fn aliases_in(value: &str) -> impl Iterator<Item = HostPattern> {
    counted(value).filter_map(|name| parse_alias(name).ok()).flatten()
}
