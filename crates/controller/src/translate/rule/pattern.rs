//! Which paths are regular expressions, and what of them is rewritten.

use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::path::{PathPattern, PathRegex};
use edgeward_routing::pattern::PatternError;
use edgeward_routing::policy::{Rewrite, RewriteFrom};
use edgeward_routing::route::Route;
use hashbrown::{HashMap, HashSet};

use super::{Path, Place, PlannedRoute, Planner};
use crate::annotation::PathSettings;
use crate::diagnostic::Severity;

/// What becomes of a path.
#[derive(Debug, Default)]
struct Form {
    is_regex: bool,
    is_below: bool,
    rewrite: Option<RewriteFrom>,
}

impl Planner<'_, '_> {
    /// Has the paths of the hosts that ask for it matched as regular expressions: under ingress-nginx's rules all paths of a
    /// host if one of them asks for it (template.go enforceRegexModifier), under `Strict` those that ask for it themselves.
    pub(super) fn match_patterns(&mut self, previous: &Snapshot) {
        for host in 0..self.plan.hosts.len() {
            let plan = &mut self.plan.hosts[host];
            let forms: Vec<Form> = if self.options.is_strict() {
                plan.routes.iter().map(own_form).collect()
            } else {
                plan.has_patterns = plan.routes.iter().any(asks_for_patterns);
                if !plan.has_patterns {
                    continue;
                }
                let exact: HashSet<&str> = plan.routes.iter().filter_map(exact_text).collect();
                plan.routes.iter().map(|route| form_among_patterns(route, &exact)).collect()
            };
            if forms.iter().any(|form| form.is_regex || form.rewrite.is_some()) {
                self.compile_patterns(host, forms, previous);
            }
        }
    }

    fn compile_patterns(&mut self, host: usize, forms: Vec<Form>, previous: &Snapshot) {
        let known =
            Known::of(previous.routes.of_pattern(&self.plan.hosts[host].host).map_or(&[], |host| host.routes()));
        let mut kept: Vec<PlannedRoute<'_>> = Vec::with_capacity(forms.len());
        let mut places: HashMap<(&str, bool), usize> = HashMap::new();
        for (mut route, form) in std::mem::take(&mut self.plan.hosts[host].routes).into_iter().zip(forms) {
            if let Err(error) = compile(&mut route, &form, &known) {
                self.leave_out(host, &route, &error);
                continue;
            }
            if form.is_regex {
                let text = route.path.text();
                if let Some(first) = places.get(&(text, form.is_below)).map(|first| &kept[*first]) {
                    self.report_same_pattern(host, &route, first);
                    continue;
                }
                places.insert((text, form.is_below), kept.len());
            }
            kept.push(route);
        }
        self.plan.hosts[host].routes = kept;
    }

    /// Reports a path that is no regular expression, and closes what it guards: other paths would take it.
    fn leave_out(&mut self, host: usize, route: &PlannedRoute<'_>, error: &PatternError) {
        let (path, place) = (route.path.text(), route.place);
        let message = format!("path `{path}` {error}: it is left out");
        let mend = "write it without look-around and back-references, or as several paths";
        self.say(Severity::Error, "InvalidPattern", route.by.origin.at(format!("{place}.path")), message, mend);
        self.close_host(host, route.by, place, "a path that it guards is left out");
    }

    fn report_same_pattern(&mut self, host: usize, route: &PlannedRoute<'_>, first: &PlannedRoute<'_>) {
        let winner = first.by.origin.at(first.place.to_string());
        let message = format!(
            "paths of host `{}` are regular expressions, and `{}` is already taken by {winner}",
            self.plan.hosts[host].host,
            route.path.text()
        );
        let mend = "remove one of the two, or change its host or path";
        self.say(Severity::Warning, "RouteConflict", route.by.origin.at(route.place.to_string()), message, mend);
    }
}

/// The settings of the Ingress, which do not count where it is nothing but a default backend (createServers).
fn settings<'r>(route: &'r PlannedRoute<'_>) -> Option<&'r PathSettings> {
    Some(&route.by.settings.paths).filter(|_| !route.by.ingress.rules.is_empty())
}

fn exact_text<'a>(route: &PlannedRoute<'a>) -> Option<&'a str> {
    match route.path {
        Path::Exact(text) => Some(text),
        Path::Prefix(_) => None,
    }
}

/// Whether the path of a route makes regular expressions of all paths of its host. One that is its own target does if it is a
/// Prefix, which has a second location with a slash (location.go needsRewrite, updateServerLocations).
fn asks_for_patterns(route: &PlannedRoute<'_>) -> bool {
    let Some(paths) = settings(route) else { return false };
    paths.use_regex || paths.target.is_some() && rewrite(route.path, paths).is_some()
}

/// What is rewritten of a path.
fn rewrite(path: Path<'_>, paths: &PathSettings) -> Option<RewriteFrom> {
    let text = path.text();
    if paths.target.as_ref()?.to_string() != text {
        return Some(RewriteFrom::Anywhere(text.into()));
    }
    let is_split = matches!(path, Path::Prefix(_)) && !paths.use_regex && !text.ends_with('/');
    is_split.then(|| RewriteFrom::Below(text.into()))
}

fn form_among_patterns(route: &PlannedRoute<'_>, exact: &HashSet<&str>) -> Form {
    let text = route.path.text();
    let plain = PathSettings::default();
    let paths = settings(route).unwrap_or(&plain);
    let rewrite = rewrite(route.path, paths);
    // A Prefix that is not a pattern by itself has two locations, with and without a slash at its end. The second is an Exact
    // of the same text where there is one.
    let is_split = matches!(route.path, Path::Prefix(_)) && text != "/";
    let is_own = paths.use_regex || matches!(rewrite, Some(RewriteFrom::Anywhere(_)));
    Form { is_regex: true, is_below: is_split && !is_own && exact.contains(text), rewrite }
}

/// What becomes of a path under `Strict`: only one that leaves its meaning to the implementation is a pattern, and a target that
/// is the path itself changes nothing.
fn own_form(route: &PlannedRoute<'_>) -> Form {
    let Some(paths) = settings(route) else { return Form::default() };
    let rewrite = rewrite(route.path, paths).filter(|from| matches!(from, RewriteFrom::Anywhere(_)));
    let is_regex = (paths.use_regex || rewrite.is_some()) && is_implementation_specific(route);
    let rewrite = rewrite.map(|from| if is_regex { from } else { RewriteFrom::Everything });
    Form { is_regex, is_below: false, rewrite }
}

fn is_implementation_specific(route: &PlannedRoute<'_>) -> bool {
    let Place::Path(rule, path) = route.place else { return false };
    let path = route.by.ingress.rules.get(rule).and_then(|rule| rule.paths.as_ref()?.get(path));
    path.is_some_and(|path| !matches!(path.path_type.as_deref(), Some("Exact" | "Prefix")))
}

/// What the previous snapshot has of a host: what is equal need not be compiled again.
struct Known<'k>(HashMap<(&'k str, bool), &'k Route>);

impl<'k> Known<'k> {
    fn of(routes: &'k [Arc<Route>]) -> Self {
        let patterns = routes.iter().filter_map(|route| match &route.path {
            PathPattern::Regex(pattern) => Some(((pattern.text(), pattern.is_below()), &**route)),
            PathPattern::Exact(_) | PathPattern::Prefix(_) => None,
        });
        Self(patterns.collect())
    }
}

fn compile(route: &mut PlannedRoute<'_>, form: &Form, known: &Known<'_>) -> Result<(), PatternError> {
    let text = route.path.text();
    let old = known.0.get(&(text, form.is_below)).filter(|_| form.is_regex);
    if form.is_regex {
        route.pattern = Some(match old.map(|old| &old.path) {
            Some(PathPattern::Regex(pattern)) => Arc::clone(pattern),
            _ => Arc::new(PathRegex::new(text, form.is_below)?),
        });
    }
    let PathSettings { target, prefix, .. } = &route.by.settings.paths;
    if let (Some(from), Some(target)) = (&form.rewrite, target) {
        let same = old.and_then(|old| old.policies.rewrite.as_ref());
        let same = same.filter(|rewrite| rewrite.is(from, target, prefix.as_ref()));
        route.policies.rewrite = Some(match same {
            Some(rewrite) => Arc::clone(rewrite),
            None => Arc::new(Rewrite::new(from.clone(), target.clone(), prefix.clone())?),
        });
    }
    Ok(())
}
