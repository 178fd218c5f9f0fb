//! How requests reach endpoints: what they say, and after which faults another endpoint is tried.

use edgeward_tests::backend::{Backend, Persona, Start};
use edgeward_tests::client::{Request, send};
use edgeward_tests::manifest::{Ingress, config_map, service};
use edgeward_tests::turn;
use serde_json::json;

use crate::site::Site;

#[tokio::test]
async fn a_request_to_an_endpoint_says_what_the_route_lays_down() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let host = |name: &str| Ingress::new(name).host(&format!("{name}.test"), "web");
    site.ingress(&host("vhost").annotation("upstream-vhost", "inner.${arg_to}.test"));
    let old = host("old").annotation("proxy-http-version", "1.0");
    site.ingress(&old.annotation("proxy-request-buffering", "off"));
    site.ingress(&host("close").annotation("connection-proxy-header", "close"));
    let edgeward = site.serve().await;
    let got = async |request: Request| {
        assert_eq!(send(edgeward.http, &request).await.status(), 200, "{request:?}");
        site.recording.take().pop().unwrap()
    };

    let received = got(Request::get("vhost.test", "/?to=a")).await;
    assert_eq!(received.header("host"), Some("inner.a.test"));
    assert_eq!(received.header("x-forwarded-host"), Some("vhost.test"));
    assert_eq!(received.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count(), 1);

    let received = got(Request::post("old.test", "/", "abc")).await;
    assert_eq!((received.version.as_str(), received.body_length), ("HTTP/1.0", 3));
    let first = received.connection;
    let received = got(Request::get("old.test", "/")).await;
    assert_eq!((received.version.as_str(), received.header("connection")), ("HTTP/1.0", None));
    assert_ne!(received.connection, first, "a connection in HTTP/1.0 ends with its response");
    let received = got(Request::post("old.test", "/", "abc").chunked()).await;
    assert_eq!((received.version.as_str(), received.body_length), ("HTTP/1.1", 3));

    let received = got(Request::get("close.test", "/")).await;
    assert_eq!((received.version.as_str(), received.header("connection")), ("HTTP/1.1", Some("close")));
    let first = received.connection;
    assert_ne!(got(Request::get("close.test", "/")).await.connection, first);
}

#[tokio::test]
async fn names_that_are_let_pass_are_none_that_the_proxy_has_a_word_in() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let auth = Start::default().persona(Persona::Auth).recording(&site.recording).start("auth").await;
    site.ingress(&Ingress::new("web").host("a.test", "web"));
    let asked = Ingress::new("asked").annotation("auth-url", &format!("http://{}/ok", auth.addr()));
    site.ingress(&asked.annotation("auth-response-headers", "X-Auth-User").host("asked.test", "web"));
    let upstream = json!({"X-Tenant": "ours"});
    site.manifests.write("upstream.yaml", config_map("ops", "upstream", &upstream));
    let options = |names: [&str; 2]| {
        let [underscores, ignore] = names;
        json!({
            "enable-underscores-in-headers": underscores, "ignore-invalid-headers": ignore,
            "proxy-set-headers": "ops/upstream",
        })
    };
    site.manifests.write("options.yaml", config_map("ops", "options", &options(["false", "true"])));
    let edgeward = site.launch().argument("--configmap=ops/options").start().await;
    let forged = [
        "X_Forwarded_For",
        "X_Real_IP",
        "X_Request_ID",
        "X-Forwarded_Proto",
        "Ssl_Client_Verify",
        "X_Tenant",
        "X.Tenant",
        "Content_Length",
        "Transfer_Encoding",
    ];
    for (names, expected) in
        [(["false", "true"], &[][..]), (["true", "true"], &["api_key"]), (["false", "false"], &["api.key", "api_key"])]
    {
        let generation = edgeward.health("/readyz").await.unwrap().json()["generation"].as_u64().unwrap();
        site.manifests.write("options.yaml", config_map("ops", "options", &options(names)));
        if names != ["false", "true"] {
            edgeward.reaches_generation(generation + 1).await;
        }
        for host in ["a.test", "asked.test"] {
            let mut request = Request::get(host, "/").header("Api_Key", "k").header("Api.Key", "k");
            for name in forged {
                request = request.header(name, "forged");
            }
            if host == "asked.test" {
                request = request.header("X_Auth_User", "forged");
            }
            site.recording.take();
            assert_eq!(send(edgeward.http, &request).await.status(), 200, "{names:?}");
            for received in site.recording.take() {
                let is_odd = |name: &&str| name.contains(['_', '.']);
                let odd: Vec<_> = received.headers.iter().map(|(name, _)| name.as_str()).filter(is_odd).collect();
                let mut odd: Vec<_> = odd.iter().map(|name| name.to_ascii_lowercase()).collect();
                odd.sort_unstable();
                assert_eq!(odd, *expected, "{names:?} {}", received.backend);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_with_a_listed_status_is_another_endpoints_to_give() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let good = Start::default().recording(&site.recording).start("good").await;
    let bad = Start::default().recording(&site.recording).start("bad").await;
    bad.answer_with(503);
    let addresses = [&good, &bad].map(Backend::addr);
    site.manifests.write("pair.yaml", service("pair", &addresses));
    site.manifests.write("bad.yaml", service("bad", &addresses[1..]));
    site.ingress(&Ingress::new("all").annotation("proxy-next-upstream", "error http_503").host("all.test", "pair"));
    let any = Ingress::new("any").annotation("proxy-next-upstream", "http_503 non_idempotent").host("any.test", "pair");
    site.ingress(&any);
    site.ingress(&Ingress::new("none").host("none.test", "bad"));
    let once = Ingress::new("twice").annotation("proxy-next-upstream", "http_503");
    site.ingress(&once.annotation("proxy-next-upstream-tries", "2").host("twice.test", "bad"));
    let edgeward = site.serve().await;
    let statuses = async |request: &Request| {
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(send(edgeward.http, request).await.status());
        }
        statuses.sort_unstable();
        statuses
    };

    assert_eq!(statuses(&Request::get("all.test", "/")).await, [200; 4]);
    assert_eq!(statuses(&Request::post("all.test", "/", "x")).await, [200, 200, 503, 503]);
    site.recording.take();
    assert_eq!(statuses(&Request::post("any.test", "/", "body")).await, [200; 4]);
    let received = site.recording.take();
    assert!(received.len() > 4, "the endpoint that answers 503 got its share: {received:?}");
    assert!(received.iter().all(|received| received.body_length == 4), "the body is sent again: {received:?}");

    assert_eq!(statuses(&Request::get("none.test", "/")).await, [503; 4]);
    assert_eq!(site.recording.take().len(), 4, "a status that is not listed is the answer");
    assert_eq!(statuses(&Request::get("twice.test", "/")).await, [503; 4]);
    assert_eq!(site.recording.take().len(), 8, "the last answer is passed on once the tries are used up");
}
