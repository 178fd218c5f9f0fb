//! From Services to endpoints, as seen by requests.

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::certificate::{Authority, KeyKind, Validity};
use edgeward_tests::client::{Connection, Request, get, send, wait_for};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, Manifests, service, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use crate::site::Site;

#[tokio::test]
async fn an_external_name_is_resolved() {
    let _turn = turn::shared().await;
    let port = edgeward_tests::address::free_port();
    let _backend = Start::default().addr(([127, 0, 0, 1], port).into()).start("outside").await;
    let manifests = Manifests::new();
    let named = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: outside}}\nspec:\n  type: ExternalName\n  \
             externalName: {name}\n  ports: [{{name: http, port: 80, targetPort: {port}}}]\n"
        )
    };
    manifests.write("service.yaml", named("localhost"));
    manifests.write("ingress.yaml", Ingress::new("outside").host("outside.test", "outside").text());
    let edgeward = Edgeward::start(manifests.path()).await;
    let request = Request::get("outside.test", "/");
    wait_for(edgeward.http, &request, |answer| answer.backend() == Some("outside")).await;
    manifests.write("service.yaml", named("127.0.0.1"));
    wait_for(edgeward.http, &request, |answer| answer.backend() == Some("outside")).await;
    manifests.write("service.yaml", named("no-such-name.invalid"));
    wait_for(edgeward.http, &request, |answer| answer.status() == 503).await;
}

#[tokio::test]
async fn removed_versions_of_ingress_and_endpoints_are_served() {
    let _turn = turn::shared().await;
    let (app, rest) = (Backend::start("app").await, Backend::start("rest").await);
    let manifests = Manifests::new();
    for backend in [&app, &rest] {
        let (name, ip, port) = (backend.name(), backend.addr().ip(), backend.addr().port());
        manifests.write(
            &format!("{name}.yaml"),
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: None, ports: [{{name: \
                 web, port: 80}}]}}\n---\napiVersion: v1\nkind: Endpoints\nmetadata: {{name: {name}}}\nsubsets:\n\
                 - addresses: [{{ip: {ip}}}]\n  ports: [{{name: web, port: {port}}}]\n"
            ),
        );
    }
    for (version, host) in [("extensions/v1beta1", "ancient.test"), ("networking.k8s.io/v1beta1", "old.test")] {
        manifests.write(
            &format!("{host}.yaml"),
            format!(
                "apiVersion: {version}\nkind: Ingress\nmetadata:\n  name: {}\n  annotations:\n    \
                 kubernetes.io/ingress.class: nginx\nspec:\n  backend: {{serviceName: rest, servicePort: web}}\n  \
                 rules:\n  - host: {host}\n    http:\n      paths:\n      - path: /app\n        backend: \
                 {{serviceName: app, servicePort: 80}}\n",
                host.trim_end_matches(".test")
            ),
        );
    }
    let edgeward = Edgeward::start(manifests.path()).await;
    for host in ["ancient.test", "old.test"] {
        assert_eq!(get(edgeward.http, host, "/app/x").await.backend(), Some("app"), "{host}");
        assert_eq!(get(edgeward.http, host, "/other").await.backend(), Some("rest"), "{host}");
    }
    let diagnostics = edgeward.diagnostics().await.text();
    assert_eq!(diagnostics.matches("RemovedApiVersion").count(), 2, "{diagnostics}");
}

#[tokio::test]
async fn the_default_backend_answers_what_no_rule_takes() {
    let _turn = turn::shared().await;
    let mut site = Site::with_host("some.test", "web").await;
    site.service("fallback").await;
    site.ingress(&Ingress::new("partial").path("partial.test", "Prefix", "/app", "web"));
    let edgeward = site.launch().argument("--default-backend-service=default/fallback").start().await;
    for (host, path, backend) in [
        ("some.test", "/", "web"),
        ("nowhere.test", "/", "fallback"),
        ("partial.test", "/app", "web"),
        ("partial.test", "/else", "fallback"),
    ] {
        let answer = get(edgeward.http, host, path).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some(backend)), "{host}{path}");
    }
    let mut connection = Connection::open_tls(edgeward.https, &Hello::name("nowhere.test")).await;
    assert_eq!(connection.exchange(&Request::get("nowhere.test", "/")).await.backend(), Some("fallback"));
}

#[tokio::test]
async fn challenges_of_certificate_authorities_are_not_redirected() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    site.manifests.write("tls.yaml", tls_secret("tls", &authority.pair("tls.test")));
    site.ingress(&Ingress::new("tls").tls(&["tls.test"], Some("tls")).host("tls.test", "web"));
    site.ingress(&Ingress::new("forced").annotation("force-ssl-redirect", "true").host("forced.test", "web"));
    // As cert-manager asks for it: a path of its own. Without one the challenge is like any other request (oracle c082).
    site.service("solver").await;
    for host in ["tls.test", "forced.test"] {
        let challenge = "/.well-known/acme-challenge/token";
        site.ingress(&Ingress::new(&format!("solver-{host}")).path(host, "Exact", challenge, "solver"));
    }
    let edgeward = site.serve().await;
    for host in ["tls.test", "forced.test"] {
        let answer = send(edgeward.http, &Request::post(host, "/path?q=1", "x")).await;
        let location = format!("https://{host}/path?q=1");
        assert_eq!((answer.status(), answer.header("location")), (308, Some(location.as_str())), "{host}");
        let answer = get(edgeward.http, host, "/.well-known/acme-challenge/token").await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("solver")), "{host}");
        let answer = get(edgeward.http, host, "/.well-known/acme-challenge/other").await;
        assert_eq!(answer.status(), 308, "{host}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_served_rather_than_none() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let backend = Backend::start("web").await;
    let manifests = Manifests::new();
    let expired = authority.issue(&["expired.test"], KeyKind::Ecdsa, Validity::Expired);
    manifests.write("secret.yaml", tls_secret("expired", &expired));
    manifests.write("service.yaml", service("web", &[backend.addr()]));
    let ingress = Ingress::new("web").tls(&["expired.test"], Some("expired")).host("expired.test", "web");
    manifests.write("ingress.yaml", ingress.text());
    let edgeward = Launch::new(manifests.path()).start().await;
    let connection = Connection::open_tls(edgeward.https, &Hello::name("expired.test")).await;
    assert_eq!(connection.certificate_der(), &expired.certificate());
    assert!(edgeward.diagnostics().await.text().contains("CertificateExpired"));
}
