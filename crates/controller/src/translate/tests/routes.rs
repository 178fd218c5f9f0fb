//! Which routes there are.

use edgeward_routing::path::PathPattern;
use edgeward_routing::path::TrailingSlash;
use edgeward_routing::policy::{BodySize, SslRedirect};

use super::super::Options;
use super::{found, options, route, routes, run, run_with, strict};
use crate::diagnostic::Severity;
use crate::object::{Ingress, IngressBackend, IngressRule, LegacyVersion, Object};
use crate::translate::fixture::{config_map, ingress, name, web};

/// These Ingresses, and the Services `web` and `other` of every namespace that they may name.
pub(super) fn with_services(ingresses: impl IntoIterator<Item = Ingress>) -> Vec<Object> {
    let mut objects: Vec<Object> = ingresses.into_iter().map(Ingress::object).collect();
    for service in ["web", "other", "shop/web"] {
        objects.extend(web(service, "10.0.0.1"));
    }
    objects
}

#[test]
fn a_path_without_a_type_is_a_prefix_and_an_empty_one_the_root() {
    let paths = ["- /nil web", "ImplementationSpecific /is web", "Exact /x web", "Prefix  web"];
    let rule = ingress("a").rule("a.test", &paths);
    let removed = Ingress { legacy: Some(LegacyVersion::ExtensionsV1beta1), ..rule.clone() };
    let translation = run(with_services([rule]));
    assert_eq!(
        routes(&translation),
        [
            "a.test Exact /x -> web:80",
            "a.test Prefix / -> web:80",
            "a.test Prefix /is -> web:80",
            "a.test Prefix /nil -> web:80",
        ]
    );
    let missing = "PathTypeMissing Ingress default/a spec.rules[0].http.paths[0].pathType";
    assert_eq!(found(&translation), [missing], "the API server refuses the Ingress");
    assert!(run(with_services([removed])).diagnostics.is_empty(), "it did not exist in all of the removed versions");
}

#[test]
fn a_path_that_no_normalised_request_has_is_told_in_the_form_that_would_match() {
    for (path, form) in [
        ("/caf%C3%A9", Some("write `/café`")),
        ("/a//b", Some("write `/a/b`")),
        ("/a/./b", Some("write `/a/b`")),
        ("/a/../b/", Some("write `/b/`")),
        ("/../b", Some("remove it")),
        ("/café", None),
        ("/100%", None),
        ("/.well-known/x", None),
        ("/a/b/", None),
    ] {
        let translation = run(with_services([ingress("a").rule("a.test", &[&format!("Prefix {path} web")])]));
        assert_eq!(routes(&translation)[1], format!("a.test Prefix {path} -> web:80"));
        let said: Vec<_> = translation.diagnostics.iter().map(|d| (d.severity, d.code)).collect();
        let expected = form.map(|_| (Severity::Warning, "PathNotNormalized"));
        assert_eq!(said, Vec::from_iter(expected), "{path}");
        let mend = translation.diagnostics.first().map_or("", |diagnostic| &diagnostic.mend);
        assert!(mend.starts_with(form.unwrap_or_default()), "{path}: {mend}");
    }
}

#[test]
fn a_taken_path_stays_with_the_first_and_the_other_is_told_whose_it_is() {
    let translation = run(with_services([
        ingress("new").created(2).rule("A.test", &["Prefix /x other", "Exact /x other", "Prefix /new web"]),
        ingress("old").created(1).rule("a.test", &["Prefix /x web"]),
    ]));
    assert_eq!(
        routes(&translation),
        [
            "a.test Exact /x -> other:80",
            "a.test Prefix / -> default rest",
            "a.test Prefix /new -> web:80",
            "a.test Prefix /x -> web:80",
        ]
    );
    let [conflict] = &translation.diagnostics[..] else { panic!("{:?}", translation.diagnostics) };
    assert_eq!((conflict.severity, conflict.code), (Severity::Warning, "RouteConflict"));
    assert_eq!(conflict.origin.as_ref().unwrap().to_string(), "Ingress default/new spec.rules[0].http.paths[0]");
    let winner = "host `a.test` Prefix /x is already taken by Ingress default/old spec.rules[0].http.paths[0]";
    assert_eq!(conflict.message, winner);
}

#[test]
fn an_ingress_can_take_its_own_path_twice_only_by_mistake() {
    let twice = ingress("a").rule("a.test", &["Prefix / web"]).rule("a.test", &["Prefix / other", "Prefix /x other"]);
    let translation = run(with_services([twice]));
    assert_eq!(routes(&translation), ["a.test Prefix / -> web:80", "a.test Prefix /x -> other:80"]);
    assert_eq!(found(&translation), ["RouteConflict Ingress default/a spec.rules[1].http.paths[0]"]);
}

#[test]
fn a_backend_that_only_a_loser_names_is_not_built() {
    let translation = run(with_services([
        ingress("new").created(2).rule("a.test", &["Prefix / other"]),
        ingress("old").created(1).rule("a.test", &["Prefix / web"]),
    ]));
    assert_eq!(translation.snapshot.backends.all().len(), 1);
}

#[test]
fn a_trailing_slash_makes_another_path_except_under_strict() {
    let both =
        || with_services([ingress("a").rule("a.test", &["Prefix / web", "Prefix /my web", "Prefix /my/ other"])]);
    let translation = run(both());
    assert_eq!(
        routes(&translation)[1..],
        ["a.test Prefix /my -> web:80".to_owned(), "a.test Prefix /my/ -> other:80".to_owned()]
    );
    assert_eq!(translation.snapshot.settings.trailing_slash, TrailingSlash::Redirect);
    let translation = run_with(&strict(), both());
    assert_eq!(routes(&translation), ["a.test Prefix / -> web:80", "a.test Prefix /my -> web:80"]);
    assert_eq!(found(&translation), ["RouteConflict Ingress default/a spec.rules[0].http.paths[2]"]);
    assert_eq!(translation.snapshot.settings.trailing_slash, TrailingSlash::Ignore);
}

#[test]
fn a_bad_host_path_or_type_costs_only_itself() {
    let translation = run(with_services([
        ingress("a")
            .rule("a b.test", &["Prefix / web"])
            .rule("*.*.test", &["Prefix / web"])
            .rule("192.0.2.1", &["Prefix / web"])
            .rule("a.test", &["Prefix web web", "Prefix /a\u{7} web", "Regex /x web", "prefix /x web", "Prefix / web"]),
        ingress("b").rule("b.test", &["Prefix / web"]),
    ]));
    assert_eq!(routes(&translation), ["a.test Prefix / -> web:80", "b.test Prefix / -> web:80"]);
    assert!(translation.diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Error));
    assert_eq!(
        found(&translation),
        [
            "InvalidHost Ingress default/a spec.rules[0].host",
            "InvalidHost Ingress default/a spec.rules[1].host",
            "InvalidHost Ingress default/a spec.rules[2].host",
            "InvalidPath Ingress default/a spec.rules[3].http.paths[0].path",
            "InvalidPath Ingress default/a spec.rules[3].http.paths[1].path",
            "InvalidPathType Ingress default/a spec.rules[3].http.paths[2].pathType",
            "InvalidPathType Ingress default/a spec.rules[3].http.paths[3].pathType",
        ]
    );
}

#[test]
fn what_no_path_of_a_host_takes_goes_to_the_default_backend_of_its_oldest_ingress() {
    let translation = run(with_services([
        ingress("new")
            .created(2)
            .rule("a.test", &["Prefix /new web"])
            .rule("b.test", &["Prefix /b web"])
            .default_backend("web"),
        ingress("old")
            .created(1)
            .rule("a.test", &["Prefix /old web"])
            .default_backend("other")
            .annotated("proxy-body-size", "2k"),
        ingress("root").created(3).rule("c.test", &["Prefix / web"]).default_backend("other"),
        ingress("exact").created(3).rule("d.test", &["Exact / web"]),
    ]));
    assert_eq!(
        routes(&translation),
        [
            "a.test Prefix / -> other:80 rest",
            "a.test Prefix /new -> web:80",
            "a.test Prefix /old -> web:80",
            "b.test Prefix / -> web:80 rest",
            "b.test Prefix /b -> web:80",
            "c.test Prefix / -> web:80",
            "d.test Exact / -> web:80",
            "d.test Prefix / -> default rest",
        ]
    );
    let fallback = route(&translation, "a.test", "Prefix /");
    assert_eq!(fallback.origin.to_string(), "Ingress default/old spec.defaultBackend");
    assert_eq!(fallback.policies.body_size, BodySize(Some(2048)), "the policies of the oldest Ingress too");
    assert_eq!(route(&translation, "d.test", "Prefix /").origin.field, "spec.rules");
}

#[test]
fn a_rule_without_paths_is_a_host_with_only_the_rest() {
    let mut bare = ingress("a").default_backend("web");
    bare.rules.push(IngressRule { host: "a.test".to_owned(), paths: None });
    bare.rules.push(IngressRule { host: "b.test".to_owned(), paths: Some(Vec::new()) });
    let translation = run(with_services([bare]));
    assert_eq!(routes(&translation), ["a.test Prefix / -> web:80 rest", "b.test Prefix / -> web:80 rest"]);
}

#[test]
fn an_ingress_with_only_a_default_backend_takes_every_host_and_the_first_wins() {
    let two = || {
        with_services([
            ingress("new").created(2).default_backend("other"),
            ingress("old")
                .created(1)
                .default_backend("web")
                .annotated("force-ssl-redirect", "true")
                .annotated("proxy-body-size", "1k"),
            ingress("rules").created(3).rule("a.test", &["Prefix /x web"]),
        ])
    };
    let translation = run(two());
    assert_eq!(
        routes(&translation),
        ["* Prefix / -> web:80 rest", "a.test Prefix / -> default rest", "a.test Prefix /x -> web:80"]
    );
    assert_eq!(found(&translation), ["RouteConflict Ingress default/new spec.defaultBackend"]);
    let policies = &route(&translation, "", "Prefix /").policies;
    assert_eq!(policies.ssl_redirect, SslRedirect::Off, "its redirects do not count");
    assert_eq!(policies.body_size, BodySize(Some(1024)), "what else it asks for does");
    let disabled = run_with(&Options { disable_catch_all: true, ..options() }, two());
    assert_eq!(routes(&disabled), ["a.test Prefix / -> default rest", "a.test Prefix /x -> web:80"]);
    assert_eq!(disabled.diagnostics.iter().filter(|d| d.code == "CatchAllDisabled").count(), 2);
}

#[test]
fn a_rule_without_a_host_is_for_any_host() {
    let any = || {
        with_services([
            ingress("any").created(1).rule("", &["Prefix /x web", "Prefix / web"]),
            ingress("alone").created(2).default_backend("other"),
        ])
    };
    // The default backend is there before the rules in ingress-nginx; in the specification it takes what they leave.
    assert_eq!(routes(&run(any())), ["* Prefix / -> other:80 rest", "* Prefix /x -> web:80"]);
    assert_eq!(routes(&run_with(&strict(), any())), ["* Prefix / -> web:80", "* Prefix /x -> web:80"]);
}

#[test]
fn any_host_has_no_rest_of_its_own_except_under_strict() {
    let any = || with_services([ingress("any").rule("", &["Prefix /x web"])]);
    assert_eq!(routes(&run(any())), ["* Prefix /x -> web:80"]);
    assert_eq!(routes(&run_with(&strict(), any())), ["* Prefix / -> default rest", "* Prefix /x -> web:80"]);
}

#[test]
fn a_default_backend_beside_a_rule_for_any_host_takes_the_rest_unless_there_is_a_catch_all() {
    let any = || ingress("any").created(2).rule("", &["Prefix /x web"]).default_backend("other");
    for options in [options(), strict()] {
        let translation = run_with(&options, with_services([any()]));
        assert_eq!(routes(&translation), ["* Prefix / -> other:80 rest", "* Prefix /x -> web:80"]);
        assert!(translation.diagnostics.is_empty());
        let first = ingress("plain").created(1).rule("", &["Prefix /y web"]);
        let translation = run_with(&options, with_services([any(), first]));
        // To the specification each host has one Ingress for what is left over; ingress-nginx has none for any host.
        let (rest, said) = if options.is_strict() { ("default", 1) } else { ("other:80", 0) };
        assert_eq!(routes(&translation)[0], format!("* Prefix / -> {rest} rest"));
        assert_eq!(translation.diagnostics.len(), said);
    }
    let translation = run(with_services([any(), ingress("all").created(3).default_backend("web")]));
    assert_eq!(routes(&translation), ["* Prefix / -> web:80 rest", "* Prefix /x -> web:80"]);
    assert_eq!(found(&translation), ["DefaultBackendIgnored Ingress default/any spec.defaultBackend"]);
}

#[test]
fn the_default_backend_of_a_younger_ingress_of_a_host_is_told_whose_counts() {
    let pair = |old: Ingress, new: Ingress| {
        let old = old.created(1).rule("a.test", &["Prefix /old web"]);
        run(with_services([old, new.created(2).rule("a.test", &["Prefix /new web"])]))
    };
    let translation = pair(ingress("old"), ingress("new").default_backend("other"));
    let [ignored] = &translation.diagnostics[..] else { panic!("{:?}", translation.diagnostics) };
    assert_eq!(found(&translation), ["DefaultBackendIgnored Ingress default/new spec.defaultBackend"]);
    assert!(ignored.message.contains("host `a.test`: Ingress default/old comes first"), "{}", ignored.message);
    let same = pair(ingress("old").default_backend("other"), ingress("new").default_backend("other"));
    assert!(same.diagnostics.is_empty());
    let nothing_left = pair(ingress("old").rule("a.test", &["Prefix / web"]), ingress("new").default_backend("other"));
    assert!(nothing_left.diagnostics.is_empty());
}

#[test]
fn what_is_no_service_is_answered_by_the_default_backend() {
    let mut one = ingress("a").rule("a.test", &["Prefix /resource web", "Prefix /none web"]);
    let paths = one.rules[0].paths.as_mut().unwrap();
    paths[0].backend = IngressBackend::Resource { kind: "StorageBucket".to_owned(), name: "assets".to_owned() };
    paths[1].backend = IngressBackend::Missing;
    let mut alone = ingress("alone");
    alone.default_backend = Some(IngressBackend::Resource { kind: "X".to_owned(), name: "y".to_owned() });
    let mut rest = ingress("rest").rule("b.test", &["Prefix /x web"]);
    rest.default_backend = Some(IngressBackend::Missing);
    let translation = run(with_services([one, alone, rest]));
    assert_eq!(
        routes(&translation),
        [
            "a.test Prefix / -> default rest",
            "a.test Prefix /none -> default",
            "a.test Prefix /resource -> default",
            "b.test Prefix / -> default rest",
            "b.test Prefix /x -> web:80",
        ]
    );
    assert_eq!(
        found(&translation),
        [
            "BackendMissing Ingress default/a spec.rules[0].http.paths[1].backend",
            "BackendMissing Ingress default/rest spec.defaultBackend",
            "ResourceBackend Ingress default/a spec.rules[0].http.paths[0].backend.resource",
            "ResourceBackend Ingress default/alone spec.defaultBackend.resource",
        ]
    );
}

#[test]
fn an_ingress_that_serves_nothing_is_told() {
    assert_eq!(found(&run([ingress("a").object()])), ["EmptyIngress Ingress default/a spec"]);
}

#[test]
fn a_backend_is_of_the_namespace_of_its_ingress() {
    let translation = run(with_services([ingress("shop/a").rule("a.test", &["Prefix / web"])]));
    assert_eq!(&*translation.snapshot.backends.all()[0].key.namespace, "shop");
    let elsewhere = run(with_services([ingress("away/a").rule("a.test", &["Prefix / web"])]));
    assert_eq!(elsewhere.diagnostics[0].code, "ServiceNotFound");
}

#[test]
fn a_guard_that_is_not_enforced_closes_the_routes_of_its_ingress_and_their_rest() {
    let translation = run(with_services([
        ingress("guarded").created(1).annotated("auth-type", "basic").rule("a.test", &["Prefix /x web"]),
        ingress("open").created(2).rule("a.test", &["Prefix /y web"]).rule("b.test", &["Prefix / web"]),
        ingress("alone").created(3).annotated("allowlist-source-range", "").default_backend("web"),
    ]));
    let is_closed = |host, path| route(&translation, host, path).policies.closed.is_some();
    assert!(is_closed("a.test", "Prefix /x"));
    assert!(is_closed("a.test", "Prefix /"), "the rest of the host is under the policies of its oldest Ingress");
    assert!(!is_closed("a.test", "Prefix /y"));
    assert!(!is_closed("b.test", "Prefix /"));
    assert!(is_closed("", "Prefix /"));
    assert!(!translation.diagnostics.is_empty());
    assert!(translation.diagnostics.iter().all(|d| (d.severity, d.code) == (Severity::Error, "RouteClosed")));
}

#[test]
fn a_guard_of_hosts_closes_them_whoever_has_routes_there() {
    let translation = run(with_services([
        ingress("open").created(1).rule("a.test", &["Prefix / web"]).rule("b.test", &["Prefix / web"]),
        ingress("guarded").created(2).annotated("server-snippet", "deny all;").rule("a.test", &["Prefix /x web"]),
    ]));
    for (host, path, expected) in
        [("a.test", "Prefix /", true), ("a.test", "Prefix /x", true), ("b.test", "Prefix /", false)]
    {
        assert_eq!(route(&translation, host, path).policies.closed.is_some(), expected, "{host} {path}");
    }
}

/// What a guarded path misses goes to the paths of others.
#[test]
fn a_guard_whose_paths_cannot_be_matched_closes_the_hosts_that_they_are_of() {
    let guarded = || ingress("guarded").annotated("auth-url", "http://auth.test");
    let pattern = "ImplementationSpecific /admin(/|$)(.*) web";
    for (case, one, other, expected) in [
        ("plain", guarded().rule("a.test", &["Prefix /admin web"]), ingress("open"), false),
        (
            "its own use-regex",
            guarded().annotated("use-regex", "true").rule("a.test", &[pattern]),
            ingress("open"),
            false,
        ),
        (
            "use-regex: false",
            guarded().annotated("use-regex", "false").rule("a.test", &["Prefix /x web"]),
            ingress("open"),
            false,
        ),
        (
            "a rewrite",
            guarded().annotated("rewrite-target", "/").rule("a.test", &["Prefix /x web"]),
            ingress("open"),
            false,
        ),
        // As in ingress-nginx, which takes it for plain text and guards that.
        ("a pattern without use-regex", guarded().rule("a.test", &[pattern]), ingress("open"), false),
        (
            "a pattern without use-regex under a guard that is not enforced",
            guarded().annotated("auth-snippet", "x;").rule("a.test", &[pattern]),
            ingress("open"),
            true,
        ),
        (
            "a pattern that is none",
            guarded().annotated("use-regex", "true").rule("a.test", &["ImplementationSpecific /admin(?!/x) web"]),
            ingress("open"),
            true,
        ),
        (
            "a pattern that is none, guarded by network",
            ingress("guarded")
                .annotated("allowlist-source-range", "10.0.0.0/8")
                .annotated("use-regex", "true")
                .rule("a.test", &["ImplementationSpecific /admin(?!/x) web"]),
            ingress("open"),
            true,
        ),
        // All paths of the host are patterns then.
        (
            "another's use-regex",
            guarded().rule("a.test", &[pattern]),
            ingress("open").annotated("use-regex", "true"),
            false,
        ),
        ("a path type that is none", guarded().rule("a.test", &["prefix /admin web"]), ingress("open"), true),
        ("a path without its slash", guarded().rule("a.test", &["Prefix admin web"]), ingress("open"), true),
        (
            "no guard",
            ingress("free").annotated("use-regex", "true").rule("a.test", &["- /a(?!b) web", "x /y web"]),
            ingress("open"),
            false,
        ),
        (
            "what is not spoken",
            ingress("fcgi").annotated("backend-protocol", "FCGI").rule("a.test", &[pattern]),
            ingress("open"),
            false,
        ),
        (
            "a guard of the endpoints",
            ingress("tls").annotated("proxy-ssl-verify", "on").rule("a.test", &[pattern]),
            ingress("open"),
            false,
        ),
    ] {
        let open = other.rule("a.test", &["Prefix / other"]);
        let elsewhere = ingress("elsewhere").rule("b.test", &["Prefix / other"]);
        let translation = run(with_services([one, open, elsewhere]));
        let hosts = &translation.snapshot.routes;
        let rest = hosts.host("a.test").unwrap().routes().iter().find(|route| route.path.as_str() == "/").unwrap();
        assert_eq!(rest.policies.closed.is_some(), expected, "{case}");
        assert_eq!(
            translation.diagnostics.iter().filter(|d| d.code == "HostClosed").count(),
            usize::from(expected),
            "{case}"
        );
        assert!(route(&translation, "b.test", "Prefix /").policies.closed.is_none(), "{case}");
    }
}

/// ingress-nginx makes patterns of all paths of a host, and looks at those with the longest text first.
#[test]
fn a_path_that_asks_for_it_makes_patterns_of_all_of_its_host() {
    for (annotation, value, path, expected) in [
        ("use-regex", "true", "Prefix /x", true),
        ("use-regex", "false", "Prefix /x", false),
        ("rewrite-target", "/y", "Exact /x", true),
        ("rewrite-target", "/x", "Exact /x", false),
        ("rewrite-target", "/x", "Prefix /x", true),
        ("rewrite-target", "/x/", "Prefix /x/", false),
        ("rewrite-target", "/a;b", "Prefix /x", false),
    ] {
        let asks = ingress("asks").created(2).annotated(annotation, value).rule("a.test", &[&format!("{path} web")]);
        let other = ingress("other").created(1).rule("a.test", &["Exact /x web", "Prefix / web"]);
        let elsewhere = ingress("elsewhere").rule("b.test", &["Prefix / web"]);
        let translation = run(with_services([asks, other, elsewhere]));
        let has_patterns = |host: &str| {
            let routes = translation.snapshot.routes.host(host).unwrap().routes();
            routes.iter().any(|route| matches!(route.path, PathPattern::Regex(_)))
        };
        // Of two equal ones the older counts, and then nobody asks.
        let expected = expected && !path.starts_with("Exact");
        assert_eq!(has_patterns("a.test"), expected, "{annotation}: {value} for {path}");
        assert!(!has_patterns("b.test"));
    }
}

#[test]
fn other_names_that_would_have_too_many_routes_are_left_out() {
    let names: Vec<String> = (0..256).map(|number| format!("n{number:03}.test")).collect();
    let hosts = |paths: usize| {
        let paths: Vec<String> = (0..paths).map(|number| format!("Exact /{number} web")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let many = ingress("a").annotated("server-alias", &names.join(",")).rule("a.test", &paths);
        let other = ingress("b").annotated("server-alias", "b.b.test").rule("b.test", &["Prefix / web"]);
        let translation = run(with_services([many, other]));
        assert!(translation.snapshot.routes.host("b.b.test").is_some());
        let is_told = found(&translation).iter().any(|line| line.starts_with("AliasesLeftOut Ingress default/a"));
        (translation.snapshot.routes.hosts().count(), is_told)
    };
    // The rest of a host is a route too; the first four names cost nothing.
    assert_eq!(hosts(259), (256 + 3, false));
    assert_eq!(hosts(260), (255 + 3, true));
}

/// What many hosts ask for together is bounded, the earlier ones have it, and none goes without its first few names.
#[test]
fn all_hosts_together_have_no_more_routes_under_other_names_than_one() {
    let paths: Vec<String> = (0..255).map(|number| format!("Exact /{number} web")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let asking = |number: i64| {
        let names: Vec<String> = (0..132).map(|name| format!("n{name}.h{number}.test")).collect();
        // Neither by its name nor in the order of the directory is the earliest the first one.
        let ingress = ingress(&format!("a{number}")).created(10 - number).annotated("server-alias", &names.join(","));
        ingress.rule(&format!("h{number}.test"), &paths)
    };
    let translation = run(with_services((1..=4).map(asking)));
    let routes = &translation.snapshot.routes;
    let names = |number: i64| {
        let names = (0..132).filter(|name| {
            let host = format!("n{name}.h{number}.test").parse().unwrap();
            routes.of_pattern(&host).is_some()
        });
        names.count()
    };
    assert_eq!([4, 3, 2, 1].map(names), [132, 132, 4, 4]);
    let mut told: Vec<_> = found(&translation).into_iter().filter(|line| line.starts_with("AliasesLeftOut")).collect();
    told.sort();
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn a_backend_that_speaks_no_http_is_closed() {
    let fcgi = ingress("a").annotated("backend-protocol", "FCGI").rule("a.test", &["Prefix / web"]);
    let translation = run(with_services([fcgi]));
    assert!(route(&translation, "a.test", "Prefix /").policies.closed.as_ref().unwrap().contains("FCGI"));
}

#[test]
fn the_config_map_holds_where_no_annotation_says_otherwise() {
    let mut objects = with_services([
        ingress("a").rule("a.test", &["Prefix / web", "Prefix /.well-known/acme-challenge/x web"]),
        ingress("b")
            .rule("b.test", &["Prefix / web"])
            .annotated("proxy-body-size", "3k")
            .annotated("ssl-redirect", "false"),
    ]);
    objects.push(config_map("ops/options", &[("proxy-body-size", "2k"), ("force-ssl-redirect", "false")]));
    let translation = run_with(&Options { configmap: Some(name("ops/options")), ..options() }, objects);
    let policies = |host, path| &route(&translation, host, path).policies;
    assert_eq!(policies("a.test", "Prefix /").body_size, BodySize(Some(2048)));
    assert_eq!(policies("b.test", "Prefix /").body_size, BodySize(Some(3072)));
    assert_eq!(policies("a.test", "Prefix /").ssl_redirect, SslRedirect::WithCertificate);
    assert_eq!(policies("b.test", "Prefix /").ssl_redirect, SslRedirect::Off);
    let exempt = "Prefix /.well-known/acme-challenge/x";
    assert_eq!(policies("a.test", exempt).ssl_redirect, SslRedirect::Off, "so that certificates can be issued");
}
