//! Error pages of another backend, and a backend that stands in for one without endpoints.

use edgeward_tests::backend::{Persona, Start};
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::manifest::{Ingress, service, service_alone};
use edgeward_tests::turn;

use crate::site::Site;

async fn site() -> Site {
    let mut site = Site::new();
    site.service("web").await;
    site.service_as("errs", Start::default().persona(Persona::Errors)).await;
    site.manifests.write("empty.yaml", service_alone("empty", 8080));
    site.manifests.write("dead.yaml", service("dead", &[edgeward_tests::address::pod()]));
    site
}

fn asking(name: &str, statuses: &str) -> Ingress {
    Ingress::new(name).annotation("custom-http-errors", statuses).annotation("default-backend", "errs")
}

#[tokio::test]
async fn a_page_gets_no_body_without_end() {
    let _turn = turn::shared().await;
    let site = site().await;
    let ingress =
        asking("web", "403").annotation("proxy-body-size", "100").annotation("denylist-source-range", "0.0.0.0/0");
    site.ingress(&ingress.host("web.test", "web"));
    let edgeward = site.serve().await;
    let post = |length| Request::post("web.test", "/", "x".repeat(length)).chunked();
    let answer = send(edgeward.http, &post(100)).await;
    assert_eq!((answer.status(), answer.backend()), (403, Some("errs")));
    assert_eq!(site.recording.take().pop().unwrap().body_length, 100);
    let answer = send(edgeward.http, &post(100_000)).await;
    assert_eq!((answer.status(), answer.backend()), (413, None));
    assert!(site.recording.take().iter().all(|received| received.body_length <= 100));
}

/// A host refuses its clients before anybody has looked at what they declare.
#[tokio::test]
async fn a_page_for_a_refused_client_gets_no_body_that_is_too_large() {
    let _turn = turn::shared().await;
    let site = site().await;
    let ingress =
        asking("web", "403").annotation("proxy-body-size", "100").annotation("auth-tls-secret", "default/none");
    site.ingress(&ingress.host("web.test", "web"));
    let edgeward = site.serve().await;
    for (length, received) in [(100, 100), (101, 0), (1_000_000, 0)] {
        let answer = send(edgeward.http, &Request::post("web.test", "/", "x".repeat(length))).await;
        assert_eq!((answer.status(), answer.backend()), (403, Some("errs")), "{length}");
        assert_eq!(site.recording.take().pop().unwrap().body_length, received, "{length}");
    }
}

#[tokio::test]
async fn an_answer_with_a_listed_status_is_a_page_of_the_default_backend() {
    let _turn = turn::shared().await;
    let site = site().await;
    site.ingress(&asking("web", "404,413,502,503").annotation("proxy-body-size", "100").host("web.test", "web"));
    site.ingress(&asking("dead", "404,413,502,503").host("dead.test", "dead"));
    site.ingress(&asking("own", "404").annotation("disable-proxy-intercept-errors", "true").host("own.test", "web"));
    let none = Ingress::new("none").annotation("custom-http-errors", "404,503").host("none.test", "web");
    site.ingress(&none);
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;

    let request =
        Request::post("web.test", "/a?b=1", "abc").header("X-Echo-Status", "404").header("X-Namespace", "mine");
    let answer = connection.exchange(&request.header("Accept", "text/html")).await;
    assert_eq!((answer.status(), answer.backend()), (404, Some("errs")));
    let received = site.recording.take();
    assert_eq!(received.iter().map(|one| &*one.backend).collect::<Vec<_>>(), ["web", "errs"]);
    let page = &received[1];
    assert_eq!((&*page.method, &*page.target, page.body_length), ("POST", "/?b=1", 3));
    for (name, value) in [
        ("x-code", Some("404")),
        ("x-format", Some("text/html")),
        ("x-original-uri", Some("/a?b=1")),
        ("x-namespace", Some("default")),
        ("x-ingress-name", Some("web")),
        ("x-service-name", Some("web")),
        ("host", Some("web.test")),
        ("x-real-ip", None),
        ("x-forwarded-host", None),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    assert_eq!(page.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-namespace")).count(), 1);

    // The connection serves on, and what is not listed is the application's own.
    let answer = connection.exchange(&Request::get("web.test", "/").header("X-Echo-Status", "500")).await;
    assert_eq!((answer.status(), answer.backend()), (500, Some("web")));
    site.recording.take();

    // The proxy's own answers: no connection, and a body that is too large, declared or not.
    let answer = send(edgeward.http, &Request::post("dead.test", "/", "abc")).await;
    assert_eq!((answer.status(), answer.backend()), (502, Some("errs")));
    assert_eq!(site.recording.take().pop().unwrap().body_length, 3);
    let answer = send(edgeward.http, &Request::post("web.test", "/", "x".repeat(101))).await;
    assert_eq!((answer.status(), answer.backend()), (413, Some("errs")));
    let page = site.recording.take().pop().unwrap();
    assert_eq!((page.body_length, page.header("x-ingress-name")), (101, None));
    let answer = send(edgeward.http, &Request::post("web.test", "/", "x".repeat(200_000))).await;
    assert_eq!((answer.status(), answer.backend()), (413, Some("errs")));
    assert_eq!(site.recording.take().pop().unwrap().body_length, 0, "a large body goes no further");
    let answer = send(edgeward.http, &Request::post("web.test", "/", "x".repeat(101)).chunked()).await;
    assert_eq!((answer.status(), answer.backend()), (413, Some("errs")));

    let answer = send(edgeward.http, &Request::get("own.test", "/").header("X-Echo-Status", "404")).await;
    assert_eq!((answer.status(), answer.backend()), (404, Some("web")));
    let answer = send(edgeward.http, &Request::get("none.test", "/").header("X-Echo-Status", "503")).await;
    assert_eq!((answer.status(), answer.backend()), (404, None), "without a backend for pages there is none");
}

#[tokio::test]
async fn a_backend_without_endpoints_is_stood_in_for_and_comes_back() {
    let _turn = turn::shared().await;
    let site = site().await;
    let ingress = Ingress::new("empty").annotation("default-backend", "errs").host("empty.test", "empty");
    site.ingress(&ingress.host("web.test", "web"));
    let edgeward = site.serve().await;
    let answer = send(edgeward.http, &Request::get("empty.test", "/a?b=1")).await;
    assert_eq!((answer.status(), answer.backend()), (503, Some("errs")));
    let received = site.recording.take().pop().unwrap();
    assert_eq!((&*received.target, received.header("x-code")), ("/a?b=1", Some("503")));
    assert_eq!(
        (received.header("x-service-name"), received.header("x-forwarded-host")),
        (Some("empty"), Some("empty.test"))
    );
    assert_eq!(send(edgeward.http, &Request::get("web.test", "/")).await.backend(), Some("web"));

    // The Service that is named counts as soon as it is there, and no longer than that.
    let stands_in = async |backend: Option<&str>| {
        let start = std::time::Instant::now();
        while send(edgeward.http, &Request::get("empty.test", "/")).await.backend() != backend {
            assert!(start.elapsed() < edgeward_tests::PATIENCE, "{backend:?} does not answer");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let text = std::fs::read_to_string(site.manifests.file("service-errs.yaml")).unwrap();
    site.manifests.remove("service-errs.yaml");
    stands_in(None).await;
    site.manifests.write("service-errs.yaml", text);
    stands_in(Some("errs")).await;
}

/// The page has its backend answer, and nobody wants the body; a client may not send it for ever.
#[tokio::test]
async fn a_client_whose_body_is_not_wanted_is_cut_behind_the_page() {
    let _turn = turn::shared().await;
    let site = site().await;
    site.ingress(&asking("web", "413").annotation("proxy-body-size", "100").host("web.test", "web"));
    let edgeward = site.serve().await;
    for head in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(format!("POST / HTTP/1.1\r\nHost: web.test\r\n{head}\r\n\r\n").into_bytes()).await;
        let piece = format!("{:x}\r\n{}\r\n", 1000, "x".repeat(1000)).into_bytes();
        connection.send(&piece).await;
        let answer = connection.response("POST").await;
        assert_eq!((answer.status(), answer.backend()), (413, Some("errs")), "{head}");
        let begun = std::time::Instant::now();
        while connection.write(&piece).await.is_ok() {
            assert!(begun.elapsed().as_secs() < 15, "{head}: it goes on");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}
