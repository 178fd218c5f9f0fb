//! Copies of requests.

use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::address::pod;
use edgeward_tests::backend::{Received, Start};
use edgeward_tests::client::{Request, send};
use edgeward_tests::manifest::Ingress;
use edgeward_tests::turn;

use crate::site::Site;

#[tokio::test]
async fn a_copy_of_every_request_goes_to_the_target_and_its_answer_to_nobody() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let mirror = Start::default().start("mirror").await;
    mirror.answer_with(500);
    let target = mirror.addr();
    let to = |name: &str, target: String| {
        Ingress::new(name).annotation("mirror-target", &target).host(&format!("{name}.test"), "web")
    };
    site.ingress(&to("all", format!("http://{target}$request_uri")));
    let fixed = to("fixed", format!("http://{target}/fixed")).annotation("mirror-host", "m.test");
    site.ingress(&fixed.annotation("mirror-request-body", "off").annotation("proxy-body-size", "8m"));
    site.ingress(&to("large", format!("http://{target}/large")).annotation("proxy-body-size", "8m"));
    site.ingress(&to("dead", format!("http://{}/", pod())));
    site.ingress(&to("broken", "nowhere".to_owned()));
    let edgeward = site.serve().await;
    let copy = async || -> Received {
        let start = Instant::now();
        loop {
            if let Some(received) = mirror.recording().take().pop() {
                return received;
            }
            assert!(start.elapsed() < PATIENCE, "no copy came");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };

    let request = Request::get("all.test", "/a?b=1").header("X-C", "1").header("Connection", "X-Secret");
    let answer = send(edgeward.http, &request.header("X-Secret", "s").header("X-Forwarded-For", "192.0.2.1")).await;
    assert_eq!((answer.status(), answer.backend()), (200, Some("web")));
    let received = copy().await;
    assert_eq!((&*received.method, &*received.target), ("GET", "/a?b=1"));
    assert_eq!((received.header("x-c"), received.header("host")), (Some("1"), Some(&*target.ip().to_string())));
    for name in ["x-secret", "x-forwarded-for", "x-request-id", "connection"] {
        assert_eq!(received.header(name), None, "{name}");
    }

    for request in [Request::post("all.test", "/", "hello"), Request::post("all.test", "/", "hello").chunked()] {
        assert_eq!(send(edgeward.http, &request).await.status(), 200);
        assert_eq!(site.recording.take().pop().unwrap().body_length, 5);
        assert_eq!(copy().await.body_length, 5);
    }
    let body = "x".repeat(900_000);
    assert_eq!(send(edgeward.http, &Request::post("all.test", "/", &*body)).await.status(), 200);
    assert_eq!(copy().await.body_length, body.len());

    assert_eq!(send(edgeward.http, &Request::post("fixed.test", "/a?b=1", "hello")).await.status(), 200);
    let received = copy().await;
    assert_eq!((&*received.target, received.header("host"), received.body_length), ("/fixed?b=1", Some("m.test"), 0));

    // What would take too much memory is not copied, and what cannot be reached is in nobody's way.
    let body = "x".repeat(2_000_000);
    assert_eq!(send(edgeward.http, &Request::post("large.test", "/", &*body)).await.status(), 200);
    for host in ["dead.test", "broken.test"] {
        let start = Instant::now();
        assert_eq!(send(edgeward.http, &Request::get(host, "/")).await.status(), 200, "{host}");
        assert!(start.elapsed() < Duration::from_secs(2), "{host}");
    }
    assert_eq!(send(edgeward.http, &Request::get("all.test", "/last")).await.status(), 200);
    assert_eq!(copy().await.target, "/last", "and nothing of the large one before it");
}

#[tokio::test]
async fn a_slow_mirror_slows_nobody() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let mirror = Start::default().delay(Duration::from_secs(20)).start("mirror").await;
    let target = format!("http://{}$request_uri", mirror.addr());
    site.ingress(&Ingress::new("web").annotation("mirror-target", &target).host("web.test", "web"));
    let edgeward = site.serve().await;
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(send(edgeward.http, &Request::get("web.test", "/")).await.status(), 200);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
