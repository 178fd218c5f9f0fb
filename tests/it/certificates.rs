//! Which certificate is shown, and what TLS does with it.

use edgeward_tests::backend::Start;
use edgeward_tests::certificate::{Authority, KeyKind, Validity};
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::edgeward::Launch;
use edgeward_tests::manifest::{Ingress, Manifests, service, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use crate::site::Site;

#[tokio::test]
async fn an_exact_name_wins_over_a_wildcard_and_that_over_the_default() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    for (secret, name) in [("exact", "a.wild.test"), ("wild", "*.wild.test"), ("default", "default.test")] {
        site.manifests.write(&format!("{secret}.yaml"), tls_secret(secret, &authority.pair(name)));
    }
    site.ingress(
        &Ingress::new("web")
            .tls(&["a.wild.test"], Some("exact"))
            .tls(&["*.wild.test"], Some("wild"))
            .host("a.wild.test", "web")
            .host("*.wild.test", "web"),
    );
    let edgeward = site.launch().argument("--default-ssl-certificate=default/default").start().await;
    for (hello, subject) in [
        (Hello::name("a.wild.test"), "CN=a.wild.test"),
        (Hello::name("A.WILD.test"), "CN=a.wild.test"),
        (Hello::name("b.wild.test"), "CN=*.wild.test"),
        (Hello::name("b.c.wild.test"), "CN=default.test"),
        (Hello::name("wild.test"), "CN=default.test"),
        (Hello::name("elsewhere.test"), "CN=default.test"),
        (Hello::nameless(), "CN=default.test"),
    ] {
        for hello in [hello.clone(), hello.clone().tls12()] {
            let connection = Connection::open_tls(edgeward.https, &hello).await;
            assert_eq!(connection.certificate().0, subject, "{hello:?}");
        }
    }
    let hello = Hello::name("b.wild.test").verify(authority.certificate());
    let mut connection = Connection::open_tls(edgeward.https, &hello).await;
    assert_eq!(connection.exchange(&Request::get("b.wild.test", "/")).await.status(), 200);
}

#[tokio::test]
async fn ecdsa_rsa_and_ed25519_keys_are_served() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    let hosts = [("ecdsa.test", KeyKind::Ecdsa), ("rsa.test", KeyKind::Rsa), ("ed25519.test", KeyKind::Ed25519)];
    let mut ingress = Ingress::new("web");
    for (host, kind) in hosts {
        let secret = host.trim_end_matches(".test");
        let pair = authority.issue(&[host], kind, Validity::Current);
        site.manifests.write(&format!("{secret}.yaml"), tls_secret(secret, &pair));
        ingress = ingress.host(host, "web").tls(&[host], Some(secret));
    }
    site.ingress(&ingress);
    let edgeward = site.serve().await;
    for (host, kind) in hosts {
        for hello in [Hello::name(host), Hello::name(host).tls12()] {
            let hello = hello.verify(authority.certificate());
            let mut connection = Connection::open_tls(edgeward.https, &hello).await;
            assert_eq!(connection.certificate().0, format!("CN={host}"), "{kind:?}");
            assert_eq!(connection.exchange(&Request::get(host, "/")).await.status(), 200, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn sessions_are_resumed_whichever_worker_takes_the_connection() {
    let _turn = turn::shared().await;
    let site = Site::with_host("resume.test", "web").await;
    let edgeward = site.serve().await;
    for hello in [Hello::name("resume.test").resuming(), Hello::name("resume.test").tls12().resuming()] {
        let mut resumed = 0;
        for _ in 0..10 {
            let mut connection = Connection::open_tls(edgeward.https, &hello).await;
            resumed += usize::from(connection.is_resumed());
            // Tickets of TLS 1.3 come behind the handshake.
            assert_eq!(connection.exchange(&Request::get("resume.test", "/")).await.status(), 200);
        }
        assert_eq!(resumed, 9, "{hello:?}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_made_where_none_is_given() {
    let _turn = turn::shared().await;
    let site = Site::with_host("plain.test", "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open_tls(edgeward.https, &Hello::name("plain.test")).await;
    let answer = connection.exchange(&Request::get("plain.test", "/")).await;
    assert_eq!((answer.status(), answer.backend()), (200, Some("web")));
    // Without a certificate of its own the host is not redirected.
    assert_eq!(send(edgeward.http, &Request::get("plain.test", "/")).await.status(), 200);
}

#[tokio::test]
async fn a_backend_may_speak_tls() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let backend = Start::default().tls(authority.pair("inner.test")).start("secure").await;
    let manifests = Manifests::new();
    manifests.write("service.yaml", service("secure", &[backend.addr()]));
    manifests.write(
        "ingress.yaml",
        Ingress::new("secure").annotation("backend-protocol", "HTTPS").host("outer.test", "secure").text(),
    );
    let edgeward = Launch::new(manifests.path()).start().await;
    let mut connection = Connection::open(edgeward.http).await;
    for size in [1, 100_000] {
        let answer = connection.exchange(&Request::post("outer.test", "/", vec![b'u'; size])).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("secure")));
        assert_eq!(answer.json()["body_length"], size);
    }
    assert_eq!(backend.recording().last().unwrap().header("x-forwarded-proto"), Some("http"));
}
