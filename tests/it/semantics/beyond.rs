//! What the recording did not probe of the rules.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use edgeward_tests::backend::Start;
use edgeward_tests::certificate::{Authority, KeyKind, Validity};
use edgeward_tests::client::{Connection, Request, get};
use edgeward_tests::h2_backend::H2Backend;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, service, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use edgeward_tests::websocket::WebSocket;

use crate::site::Site;

/// Two Ingresses of a host name a Secret each: the older one's is served, for the paths of both.
pub(super) async fn the_certificate_of_a_host_is_that_of_its_oldest_ingress() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    // The names in the certificates differ, so that it shows which is served.
    for (name, created, path) in [("old", "2026-01-01T00:00:00Z", "/old"), ("young", "2026-01-02T00:00:00Z", "/young")]
    {
        let names = ["a.test", &format!("{name}.test")];
        let pair = authority.issue(&names, KeyKind::Ecdsa, Validity::Current);
        site.manifests.write(&format!("secret-{name}.yaml"), tls_secret(name, &pair));
        let ingress = Ingress::new(name).created(created).tls(&["a.test"], Some(name));
        site.ingress(&ingress.path("a.test", "Prefix", path, "web"));
    }
    let edgeward = site.serve().await;
    for path in ["/old", "/young"] {
        let mut connection = Connection::open_tls(edgeward.https, &Hello::name("a.test")).await;
        assert_eq!(connection.certificate().1, ["a.test", "old.test"]);
        assert_eq!(connection.exchange(&Request::get("a.test", path)).await.backend(), Some("web"), "{path}");
    }
}

/// By its number, by its name and by its target port; what is none of them has no endpoint.
pub(super) async fn ports_are_named_in_three_ways() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let web = Start::default().start("web").await;
    let other_port = SocketAddr::new(web.addr().ip(), web.addr().port() + 1);
    let admin = Start::default().addr(other_port).start("admin").await;
    let (ip, web_port, admin_port) = (web.addr().ip(), web.addr().port(), admin.addr().port());
    site.manifests.write(
        "service.yaml",
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: app}}\nspec:\n  ports:\n  - {{name: http, port: 80, \
             targetPort: {web_port}}}\n  - {{name: admin, port: 81, targetPort: adm}}\n---\napiVersion: \
             discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: app, labels: {{kubernetes.io/service-name: \
             app}}}}\naddressType: IPv4\nports:\n- {{name: http, port: {web_port}}}\n- {{name: admin, port: \
             {admin_port}}}\nendpoints:\n- addresses: [{ip}]\n"
        ),
    );
    let paths = [
        ("/number", "number: 80".to_owned(), Some("web")),
        ("/second-number", "number: 81".to_owned(), Some("admin")),
        ("/name", "name: admin".to_owned(), Some("admin")),
        ("/target", format!("number: {web_port}"), Some("web")),
        ("/no-number", "number: 9".to_owned(), None),
        ("/no-name", "name: other".to_owned(), None),
    ];
    let entry = |(path, port, _): &(&str, String, Option<&str>)| {
        format!("      - {{path: {path}, pathType: Prefix, backend: {{service: {{name: app, port: {{{port}}}}}}}}}\n")
    };
    site.manifests.write(
        "ingress.yaml",
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: app}}\nspec:\n  rules:\n  - host: \
             a.test\n    http:\n      paths:\n{}",
            paths.iter().map(entry).collect::<String>()
        ),
    );
    let edgeward = site.serve().await;
    for (path, _, backend) in &paths {
        let answer = get(edgeward.http, "a.test", path).await;
        let status = if backend.is_some() { 200 } else { 503 };
        assert_eq!((answer.status(), answer.backend()), (status, *backend), "{path}");
    }
}

/// A call with its trailers, which only HTTP/2 on both sides carries.
pub(super) async fn grpc_is_spoken_to_endpoints() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let backend = H2Backend::start("grpc").await;
    site.manifests.write("grpc.yaml", service("grpc", &[backend.addr()]));
    site.ingress(&Ingress::new("grpc").annotation("backend-protocol", "GRPC").host("a.test", "grpc"));
    let edgeward = site.serve().await;
    let hello = Hello::name("a.test").alpn(&["h2"]);
    let mut client = H2Client::over(Connection::open_tls(edgeward.https, &hello).await.into_stream()).await;
    let call = hyper::Request::post("https://a.test/echo.Echo/Say")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-echo-grpc-status", "5")
        .body(())
        .unwrap();
    let answer = client.send(call, Bytes::from_static(b"\0\0\0\0\x05hello")).await.expect("an answer to the call");
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, b"\0\0\0\0\x05hello".as_slice()));
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "5");
    assert_eq!(backend.take().last().unwrap().0, "POST /echo.Echo/Say HTTP/2.0");
}

/// The client sees the certificate of the host and not the application's, and its request is routed as others are.
pub(super) async fn tls_ends_here_without_the_flag() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service_as("web", Start::default().tls(authority.pair("inner.test"))).await;
    site.manifests.write("secret.yaml", tls_secret("cert", &authority.pair("a.test")));
    let ingress = Ingress::new("web").annotation("ssl-passthrough", "true").annotation("backend-protocol", "HTTPS");
    site.ingress(&ingress.tls(&["a.test"], Some("cert")).host("a.test", "web"));
    let edgeward = site.serve().await;
    let hello = Hello::name("a.test").verify(authority.certificate());
    let mut connection = Connection::open_tls(edgeward.https, &hello).await;
    assert_eq!(connection.certificate().1, ["a.test"]);
    let answer = connection.exchange(&Request::get("a.test", "/")).await;
    assert_eq!((answer.status(), answer.backend()), (200, Some("web")));
    assert!(answer.json()["headers"].to_string().to_lowercase().contains("x-forwarded-for"), "{}", answer.text());
    let told = edgeward.diagnostics().await.text();
    assert!(told.contains("ssl-passthrough"), "{told}");
}

/// Whatever the snippet is about, the routes do not answer as if it were not there, unless that is asked for.
pub(super) async fn a_snippet_is_told_and_may_be_passed_over() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("plain").host("plain.test", "web"));
    let snippets = ["configuration-snippet", "server-snippet", "auth-snippet", "modsecurity-snippet"];
    for name in snippets {
        site.ingress(&Ingress::new(name).annotation(name, "deny all;").host(&format!("{name}.test"), "web"));
    }
    let edgeward = site.serve().await;
    assert_eq!(get(edgeward.http, "plain.test", "/").await.status(), 200);
    let told = edgeward.diagnostics().await.text();
    for name in snippets {
        assert_eq!(get(edgeward.http, &format!("{name}.test"), "/").await.status(), 503, "{name}");
        assert!(told.contains(name), "{name} is not told: {told}");
    }

    let edgeward = site.launch().argument("--refused-annotations=ignore").start().await;
    for name in snippets {
        assert_eq!(get(edgeward.http, &format!("{name}.test"), "/").await.backend(), Some("web"), "{name}");
    }
}

/// A WebSocket may be silent for as long as `proxy-read-timeout` of its Ingress says, else for `--upgraded-timeout` or the
/// read timeout of all routes, whichever is longer.
pub(super) async fn websockets_and_http_2_pass() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").host("a.test", "web"));
    site.ingress(&Ingress::new("brief").annotation("proxy-read-timeout", "1").host("brief.test", "web"));
    let edgeward = site.serve().await;
    let mut brief = WebSocket::open(edgeward.http, "brief.test", "/ws").await.unwrap();
    let mut socket = WebSocket::open(edgeward.http, "a.test", "/ws").await.unwrap();
    socket.echo("message").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    socket.echo("message").await.unwrap();
    assert!(brief.echo("message").await.is_err(), "it was told to end");

    let hello = Hello::name("a.test").alpn(&["h2", "http/1.1"]);
    let connection = Connection::open_tls(edgeward.https, &hello).await;
    assert_eq!(connection.alpn(), Some(b"h2".as_slice()));
    let mut client = H2Client::over(connection.into_stream()).await;
    let answer = client.get("https://a.test/").await;
    assert_eq!((answer.status.as_u16(), answer.backend()), (200, Some("web")));
}
