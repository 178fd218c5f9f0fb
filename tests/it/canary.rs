//! Canaries: part of the requests for another version.

use edgeward_tests::client::{Keeper, Request, get, wait_for};
use edgeward_tests::manifest::{Ingress, service_alone};
use edgeward_tests::turn;

use crate::site::Site;

const HOST: &str = "canary.test";

fn canary(annotations: &[(&str, &str)]) -> Ingress {
    let canary = Ingress::new("new").created("2026-01-02T00:00:00Z").annotation("canary", "true");
    let annotated = annotations.iter().fold(canary, |canary, (name, value)| canary.annotation(name, value));
    annotated.host(HOST, "new")
}

async fn site(annotations: &[(&str, &str)]) -> Site {
    let mut site = Site::with_host(HOST, "main").await;
    site.service("new").await;
    site.ingress(&canary(annotations));
    site
}

#[tokio::test]
async fn a_header_a_cookie_and_chance_send_requests_to_the_canary() {
    let _turn = turn::shared().await;
    let site = site(&[("canary-by-header", "X-Can"), ("canary-by-cookie", "can"), ("canary-weight", "25")]).await;
    let edgeward = site.serve().await;
    let mut client = Keeper::new(edgeward.http);
    let mut ask = async |headers: &[(&str, &str)]| {
        let request = Request::get(HOST, "/");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        client.exchange(&request).await.backend().unwrap().to_owned()
    };
    for _ in 0..20 {
        assert_eq!(ask(&[("X-Can", "always")]).await, "new");
        assert_eq!(ask(&[("x-can", "never")]).await, "main");
        assert_eq!(ask(&[("Cookie", "x=1; can=always")]).await, "new");
        assert_eq!(ask(&[("Cookie", "can=never")]).await, "main");
        assert_eq!(ask(&[("X-Can", "never"), ("Cookie", "can=always")]).await, "main");
    }
    let mut taken = 0;
    for _ in 0..1000 {
        taken += usize::from(ask(&[]).await == "new");
    }
    // 250 are expected, and eight standard deviations are 110.
    assert!((140..=360).contains(&taken), "{taken} of 1000 at a quarter");
}

#[tokio::test]
async fn a_weight_changes_and_a_canary_goes_while_requests_are_served() {
    let _turn = turn::shared().await;
    let site = site(&[("canary-weight", "0")]).await;
    let edgeward = site.serve().await;
    let request = Request::get(HOST, "/");
    assert_eq!(get(edgeward.http, HOST, "/").await.backend(), Some("main"));
    site.ingress(&canary(&[("canary-weight", "100")]));
    wait_for(edgeward.http, &request, |answer| answer.backend() == Some("new")).await;
    // Without endpoints it takes nothing.
    site.manifests.write("service-new.yaml", service_alone("new", 80));
    wait_for(edgeward.http, &request, |answer| answer.backend() == Some("main")).await;
    site.manifests.remove("ingress-new.yaml");
    for _ in 0..20 {
        assert_eq!(get(edgeward.http, HOST, "/").await.backend(), Some("main"));
    }
}

#[tokio::test]
async fn a_canary_alone_is_no_route() {
    let _turn = turn::shared().await;
    let site = site(&[("canary-weight", "100")]).await;
    site.ingress(&canary(&[("canary-weight", "100")]).host("alone.test", "new"));
    let edgeward = site.serve().await;
    assert_eq!(get(edgeward.http, "alone.test", "/").await.status(), 404);
    assert_eq!(get(edgeward.http, HOST, "/").await.backend(), Some("new"));
    site.manifests.write("service-main.yaml", service_alone("main", 80));
    wait_for(edgeward.http, &Request::get(HOST, "/"), |answer| answer.status() == 503).await;
}

#[tokio::test]
async fn the_access_log_names_both_backends() {
    let _turn = turn::shared().await;
    let site = site(&[("canary-by-header", "x-can")]).await;
    let format = "$status [$proxy_upstream_name] [$proxy_alternative_upstream_name] $service_port end";
    let edgeward = site.launch().access_log(format).start().await;
    let taken = Request::get(HOST, "/").header("x-can", "always");
    assert_eq!(edgeward_tests::client::send(edgeward.http, &taken).await.backend(), Some("new"));
    assert_eq!(get(edgeward.http, HOST, "/").await.backend(), Some("main"));
    for line in ["200 [default-main-80] [default-new-80] 80 end", "200 [default-main-80] [] 80 end"] {
        for _ in 0..50 {
            if edgeward.output().contains(line) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(edgeward.output().contains(line), "{line} in {}", edgeward.output());
    }
}
