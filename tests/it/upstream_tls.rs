//! TLS to endpoints on the terms of a route: who an endpoint has to be, and what it is shown.

use edgeward_tests::PATIENCE;
use edgeward_tests::backend::Start;
use edgeward_tests::certificate::{Authority, Pair};
use edgeward_tests::client::{Request, send};
use edgeward_tests::manifest::Ingress;
use edgeward_tests::turn;
use serde_json::json;

use crate::site::Site;

/// A Secret with a CA, and what is shown to endpoints.
fn secret(name: &str, authority: &Authority, pair: Option<&Pair>) -> String {
    let mut data = json!({"ca.crt": authority.certificate_pem()});
    if let Some(pair) = pair {
        data["tls.crt"] = pair.certificate_pem.clone().into();
        data["tls.key"] = pair.key_pem.clone().into();
    }
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "stringData": data})
        .to_string()
}

fn verified(name: &str, secret: &str) -> Ingress {
    Ingress::new(name)
        .annotation("backend-protocol", "HTTPS")
        .annotation("proxy-ssl-verify", "on")
        .annotation("proxy-ssl-secret", secret)
        .host(&format!("{name}.test"), "secure")
}

#[tokio::test]
async fn an_endpoint_has_to_be_who_the_route_says_it_is() {
    let _turn = turn::shared().await;
    let (good, other) = (Authority::new(), Authority::new());
    let mut site = Site::new();
    site.service_as("secure", Start::default().tls(good.pair("inner.test"))).await;
    site.manifests.write("good.yaml", secret("good", &good, None));
    site.manifests.write("other.yaml", secret("other", &other, None));
    site.ingress(&verified("right", "default/good").annotation("proxy-ssl-name", "inner.test"));
    let sent = verified("sent", "default/good").annotation("proxy-ssl-server-name", "on");
    site.ingress(&sent.annotation("proxy-ssl-name", "$arg_name").annotation("proxy-ssl-protocols", "TLSv1.3"));
    site.ingress(&verified("name", "default/good").annotation("proxy-ssl-name", "elsewhere.test"));
    site.ingress(&verified("nameless", "default/good"));
    site.ingress(&verified("issuer", "default/other").annotation("proxy-ssl-name", "inner.test"));
    site.ingress(&verified("missing", "default/nothing").annotation("proxy-ssl-name", "inner.test"));
    site.ingress(&verified("foreign", "other/good").annotation("proxy-ssl-name", "inner.test"));
    let bare = Ingress::new("bare").annotation("backend-protocol", "HTTPS").annotation("proxy-ssl-verify", "on");
    site.ingress(&bare.host("bare.test", "secure"));
    let unverified = Ingress::new("any").annotation("backend-protocol", "HTTPS").host("any.test", "secure");
    site.ingress(&unverified);
    let edgeward = site.serve().await;
    // Twice, so that no connection of one is kept for another.
    for _ in 0..2 {
        for (host, path, status) in [
            ("right.test", "/", 200),
            ("any.test", "/", 200),
            ("sent.test", "/?name=inner.test", 200),
            ("sent.test", "/?name=elsewhere.test", 502),
            ("sent.test", "/?name=", 502),
            ("name.test", "/", 502),
            ("nameless.test", "/", 502),
            ("issuer.test", "/", 502),
            ("missing.test", "/", 503),
            ("foreign.test", "/", 503),
            ("bare.test", "/", 503),
        ] {
            let answer = send(edgeward.http, &Request::get(host, path)).await;
            assert_eq!(answer.status(), status, "{host}{path}");
        }
    }
    let body = "x".repeat(100_000);
    let answer = send(edgeward.http, &Request::post("right.test", "/", body)).await;
    assert_eq!((answer.status(), site.recording.last().unwrap().body_length), (200, 100_000));

    // The CA counts as it is now.
    site.manifests.write("good.yaml", secret("good", &other, None));
    let start = std::time::Instant::now();
    while send(edgeward.http, &Request::get("right.test", "/")).await.status() != 502 {
        assert!(start.elapsed() < PATIENCE, "the old CA still counts");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    site.manifests.remove("good.yaml");
    while send(edgeward.http, &Request::get("right.test", "/")).await.status() != 503 {
        assert!(start.elapsed() < PATIENCE, "the Secret is gone and its routes are open");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_the_first_ingress_of_a_host_asks_for_holds_for_its_other_routes() {
    let _turn = turn::shared().await;
    let (good, other) = (Authority::new(), Authority::new());
    let mut site = Site::new();
    site.service_as("secure", Start::default().tls(good.pair("inner.test"))).await;
    site.manifests.write("other.yaml", secret("other", &other, Some(&other.pair("client.test"))));
    let first = verified("first", "default/other").annotation("proxy-ssl-name", "inner.test");
    site.ingress(&first.created("2026-01-01T00:00:00Z"));
    let second = Ingress::new("second").annotation("backend-protocol", "HTTPS").created("2026-01-01T00:00:02Z");
    site.ingress(&second.path("first.test", "Prefix", "/second", "secure").host("second.test", "secure"));
    let edgeward = site.serve().await;
    for (host, path, status) in
        [("first.test", "/", 502), ("first.test", "/second", 502), ("second.test", "/second", 200)]
    {
        assert_eq!(send(edgeward.http, &Request::get(host, path)).await.status(), status, "{host}{path}");
    }
}

#[tokio::test]
async fn the_chain_and_the_ciphers_of_an_endpoint_are_held_to_what_the_route_takes() {
    let _turn = turn::shared().await;
    let root = Authority::new();
    let upper = root.intermediate("upper");
    let lower = upper.intermediate("lower");
    let mut pair = lower.pair("inner.test");
    pair.certificate_pem = [pair.certificate_pem, lower.certificate_pem(), upper.certificate_pem()].concat();
    let mut site = Site::new();
    site.service_as("secure", Start::default().tls(pair)).await;
    site.manifests.write("root.yaml", secret("root", &root, None));
    let named = |name: &str| verified(name, "default/root").annotation("proxy-ssl-name", "inner.test");
    let deep = |name: &str| named(name).annotation("proxy-ssl-verify-depth", "2");
    site.ingress(&named("shallow"));
    site.ingress(&deep("deep"));
    site.ingress(&named("unread").annotation("proxy-ssl-verify-depth", "deep"));
    // The key of the endpoint is an ECDSA one.
    let old = |name: &str, ciphers: &str| {
        deep(name).annotation("proxy-ssl-protocols", "TLSv1.2").annotation("proxy-ssl-ciphers", ciphers)
    };
    site.ingress(&old("fitting", "ECDHE-ECDSA-AES128-GCM-SHA256"));
    site.ingress(&old("unfitting", "ECDHE-RSA-AES128-GCM-SHA256"));
    site.ingress(&old("unknown", "AES128-SHA"));
    let edgeward = site.serve().await;
    for (host, status) in [
        ("shallow.test", 502),
        ("deep.test", 200),
        ("unread.test", 502),
        ("fitting.test", 200),
        ("unfitting.test", 502),
        ("unknown.test", 200),
    ] {
        assert_eq!(send(edgeward.http, &Request::get(host, "/")).await.status(), status, "{host}");
    }
}
