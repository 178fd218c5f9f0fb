//! Where the proxy listens.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use edgeward_tests::address::free_port;
use edgeward_tests::backend::Start;
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::edgeward::{Launch, run};
use edgeward_tests::manifest::{Ingress, Manifests, service};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use crate::site::Site;

#[tokio::test]
async fn ipv6_is_served_from_ipv6_endpoints() {
    let _turn = turn::shared().await;
    let localhost = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let manifests = Manifests::new();
    let backend = Start::default().addr(SocketAddr::new(localhost, free_port())).start("six").await;
    manifests.write("service.yaml", service("six", &[backend.addr()]));
    manifests.write("ingress.yaml", Ingress::new("six").host("six.test", "six").default_backend("six", 80).text());
    let edgeward = Launch::new(manifests.path()).argument("--bind-address=::1").start().await;
    let http = SocketAddr::new(localhost, edgeward.http.port());
    let answer = send(http, &Request::get("six.test", "/")).await;
    assert_eq!((answer.status(), answer.backend()), (200, Some("six")));
    let got = backend.recording().last().unwrap();
    assert_eq!(got.header("x-real-ip"), Some("::1"));
    assert_eq!(got.header("x-forwarded-for"), Some("::1"));
    let entry = edgeward.access_log_entry(|entry| entry["host"] == "six.test").await;
    assert_eq!((&entry["remote_addr"], &entry["upstream_addr"]), (&"::1".into(), &backend.addr().to_string().into()));

    let https = SocketAddr::new(localhost, edgeward.https.port());
    let mut connection = Connection::open_tls(https, &Hello::name("six.test")).await;
    assert_eq!(connection.exchange(&Request::get("six.test", "/")).await.backend(), Some("six"));
    // IPv4 is served beside it, and an address is no name of a rule.
    assert_eq!(send(edgeward.http, &Request::get("six.test", "/")).await.backend(), Some("six"));
    let literal = format!("[::1]:{}", http.port());
    assert_eq!(send(http, &Request::get(&literal, "/")).await.status(), 404);
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_start_and_is_named() {
    let _turn = turn::shared().await;
    let site = Site::with_host("taken.test", "web").await;
    // A listener of somebody else, who does not share the port.
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let manifests = site.manifests.path().display().to_string();
    let (health, admin) = (free_port().to_string(), format!("127.0.0.1:{}", free_port()));
    let output = run([
        "serve",
        "--manifests",
        &manifests,
        "--bind-address=127.0.0.1",
        "--healthz-host=127.0.0.1",
        "--https-port=0",
        "--http-port",
        &port,
        "--healthz-port",
        &health,
        "--admin-address",
        &admin,
    ]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "the address is not named: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test]
async fn the_administration_pages_are_for_this_machine_only() {
    let _turn = turn::shared().await;
    let site = Site::with_host("admin.test", "web").await;
    let manifests = site.manifests.path().display().to_string();
    let output =
        run(["serve", "--manifests", &manifests, "--http-port=0", "--https-port=0", "--admin-address=0.0.0.0:0"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("loopback"), "{text}");
}
