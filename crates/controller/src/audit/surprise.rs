//! What ingress-nginx does, and Edgeward with it, that most people do not expect of their objects.

use std::collections::BTreeMap;

use super::{Finding, Verdict};
use crate::annotation::parse_bool;
use crate::index::Index;
use crate::object::{Ingress, IngressPath, Kind};
use crate::translate::Options;

/// A path with where it is.
struct Placed<'a> {
    ingress: &'a Ingress,
    place: String,
    text: &'a str,
    /// Whether its own Ingress makes it a regular expression.
    asks: bool,
}

/// The findings about the paths of these Ingresses, host by host.
pub(super) fn findings(ingresses: &[&Ingress], options: &Options) -> Vec<Finding> {
    let mut hosts: BTreeMap<&str, Vec<Placed<'_>>> = BTreeMap::new();
    let mut secured: BTreeMap<&str, &Ingress> = BTreeMap::new();
    for &ingress in ingresses {
        for (number, rule) in ingress.rules.iter().enumerate() {
            if !ingress.tls.is_empty() {
                secured.entry(&rule.host).or_insert(ingress);
            }
            let placed = rule.paths.iter().flatten().enumerate().map(|(at, path)| Placed {
                ingress,
                place: format!("spec.rules[{number}].http.paths[{at}].path"),
                text: &path.path,
                asks: asks_for_patterns(ingress, path, options),
            });
            hosts.entry(&rule.host).or_default().extend(placed);
        }
    }
    let mut findings = Vec::new();
    for (host, paths) in &hosts {
        let who = paths.iter().find(|path| path.asks).map(|path| path.ingress);
        for path in paths {
            findings.extend(of_path(host, path, who));
        }
        if let Some(secured) = secured.get(host) {
            findings.extend(of_redirect(host, paths, secured, options));
        }
    }
    findings
}

fn asks_for_patterns(ingress: &Ingress, path: &IngressPath, options: &Options) -> bool {
    let value = |name: &str| ingress.meta.annotations.get(&format!("{}/{name}", options.annotations_prefix));
    let rewrites = value("rewrite-target").is_some_and(|target| !target.is_empty() && *target != path.path);
    rewrites || value("use-regex").is_some_and(|value| parse_bool(value) == Some(true))
}

/// What is unexpected of one path; `who` makes the paths of its host regular expressions.
fn of_path(host: &str, path: &Placed<'_>, who: Option<&Ingress>) -> Option<Finding> {
    let text = path.text;
    let origin = path.ingress.meta.origin(Kind::Ingress).at(&*path.place);
    let (code, message, mend) = match who {
        Some(who) if !path.asks => (
            "RegexHost",
            format!(
                "`{text}` of host `{host}` is a regular expression, because {} asks for them: it takes everything that begins \
                 so, whatever the case, and every path of the host is one, of other Ingresses too",
                who.meta.origin(Kind::Ingress)
            ),
            "move the paths that are regular expressions to a host of their own, or write this one as `…$`",
        ),
        Some(_) if !text.ends_with('$') => (
            "RegexIsPrefix",
            format!("`{text}` takes everything that begins so, whatever the case: an end is not implied"),
            "write `$` at its end if it is meant as a whole",
        ),
        None if text.len() > 1 && text.ends_with('/') => (
            "SlashRedirect",
            format!("`{}` is redirected to `{text}` with 301", text.trim_end_matches('/')),
            "leave the slash out where both are to be served",
        ),
        Some(_) | None => return None,
    };
    Some(Finding::new(Verdict::Surprise, text, code, origin, message, mend))
}

/// The Ingresses without `tls` whose paths are redirected to HTTPS all the same, because another one has it for the host.
fn of_redirect(host: &str, paths: &[Placed<'_>], secured: &Ingress, options: &Options) -> Vec<Finding> {
    let off = format!("{}/ssl-redirect", options.annotations_prefix);
    let mut bare: Vec<&Ingress> = paths.iter().map(|path| path.ingress).filter(|other| other.tls.is_empty()).collect();
    bare.dedup_by_key(|ingress| &ingress.meta.name);
    let is_redirected = |ingress: &&Ingress| ingress.meta.annotations.get(&off).is_none_or(|value| value != "false");
    let found = bare.into_iter().filter(is_redirected).map(|ingress| {
        let message = format!(
            "its paths of host `{host}` are redirected to HTTPS although it has no `tls`: {} has one for the host",
            secured.meta.origin(Kind::Ingress)
        );
        let mend = "set `ssl-redirect: \"false\"` if they are to be served without";
        Finding::new(Verdict::Surprise, host, "RedirectOfHost", ingress.meta.origin(Kind::Ingress), message, mend)
    });
    found.collect()
}

/// What is left of ingress-nginx among the objects.
pub(super) fn leftovers(index: &Index, options: &Options) -> Vec<Finding> {
    let mut findings = Vec::new();
    for class in index.classes().filter(|class| class.controller == options.controller_class) {
        let name = &class.meta.name.name;
        let message = format!(
            "both controllers serve class `{name}` while both run, and `helm uninstall` of ingress-nginx deletes it"
        );
        let mend =
            "annotate it with `helm.sh/resource-policy: keep` before you uninstall, or let Edgeward's chart own it";
        let origin = class.meta.origin(Kind::IngressClass);
        findings.push(Finding::new(Verdict::Surprise, name, "SharedClass", origin, message, mend));
    }
    let webhooks = index.skipped().iter().filter(|(kind, _)| kind.ends_with(" ValidatingWebhookConfiguration"));
    if webhooks.map(|(_, count)| count).sum::<usize>() > 0 {
        findings.push(webhook("among the manifests"));
    }
    findings
}

/// A webhook of ingress-nginx that outlives it refuses every change of an Ingress.
pub fn webhook(place: &str) -> Finding {
    let message = format!(
        "there is a validating webhook {place}: one of ingress-nginx that outlives its controller refuses every change of an Ingress"
    );
    let mend = "delete the ValidatingWebhookConfiguration of ingress-nginx before its controller";
    Finding::elsewhere(Verdict::Leftover, "ValidatingWebhookConfiguration", "Webhook", message, mend)
}
