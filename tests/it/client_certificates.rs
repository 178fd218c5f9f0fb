//! Certificates that clients of a host have to show.

use std::time::{Duration, Instant};

use edgeward_tests::backend::{Persona, Start};
use edgeward_tests::certificate::{Authority, KeyKind, Pair, Validity};
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, config_map, secret};
use edgeward_tests::message::Message;
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use hyper::http;
use serde_json::json;

use crate::site::Site;

const SECURE: &str = "secure.test";
const PLAIN: &str = "plain.test";

/// A host that asks for certificates of `authority`, and one that asks for none.
async fn site(authority: &Authority, change: impl FnOnce(Ingress) -> Ingress) -> Site {
    let mut site = Site::new();
    site.service("web").await;
    site.manifests.write("ca.yaml", secret("ca", &json!({"ca.crt": authority.certificate_pem()})));
    let secure = Ingress::new("secure").host(SECURE, "web").annotation("auth-tls-secret", "default/ca");
    site.ingress(&change(secure));
    site.ingress(&Ingress::new("plain").host(PLAIN, "web"));
    site
}

async fn ask(edgeward: &Edgeward, hello: &Hello, host: &str) -> Message {
    Connection::open_tls(edgeward.https, hello).await.exchange(&Request::get(host, "/")).await
}

fn with(pair: &Pair) -> Hello {
    Hello::name(SECURE).client_certificate(pair.clone())
}

#[tokio::test]
async fn only_who_shows_a_good_certificate_is_let_in() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let site = site(&authority, |ingress| ingress.annotation("auth-tls-pass-certificate-to-upstream", "true")).await;
    let edgeward = site.serve().await;
    let alice = authority.client("alice");
    let stranger = Authority::new().client("alice");
    let of_a_server = authority.issue(&["alice"], KeyKind::Rsa, Validity::Current);
    let expired = authority.issue(&["alice"], KeyKind::Ecdsa, Validity::Expired);
    for tls12 in [false, true] {
        let version = |hello: Hello| if tls12 { hello.tls12() } else { hello };
        let forged = Request::get(SECURE, "/")
            .header("ssl-client-verify", "SUCCESS")
            .header("SSL-Client-Subject-DN", "CN=root")
            .header("ssl_client_verify", "SUCCESS");
        let mut connection = Connection::open_tls(edgeward.https, &version(with(&alice))).await;
        for _ in 0..2 {
            assert_eq!(connection.exchange(&forged).await.status(), 200);
            let received = site.recording.take().remove(0);
            for (name, value) in [
                ("ssl-client-verify", Some("SUCCESS")),
                ("ssl-client-subject-dn", Some("CN=alice")),
                ("ssl-client-issuer-dn", Some("CN=Edgeward tests")),
                ("ssl_client_verify", None),
            ] {
                assert_eq!(received.header(name), value, "{name}");
            }
            let count =
                received.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("ssl-client-verify")).count();
            assert_eq!(count, 1);
            let pem = received.header("ssl-client-cert").unwrap();
            let decoded = pem.replace("%20", " ").replace("%0A", "\n").replace("%2B", "+").replace("%2F", "/");
            assert_eq!(decoded.replace("%3D", "=").trim(), alice.certificate_pem.replace('\r', "").trim());
        }
        for (hello, what) in [
            (Hello::name(SECURE), "none"),
            (with(&stranger), "stranger"),
            (with(&of_a_server), "of a server"),
            (with(&expired), "expired"),
        ] {
            let answer = ask(&edgeward, &version(hello), SECURE).await;
            assert_eq!((answer.status(), answer.closes()), (400, true), "{what}");
            assert_eq!(answer.header("strict-transport-security"), None);
        }
        // Who is asked for nothing shows nothing, and one who was asked elsewhere is let in where nothing is asked.
        assert_eq!(ask(&edgeward, &version(Hello::name(PLAIN)), PLAIN).await.status(), 200);
        assert_eq!(ask(&edgeward, &version(with(&alice)), PLAIN).await.status(), 200);
        site.recording.take();
    }
    assert_eq!(send(edgeward.http, &Request::get(SECURE, "/")).await.status(), 200, "there is no redirect to HTTPS");
    assert_eq!(site.recording.take().remove(0).header("ssl-client-verify"), None);
}

#[tokio::test]
async fn a_service_that_is_asked_learns_of_the_certificate_and_of_no_forged_one() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let site = site(&authority, |ingress| ingress).await;
    let service = Start::default().persona(Persona::Auth).recording(&site.recording).start("auth").await;
    let secure = Ingress::new("secure").host(SECURE, "web").annotation("auth-tls-secret", "default/ca");
    let secure = secure.annotation("auth-tls-verify-client", "optional");
    site.ingress(&secure.annotation("auth-url", &format!("http://{}/allow", service.addr())));
    // Of a proxy that is believed it takes such fields from clients of other hosts.
    let options = json!({"enable-real-ip": "true", "proxy-real-ip-cidr": "127.0.0.0/8"});
    site.manifests.write("options.yaml", config_map("default", "options", &options));
    let edgeward = site.launch().argument("--configmap=default/options").start().await;
    let names = ["ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert"];
    let forged = names.iter().fold(Request::get(SECURE, "/"), |request, name| request.header(name, "forged"));
    for (hello, expected) in [
        (with(&authority.client("alice")), [Some("SUCCESS"), Some("CN=alice"), Some("CN=Edgeward tests"), None]),
        (Hello::name(SECURE), [Some("NONE"), None, None, None]),
    ] {
        let mut connection = Connection::open_tls(edgeward.https, &hello).await;
        assert_eq!(connection.exchange(&forged).await.status(), 200);
        for received in site.recording.take() {
            assert_eq!(names.map(|name| received.header(name)), expected, "{}", received.backend);
        }
    }
}

#[tokio::test]
async fn no_other_name_leads_past_it() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let site = site(&authority, |ingress| ingress).await;
    let edgeward = site.serve().await;
    let alice = authority.client("alice");
    let other = |name: &str| Hello::name(name).client_certificate(alice.clone());
    for (hello, host, status) in [
        (other(PLAIN), SECURE, 421),
        (other(PLAIN), "SECURE.test:443", 421),
        (other("unknown.test"), SECURE, 400),
        (Hello::nameless().client_certificate(alice.clone()), SECURE, 400),
        (other("Secure.TEST"), "secure.test.", 200),
    ] {
        let answer = ask(&edgeward, &hello, host).await;
        assert_eq!((answer.status(), answer.closes()), (status, status != 200), "{hello:?} {host}");
    }
    // A connection in HTTP/2 may be used for other names of the same certificate.
    for (name, authority, status) in [(PLAIN, SECURE, 421), (SECURE, PLAIN, 200), (SECURE, SECURE, 200)] {
        let connection = Connection::open_tls(edgeward.https, &other(name).alpn(&["h2"])).await;
        let mut client = H2Client::over(connection.into_stream()).await;
        let request = http::Request::get(format!("https://{authority}/")).body(()).unwrap();
        let answer = client.send(request, Vec::new()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{name} {authority}");
    }
}

#[tokio::test]
async fn no_session_is_resumed_past_the_question() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let site = site(&authority, |ingress| ingress).await;
    let edgeward = site.serve().await;
    let alice = authority.client("alice");
    for hello in [with(&alice).resuming(), with(&alice).tls12().resuming()] {
        for _ in 0..3 {
            let mut connection = Connection::open_tls(edgeward.https, &hello).await;
            assert_eq!(connection.exchange(&Request::get(SECURE, "/")).await.status(), 200);
            assert!(!connection.is_resumed());
        }
    }
    // A session from before anything was asked.
    site.ingress(&Ingress::new("secure").host(SECURE, "web"));
    let hello = Hello::name(SECURE).resuming();
    until(&edgeward, &Hello::name(SECURE), 200).await;
    let mut resumed = Connection::open_tls(edgeward.https, &hello).await;
    assert_eq!(resumed.exchange(&Request::get(SECURE, "/")).await.status(), 200);
    let mut resumed = Connection::open_tls(edgeward.https, &hello).await;
    assert_eq!(resumed.exchange(&Request::get(SECURE, "/")).await.status(), 200);
    assert!(resumed.is_resumed());
    site.ingress(&Ingress::new("secure").host(SECURE, "web").annotation("auth-tls-secret", "default/ca"));
    until(&edgeward, &Hello::name(SECURE), 400).await;
    assert_eq!(ask(&edgeward, &hello, SECURE).await.status(), 400);
    // And the connection from then has to be opened anew.
    let answer = resumed.exchange(&Request::get(SECURE, "/")).await;
    assert_eq!((answer.status(), answer.closes()), (421, true));
}

async fn until(edgeward: &Edgeward, hello: &Hello, status: u16) {
    let begun = Instant::now();
    while ask(edgeward, hello, SECURE).await.status() != status {
        assert!(begun.elapsed() < Duration::from_secs(20), "never {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_host_whose_authority_cannot_be_read_refuses_everybody() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let site = site(&authority, |ingress| ingress).await;
    site.ingress(&Ingress::new("beside").path(SECURE, "Prefix", "/beside", "web"));
    let edgeward = site.serve().await;
    let alice = with(&authority.client("alice"));
    assert_eq!(ask(&edgeward, &alice, SECURE).await.status(), 200);
    let mut kept = Connection::open_tls(edgeward.https, &alice).await;
    assert_eq!(kept.exchange(&Request::get(SECURE, "/")).await.status(), 200);
    for data in [json!({}), json!({"ca.crt": "rubbish"}), json!({"ca.crt": authority.certificate_pem(), "ca.crl": "x"})]
    {
        site.manifests.write("ca.yaml", secret("ca", &data));
        until(&edgeward, &alice, 403).await;
        for path in ["/", "/beside"] {
            assert_eq!(send(edgeward.http, &Request::get(SECURE, path)).await.status(), 403, "{data}");
        }
        assert_eq!(ask(&edgeward, &Hello::name(PLAIN), PLAIN).await.status(), 200);
        site.manifests.write("ca.yaml", secret("ca", &json!({"ca.crt": authority.certificate_pem()})));
        until(&edgeward, &alice, 200).await;
    }
    assert_eq!(kept.exchange(&Request::get(SECURE, "/beside")).await.status(), 200);
    // Under another authority what was shown to the first counts no more.
    let other = Authority::new();
    site.manifests.write("ca.yaml", secret("ca", &json!({"ca.crt": other.certificate_pem()})));
    until(&edgeward, &alice, 400).await;
    assert_eq!(kept.exchange(&Request::get(SECURE, "/")).await.status(), 421);
    until(&edgeward, &with(&other.client("bob")), 200).await;
    site.ingress(&Ingress::new("secure").host(SECURE, "web").annotation("auth-tls-secret", "elsewhere/ca"));
    until(&edgeward, &alice, 403).await;
}

#[tokio::test]
async fn who_has_no_certificate_is_sent_to_a_page_and_others_by_name_are_refused() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let page = "https://help.test/certificates";
    let change = |ingress: Ingress| {
        let ingress = ingress.annotation("auth-tls-error-page", page).annotation("auth-tls-match-cn", "CN=ali(ce|na)$");
        ingress.annotation("auth-tls-verify-client", "optional")
    };
    let site = site(&authority, change).await;
    let edgeward = site.serve().await;
    let stranger = ask(&edgeward, &with(&Authority::new().client("alice")), SECURE).await;
    assert_eq!((stranger.status(), stranger.header("location")), (302, Some(page)));
    assert_eq!(ask(&edgeward, &with(&authority.client("alina")), SECURE).await.status(), 200);
    for client in [Hello::name(SECURE), with(&authority.client("alice2")), with(&authority.client("malice, CN=bob"))] {
        assert_eq!(ask(&edgeward, &client, SECURE).await.status(), 403, "{client:?}");
    }
    assert_eq!(send(edgeward.http, &Request::get(SECURE, "/")).await.status(), 403);
}

/// Connections keep what clients show.
#[tokio::test]
async fn a_certificate_that_would_fill_memory_is_bad() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let site = site(&authority, |ingress| ingress).await;
    let edgeward = site.serve().await;
    for (length, status) in [(1_000, 200), (20_000, 400)] {
        let answer = ask(&edgeward, &with(&authority.client(&"a".repeat(length))), SECURE).await;
        assert_eq!(answer.status(), status, "a name of {length} bytes");
    }
}
