//! Clients that prove that they know a password (RFC 7616).

use edgeward_routing::policy::digest_auth::{Answer, Secret};
use edgeward_tests::client::{Connection, Request, connect, send};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, secret};
use edgeward_tests::message::Message;
use edgeward_tests::turn;
use hyper::http;
use serde_json::json;

use crate::site::Site;

const HOST: &str = "digest.test";

/// What `htdigest` writes for the user `u` of the realm `R` with the password `secret`.
const HA1: &[u8; 32] = b"ea7ee0548e7b8998ffe596daf753f846";

fn guarded(name: &str) -> Ingress {
    let ingress = Ingress::new(name).annotation("auth-type", "digest").annotation("auth-realm", "R");
    ingress.annotation("auth-secret", "users")
}

async fn serve(site: &mut Site) -> Edgeward {
    site.service("web").await;
    site.ingress(&guarded("web").host(HOST, "web"));
    site.manifests.write("users.yaml", users());
    site.launch().access_log("json").start().await
}

fn users() -> String {
    secret("users", &json!({"auth": format!("u:R:{}\n", String::from_utf8_lossy(HA1))}))
}

/// The nonce of a challenge.
fn nonce_of(refused: &Message) -> String {
    let challenges = refused.header_values("www-authenticate");
    let challenge = challenges.iter().find(|challenge| challenge.starts_with("Digest ")).unwrap();
    challenge.split_once("nonce=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

/// The answer of a client to it, with the how manieth request, for a method and a target.
fn answer(nonce: &str, count: u32, method: &str, target: &str) -> String {
    let unsigned = |response: &str| {
        format!(
            "Digest username=\"u\", realm=\"R\", nonce=\"{nonce}\", uri=\"{target}\", algorithm=MD5, qop=auth, \
             nc={count:08x}, cnonce=\"0a4f113b\", response=\"{response}\""
        )
    };
    let draft = unsigned("?");
    unsigned(&Answer::parse(draft.as_bytes()).unwrap().expected(&Secret(*HA1), method))
}

fn with(authorization: &str) -> Request {
    Request::get(HOST, "/a?b=c").header("Authorization", authorization)
}

#[tokio::test]
async fn a_proof_lets_in_once_and_does_not_reach_the_application() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    let edgeward = serve(&mut site).await;
    let refused = send(edgeward.http, &Request::get(HOST, "/a?b=c")).await;
    let nonce = nonce_of(&refused);
    let challenge = format!("Digest algorithm=\"MD5\", qop=\"auth\", realm=\"R\", nonce=\"{nonce}\"");
    assert_eq!((refused.status(), refused.header_values("www-authenticate")), (401, vec![&*challenge]));
    assert!(site.recording.take().is_empty());

    let mut connection = Connection::open(edgeward.http).await;
    for (count, target, status) in [(1, "/a?b=c", 200), (3, "/a?b=c", 200), (2, "/a", 200), (3, "/a?b=c", 401)] {
        let got = connection.exchange(&with(&answer(&nonce, count, "GET", target))).await;
        assert_eq!(got.status(), status, "{count} {target}");
        if status == 200 {
            let said = got.header("authentication-info").unwrap();
            assert!(said.starts_with("qop=\"auth\", rspauth=\""), "{said}");
            assert!(said.ends_with(&format!("cnonce=\"0a4f113b\", nc={count:08x}")), "{said}");
            assert_eq!(site.recording.last().unwrap().header("authorization"), None);
        }
    }
    let entry = edgeward.access_log_entry(|entry| entry["status"] == 200).await;
    assert_eq!(entry["remote_user"], "u");
    // Every worker knows every nonce, and what has been used of it.
    for count in 4..12 {
        let proof = answer(&nonce, count, "GET", "/a?b=c");
        let statuses =
            [send(edgeward.http, &with(&proof)).await.status(), send(edgeward.http, &with(&proof)).await.status()];
        assert_eq!(statuses, [200, 401], "{count}");
        assert_eq!(send(edgeward.http, &with(&answer(&nonce, 20 + count, "GET", "/a?b=c"))).await.status(), 401);
    }
}

#[tokio::test]
async fn a_right_answer_to_an_old_nonce_asks_for_a_new_one_and_nobody_for_the_password() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    let edgeward = serve(&mut site).await;
    for (nonce, count) in [("0123456789abcdef".to_owned(), 1), (nonce_of(&send(edgeward.http, &with("x")).await), 20)] {
        let refused = send(edgeward.http, &with(&answer(&nonce, count, "GET", "/a?b=c"))).await;
        let challenge = refused.header("www-authenticate").unwrap().to_owned();
        assert!(refused.status() == 401 && challenge.ends_with(", stale=\"true\""), "{challenge}");
        let again = answer(&nonce_of(&refused), 1, "GET", "/a?b=c");
        assert_eq!(send(edgeward.http, &with(&again)).await.status(), 200);
    }
}

#[tokio::test]
async fn whoever_answers_wrongly_too_often_is_not_heard() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    let edgeward = serve(&mut site).await;
    let nonce = nonce_of(&send(edgeward.http, &with("x")).await);
    let right = answer(&nonce, 1, "GET", "/a?b=c");
    // What is no answer at all is not counted.
    for malformed in ["Digest", "Digest x", "Basic dTpzZWNyZXQ=", "Bearer x", &right.replace("qop=auth, ", "")] {
        let refused = send(edgeward.http, &with(malformed)).await;
        assert_eq!((refused.status(), refused.header_values("www-authenticate").len()), (401, 1), "{malformed}");
    }
    let doubled = with(&right).header("Authorization", &right);
    assert!(matches!(send(edgeward.http, &doubled).await.status(), 400 | 401));
    for wrong in [
        right.replace("username=\"u\"", "username=\"v\""),
        right.replace("realm=\"R\"", "realm=\"S\""),
        answer(&nonce, 1, "POST", "/a?b=c"),
        answer(&nonce, 1, "GET", "/other"),
    ] {
        let refused = send(edgeward.http, &with(&wrong)).await;
        assert_eq!((refused.status(), refused.header_values("www-authenticate").len()), (401, 1), "{wrong}");
    }
    assert_eq!(send(edgeward.http, &with(&right)).await.status(), 200);
    for _ in 0..5 {
        assert_eq!(send(edgeward.http, &with(&right)).await.status(), 401);
    }
    let fresh = answer(&nonce, 2, "GET", "/a?b=c");
    let refused = send(edgeward.http, &with(&fresh)).await;
    assert_eq!((refused.status(), refused.header("www-authenticate")), (401, None));
}

#[tokio::test]
async fn a_proof_counts_over_http2_and_with_what_else_lets_in() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.ingress(
        &guarded("any")
            .annotation("satisfy", "any")
            .annotation("denylist-source-range", "127.0.0.0/8")
            .host("any.test", "web"),
    );
    let edgeward = serve(&mut site).await;
    let mut http2 = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let nonce = nonce_of(&send(edgeward.http, &with("x")).await);
    for status in [200, 401] {
        let request = http::Request::get(format!("http://{HOST}/a?b=c"));
        let request = request.header("authorization", answer(&nonce, 1, "GET", "/a?b=c")).body(()).unwrap();
        assert_eq!(http2.send(request, "").await.unwrap().status, status);
    }
    let of_any = |authorization: &str| Request::get("any.test", "/").header("Authorization", authorization);
    for (authorization, status) in [(answer(&nonce, 2, "GET", "/"), 200), ("x".to_owned(), 401)] {
        assert_eq!(send(edgeward.http, &of_any(&authorization)).await.status(), status);
    }
}
