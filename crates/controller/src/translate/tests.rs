#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::Backend;
use edgeward_routing::host::HostPattern;
use edgeward_routing::route::{Route, Target};

use super::{Clock, Compatibility, Options, Translation, translate};
use crate::index::Index;
use crate::object::Object;

mod backends;
mod canaries;
mod certificates;
mod classes;
mod endpoints;
mod guards;
mod objects;
mod order;
mod routes;
mod sessions;
mod sharing;

/// 2030-01-01.
const NOW: i64 = 1_893_456_000;

fn options() -> Options {
    Options { clock: Clock::Fixed(NOW), ..Options::for_directory() }
}

fn strict() -> Options {
    Options { compatibility: Compatibility::Strict, ..options() }
}

fn empty() -> Snapshot {
    Snapshot::empty(Default::default())
}

fn run(objects: impl IntoIterator<Item = Object>) -> Translation {
    run_with(&options(), objects)
}

fn run_with(options: &Options, objects: impl IntoIterator<Item = Object>) -> Translation {
    translate(&Index::of(objects), options, &empty())
}

/// Every route in one line, sorted: `a.test Prefix / -> web:80`; `default` is the default backend, and `rest` marks a
/// fallback.
fn routes(translation: &Translation) -> Vec<String> {
    let snapshot = &translation.snapshot;
    let mut lines: Vec<String> = snapshot
        .routes
        .hosts()
        .flat_map(|host| host.routes())
        .map(|route| {
            let target = match route.target {
                Target::Backend(id) => {
                    let key = &snapshot.backends.by_id(id).unwrap().key;
                    assert_eq!(*route.service, *key.service);
                    format!("{}:{}", key.service, key.port)
                }
                Target::Default => "default".to_owned(),
            };
            format!("{} {} -> {target}{}", route.host, route.path, if route.fallback { " rest" } else { "" })
        })
        .collect();
    lines.sort();
    lines
}

/// Every diagnostic in one line, sorted: `RouteConflict Ingress default/a spec.rules[0].http.paths[0]`.
fn found(translation: &Translation) -> Vec<String> {
    let line = |diagnostic: &crate::diagnostic::Diagnostic| {
        format!("{} {}", diagnostic.code, diagnostic.origin.as_ref().unwrap())
    };
    let mut lines: Vec<String> = translation.diagnostics.iter().map(line).collect();
    lines.sort();
    lines
}

fn route<'t>(translation: &'t Translation, host: &str, path: &str) -> &'t Arc<Route> {
    let host: HostPattern = host.parse().unwrap();
    let routes = translation.snapshot.routes.of_pattern(&host).unwrap().routes();
    routes.iter().find(|route| route.path.to_string() == path).unwrap()
}

fn backend<'t>(translation: &'t Translation, service: &str) -> &'t Arc<Backend> {
    translation.snapshot.backends.all().iter().find(|backend| *backend.key.service == *service).unwrap()
}

/// The addresses of a backend's endpoints.
fn addresses(backend: &Backend) -> Vec<String> {
    backend.endpoints.iter().map(|endpoint| endpoint.addr.to_string()).collect()
}
