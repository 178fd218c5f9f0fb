//! The walk-through of every handbook, with `kubectl`: traffic follows what the API server has accepted.

use std::time::{Duration, Instant};

use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Request};
use edgeward_tests::manifest::{Ingress, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use super::{CLASS, cluster, serve, service, until};

/// From the answer of the API server to the first request that is served by it.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(100);

/// How much longer a build without full optimisation may take, on a machine that also runs the API server.
const UNOPTIMISED: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_classic_walk_through() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backends = [service(&cluster, "s1").await, service(&cluster, "s2").await, service(&cluster, "test").await];
    let edgeward = serve(&cluster).await;
    let by = |name: &'static str| move |answer: &edgeward_tests::message::Message| answer.backend() == Some(name);
    let mut delays = Vec::new();

    // A single-service Ingress takes every host.
    cluster.apply(&Ingress::new("test-ingress").class(CLASS).default_backend("test", 80).text());
    delays.push(until(edgeward.http, "anything.test", "/anything", by("test")).await);

    // A fan-out.
    let fan_out = Ingress::new("fan-out").class(CLASS);
    cluster
        .apply(&fan_out.path("foo.bar.com", "Prefix", "/foo", "s1").path("foo.bar.com", "Prefix", "/bar", "s2").text());
    delays.push(until(edgeward.http, "foo.bar.com", "/foo", by("s1")).await);
    until(edgeward.http, "foo.bar.com", "/bar", by("s2")).await;

    // Two virtual hosts on one address.
    let hosts = |name: &str| Ingress::new(name).class(CLASS);
    cluster.apply(&hosts("virtual").host("one.bar.com", "s1").host("two.bar.com", "s2").text());
    delays.push(until(edgeward.http, "one.bar.com", "/", by("s1")).await);
    until(edgeward.http, "two.bar.com", "/", by("s2")).await;

    // TLS from a Secret.
    let authority = Authority::new();
    cluster.apply(&tls_secret("testsecret-tls", &authority.pair("sslexample.foo.com")));
    let secure = Ingress::new("tls-example").class(CLASS).host("sslexample.foo.com", "s1");
    cluster.apply(&secure.tls(&["sslexample.foo.com"], Some("testsecret-tls")).text());
    delays.push(until(edgeward.http, "sslexample.foo.com", "/", |answer| answer.status() == 308).await);
    let hello = Hello::name("sslexample.foo.com").verify(authority.certificate());
    let mut connection = Connection::open_tls(edgeward.https, &hello).await;
    assert_eq!(connection.exchange(&Request::get("sslexample.foo.com", "/")).await.backend(), Some("s1"));

    // `kubectl replace` and `kubectl edit` add a host.
    let more = hosts("virtual").host("one.bar.com", "s1").host("two.bar.com", "s2").host("three.bar.com", "test");
    cluster.kubectl_with(&["replace", "-f", "-"], &more.text());
    delays.push(until(edgeward.http, "three.bar.com", "/", by("test")).await);
    let rule = r#"[{"op":"add","path":"/spec/rules/-","value":{"host":"four.bar.com","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"s2","port":{"number":80}}}}]}}}]"#;
    let started = Instant::now();
    cluster.kubectl(&["patch", "ingress", "virtual", "--type=json", "-p", rule]);
    until(edgeward.http, "four.bar.com", "/", by("s2")).await;
    assert!(started.elapsed() < Duration::from_secs(3));

    // And what is deleted is gone.
    cluster.kubectl(&["delete", "ingress", "fan-out"]);
    until(edgeward.http, "foo.bar.com", "/foo", by("test")).await;

    eprintln!("walk-through: traffic followed after {delays:?}");
    for delay in delays {
        assert!(delay < FOLLOWS_WITHIN * UNOPTIMISED, "traffic followed only after {delay:?}");
    }
}

#[tokio::test]
async fn only_ingresses_of_the_own_class_are_served() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&edgeward_tests::manifest::ingress_class("other", "example.com/other"));
    cluster.apply(&Ingress::new("ours").class(CLASS).host("ours.test", "web").text());
    cluster.apply(&Ingress::new("other").class("other").host("other.test", "web").text());
    cluster.apply(&Ingress::new("classless").host("classless.test", "web").text());
    cluster.apply(
        &Ingress::new("annotated")
            .annotation("kubernetes.io/ingress.class", "nginx")
            .host("annotated.test", "web")
            .text(),
    );
    let edgeward = serve(&cluster).await;
    until(edgeward.http, "ours.test", "/", |answer| answer.status() == 200).await;
    until(edgeward.http, "annotated.test", "/", |answer| answer.status() == 200).await;
    for host in ["other.test", "classless.test"] {
        until(edgeward.http, host, "/", |answer| answer.status() == 404).await;
    }
    // A default class is given to new Ingresses by the API server itself.
    cluster.kubectl(&["annotate", "ingressclass", CLASS, "ingressclass.kubernetes.io/is-default-class=true"]);
    let created = || {
        cluster.apply(&Ingress::new("late").host("late.test", "web").text());
        let is_classed = cluster.get("ingress", "late")["spec"]["ingressClassName"] == CLASS;
        if !is_classed {
            cluster.kubectl(&["delete", "ingress", "late"]);
        }
        is_classed
    };
    super::eventually("the API server gives the default class", created).await;
    until(edgeward.http, "late.test", "/", |answer| answer.status() == 200).await;
    // A class that goes takes its Ingresses along.
    cluster.kubectl(&["delete", "ingressclass", CLASS]);
    until(edgeward.http, "ours.test", "/", |answer| answer.status() == 404).await;
}
