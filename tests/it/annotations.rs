//! Every honoured annotation is shown twice: by a golden translation, and by a request through the real proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use edgeward_controller::annotation::{OWN_PREFIX, Status, by_name, own_table, table};
use edgeward_tests::backend::{Persona, Start};
use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Request, get, send};
use edgeward_tests::manifest::{Ingress, tls_secret};
use edgeward_tests::turn;

use crate::site::Site;
use crate::{oracle, translate};

const PREFIX: &str = "nginx.ingress.kubernetes.io";

/// The tests through the real proxy of what no recorded case is about: file, test, and the annotations that it shows.
const SHOWN: &[(&str, &str, &[&str])] = &[
    (
        "annotations",
        "what_is_accepted_without_effect_changes_no_answer",
        &[
            "auth-keepalive-requests",
            "auth-keepalive-share-vars",
            "auth-keepalive-timeout",
            "http2-push-preload",
            "proxy-buffer-size",
            "proxy-busy-buffers-size",
            "proxy-max-temp-file-size",
            "proxy-request-buffering",
        ],
    ),
    (
        "annotations",
        "redirects_within_a_host_are_written_as_their_route_says",
        &["preserve-trailing-slash", "use-port-in-redirects"],
    ),
    ("auth", "one_service_is_asked_for_all_unless_an_ingress_says_no", &["enable-global-auth"]),
    ("balancing", "a_key_goes_to_a_group_of_endpoints", &["upstream-hash-by-subset", "upstream-hash-by-subset-size"]),
    ("balancing", "slow_start_gives_a_new_endpoint_little_at_first_and_its_share_later", &["slow-start"]),
    ("options", "a_host_speaks_tls_with_ciphers_of_its_own", &["ssl-ciphers", "ssl-prefer-server-ciphers"]),
    ("passthrough", "the_endpoint_itself_shakes_hands_and_sees_no_header_of_the_proxy", &["ssl-passthrough"]),
    ("failures", "every_failure_has_its_status_and_its_reason", &["proxy-connect-timeout"]),
    ("failures", "an_endpoint_that_takes_no_more_of_a_body_is_to_blame", &["proxy-send-timeout"]),
    (
        "health",
        "an_http_check_takes_an_endpoint_out_and_back",
        &[
            "health-check",
            "health-check-interval",
            "health-check-timeout",
            "health-check-healthy-threshold",
            "health-check-unhealthy-threshold",
        ],
    ),
    (
        "health",
        "a_check_asks_for_its_path_host_and_status_on_its_port",
        &["health-check-path", "health-check-host", "health-check-port", "health-check-expected-status"],
    ),
    ("response", "a_response_goes_no_faster_than_its_route_allows", &["limit-rate", "limit-rate-after"]),
    ("response", "a_route_is_kept_out_of_the_access_log", &["enable-access-log"]),
    ("sessions", "a_client_may_leave_the_canary_that_is_told_so", &["affinity-canary-behavior"]),
    ("sessions", "a_cookie_says_what_the_annotations_say", &["session-cookie-domain", "session-cookie-max-age"]),
    (
        "traces",
        "an_ingress_says_whether_and_how_its_requests_are_traced",
        &["enable-opentelemetry", "opentelemetry-operation-name", "opentelemetry-trust-incoming-span"],
    ),
    ("upstream", "an_answer_with_a_listed_status_is_another_endpoints_to_give", &["proxy-next-upstream-tries"]),
    ("upstream_tls", "an_endpoint_has_to_be_who_the_route_says_it_is", &["proxy-ssl-protocols"]),
    (
        "upstream_tls",
        "the_chain_and_the_ciphers_of_an_endpoint_are_held_to_what_the_route_takes",
        &["proxy-ssl-ciphers", "proxy-ssl-verify-depth"],
    ),
];

/// The name of an annotation in the table, for one in a manifest: without its prefix, and not one of its other names.
fn name_of(key: &str) -> Option<&'static str> {
    match key.split_once('/')? {
        (PREFIX, name) => by_name(name).map(|row| row.name),
        (OWN_PREFIX, name) => own_table().iter().find(|row| row.name == name).map(|row| row.name),
        _ => None,
    }
}

/// The annotations of which a golden translation would be another without them.
fn with_a_golden() -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for file in translate::names(".yaml") {
        let text = translate::text(&file);
        for (key, _) in translate::annotations_of(&text) {
            if let Some(name) = name_of(&key)
                && !found.contains(name)
                && translate::depends_on(&text, &key)
            {
                found.insert(name);
            }
        }
    }
    found
}

/// The annotations in the cases that are replayed.
fn recorded() -> BTreeSet<&'static str> {
    let keys = oracle::recording().into_iter().flat_map(|case| translate::annotations_of(&case.manifests));
    keys.filter_map(|(key, _)| name_of(&key)).collect()
}

/// The annotations that are listed as shown, after a look at whether the tests are there and name them.
fn listed() -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for (file, test, names) in SHOWN {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("it/{file}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(text.contains(&format!("#[tokio::test]\nasync fn {test}()")), "{file}.rs has no test {test}");
        for name in *names {
            let is_named = text.contains(&format!("\"{name}\"")) || text.contains(&format!("{OWN_PREFIX}/{name}\""));
            assert!(is_named, "{file}.rs does not set {name}");
            assert!(found.insert(*name), "{name} is listed twice");
        }
    }
    found
}

#[test]
fn every_honoured_annotation_has_a_golden_and_a_test_through_the_proxy() {
    // One without an effect is read, and its values have one on what is served.
    let is_read = |status: Status| matches!(status, Status::Honoured | Status::NoEffect);
    let all: BTreeMap<&str, Status> = table().map(|row| (row.name, row.status)).collect();
    let count = |status: Status| all.values().filter(|other| **other == status).count();
    let honoured = |rows: &mut dyn Iterator<Item = (&'static str, Status)>| -> BTreeSet<&'static str> {
        rows.filter(|(_, status)| is_read(*status)).map(|(name, _)| name).collect()
    };
    let theirs = honoured(&mut table().map(|row| (row.name, row.status)));
    let ours = honoured(&mut own_table().iter().map(|row| (row.name, row.status)));
    let (goldens, recorded, listed) = (with_a_golden(), recorded(), listed());
    let seen: BTreeSet<&str> = recorded.union(&listed).copied().collect();
    eprintln!(
        "annotations: {} of {} honoured, {} without effect; of these {} with a golden, {} seen through the proxy ({} in recorded cases), {} refused; \
         of our own: {} honoured, {} with a golden, {} seen through the proxy",
        count(Status::Honoured),
        all.len(),
        count(Status::NoEffect),
        theirs.intersection(&goldens).count(),
        theirs.intersection(&seen).count(),
        theirs.intersection(&recorded).count(),
        count(Status::Refused),
        ours.len(),
        ours.intersection(&goldens).count(),
        ours.intersection(&seen).count(),
    );
    let honoured: BTreeSet<&str> = theirs.union(&ours).copied().collect();
    let without = |shown: &BTreeSet<&'static str>| honoured.difference(shown).copied().collect::<Vec<_>>();
    assert_eq!(without(&goldens), Vec::<&str>::new(), "without a golden translation");
    assert_eq!(without(&seen), Vec::<&str>::new(), "without a test through the proxy");
}

/// What is accepted without effect: a good value and a bad one that leaves its Ingress served.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("auth-keepalive-requests", "10", "abc"),
    ("auth-keepalive-share-vars", "true", "abc"),
    ("auth-keepalive-timeout", "60", "abc"),
    ("http2-push-preload", "true", ""),
    ("proxy-buffer-size", "1k", "0"),
    ("proxy-busy-buffers-size", "16k", "x"),
    ("proxy-max-temp-file-size", "0", "1t"),
    ("proxy-request-buffering", "off", "true"),
];

#[tokio::test]
async fn what_is_accepted_without_effect_changes_no_answer() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let service = Start::default().persona(Persona::Auth).start("auth").await;
    let url = format!("http://{}/ok", service.addr());
    let mut hosts = Vec::new();
    for (name, good, bad) in ACCEPTED {
        for (kind, value) in [("good", good), ("bad", bad)] {
            let host = format!("{kind}.{name}.test");
            let ingress = Ingress::new(&format!("{kind}-{name}")).annotation(name, value).annotation("auth-url", &url);
            site.ingress(&ingress.host(&host, "web"));
            hosts.push((host, kind, *name));
        }
    }
    let all = ACCEPTED.iter().fold(Ingress::new("all"), |ingress, (name, good, _)| ingress.annotation(name, good));
    site.ingress(&all.annotation("auth-url", &url).host("all.test", "web"));
    hosts.push(("all.test".to_owned(), "good", "all"));
    let edgeward = site.serve().await;
    let told = edgeward.diagnostics().await.text();
    for (host, kind, name) in hosts {
        let request = Request::post(&host, "/", "b".repeat(100_000)).header("X-Echo-Set", "X-Large: y");
        let answer = send(edgeward.http, &request).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("web")), "{host}");
        assert_eq!(site.recording.take().pop().unwrap().body_length, 100_000, "{host}");
        assert_eq!(told.contains(&format!("\"{kind}-{name}\"")), kind == "bad", "{host}: {told}");
    }
}

#[tokio::test]
async fn redirects_within_a_host_are_written_as_their_route_says() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    for (name, value) in [("drop", None), ("keep", Some("true")), ("unread", Some("perhaps"))] {
        let host = format!("{name}.test");
        site.manifests.write(&format!("{name}.yaml"), tls_secret(name, &authority.pair(&host)));
        let ingress = Ingress::new(name).tls(&[&host], Some(name)).host(&host, "web");
        site.ingress(&value.into_iter().fold(ingress, |i, value| i.annotation("preserve-trailing-slash", value)));
    }
    for (name, value) in [("portless", "false"), ("port", "true"), ("unported", "perhaps")] {
        let ingress = Ingress::new(name).annotation("use-port-in-redirects", value);
        site.ingress(&ingress.path(&format!("{name}.test"), "Prefix", "/dir/", "web"));
    }
    let edgeward = site.serve().await;
    let port = edgeward.http.port();
    for (host, path, status, location) in [
        ("drop.test", "/x/", 308, "https://drop.test/x".to_owned()),
        ("keep.test", "/x/", 308, "https://keep.test/x/".to_owned()),
        ("unread.test", "/x/", 308, "https://unread.test/x".to_owned()),
        ("portless.test", "/dir", 301, "http://portless.test/dir/".to_owned()),
        ("port.test", "/dir", 301, format!("http://port.test:{port}/dir/")),
        ("unported.test", "/dir", 301, "http://unported.test/dir/".to_owned()),
    ] {
        let answer = get(edgeward.http, host, path).await;
        assert_eq!((answer.status(), answer.header("location")), (status, Some(&*location)), "{host}{path}");
    }
}
