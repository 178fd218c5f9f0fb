#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Mutex;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::object::Object;
use crate::parse::parse;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an API server would send of each of these manifests.
const MANIFESTS: [&str; 7] = [
    r#"{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"web","namespace":"shop",
        "creationTimestamp":"2024-05-01T12:00:00Z","annotations":{"nginx.ingress.kubernetes.io/ssl-redirect":"false"}},
        "spec":{"ingressClassName":"nginx","defaultBackend":{"service":{"name":"rest","port":{"name":"http"}}},
        "rules":[{"host":"a.test","http":{"paths":[
            {"path":"/a","pathType":"Exact","backend":{"service":{"name":"web","port":{"number":80}}}},
            {"pathType":"ImplementationSpecific","backend":{"resource":{"apiGroup":"k8s.example.com","kind":"Bucket","name":"b"}}}]}},
            {"host":"b.test"}],
        "tls":[{"hosts":["a.test"],"secretName":"a"},{"hosts":["b.test"]}]},
        "status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"},{"hostname":"edge.test"}]}}}"#,
    r#"{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"nginx"},
        "spec":{"controller":"k8s.io/ingress-nginx"}}"#,
    r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},
        "spec":{"clusterIP":"10.96.0.7","type":"ClusterIP","ports":[
            {"name":"http","port":80,"targetPort":"web","protocol":"TCP"},{"name":"other","port":81,"targetPort":8081,"protocol":"UDP"},
            {"name":"same","port":82,"protocol":"TCP"}]}}"#,
    r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"out","namespace":"shop",
        "annotations":{"edgeward.dev/load-balance":"least-request"}},
        "spec":{"type":"ExternalName","externalName":"out.example.com"}}"#,
    r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-1","namespace":"shop",
        "labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
        "ports":[{"name":"http","port":8080,"protocol":"TCP"},{"name":"all"}],
        "endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true}},{"addresses":["10.0.0.2"],"conditions":{}},
            {"addresses":["10.0.0.3"],"conditions":{"ready":false,"serving":true,"terminating":true}},
            {"addresses":["10.0.0.4"],"conditions":{"ready":false,"serving":true}},
            {"addresses":["10.0.0.5"],"conditions":{"ready":false}}]}"#,
    r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"shop"},"type":"kubernetes.io/tls",
        "data":{"tls.crt":"Yw==","tls.key":"aw=="}}"#,
    r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"options","namespace":"shop"},"data":{"hsts":"false"}}"#,
];

fn from_api(manifest: &str) -> Object {
    let value: Value = serde_json::from_str(manifest).unwrap();
    fn read<K: DeserializeOwned + Convert>(value: Value) -> Object {
        serde_json::from_value::<K>(value).unwrap().convert()
    }
    match value["kind"].as_str().unwrap() {
        "Ingress" => read::<Ingress>(value),
        "IngressClass" => read::<IngressClass>(value),
        "Service" => read::<Service>(value),
        "EndpointSlice" => read::<EndpointSlice>(value),
        "Secret" => read::<Secret>(value),
        "ConfigMap" => read::<ConfigMap>(value),
        other => panic!("no {other} here"),
    }
}

#[test]
fn an_object_of_the_api_server_is_what_it_is_in_a_file() {
    for manifest in MANIFESTS {
        let parsed = parse("test.json", manifest).unwrap();
        assert_eq!(parsed.objects.len(), 1, "{manifest}: {:?}", parsed.diagnostics);
        assert_eq!(from_api(manifest), parsed.objects[0].object, "{manifest}");
    }
}

#[test]
fn what_nobody_reads_is_dropped() {
    let secret = json!({"metadata": {"name": "a", "namespace": "n", "annotations": {"x": "y"}},
        "data": {"tls.crt": "Yw==", "other": "c2VjcmV0"}});
    let Object::Secret(secret) = serde_json::from_value::<Secret>(secret).unwrap().convert() else {
        panic!("no Secret")
    };
    assert_eq!(secret.data.keys().collect::<Vec<_>>(), ["tls.crt"]);
    assert!(secret.meta.annotations.is_empty());
    let service = json!({"metadata": {"name": "a", "annotations": {"edgeward.dev/slow-start": "1s", "other/x": "y"}}});
    let Object::Service(service) = serde_json::from_value::<Service>(service).unwrap().convert() else {
        panic!("no Service")
    };
    assert_eq!(service.meta.annotations.keys().collect::<Vec<_>>(), ["edgeward.dev/slow-start"]);
}

#[test]
fn the_addresses_in_a_status_are_read() {
    let ingress: Ingress = serde_json::from_str(MANIFESTS[0]).unwrap();
    let addresses = ["192.0.2.1", "edge.test"].map(|text| text.parse::<Address>().unwrap());
    assert_eq!(Observation::of(&ingress).published, addresses);
}

/// What an API server answers, in order. What it was not told to answer stays open.
struct Answers {
    lists: Vec<(u16, Value)>,
    watches: Vec<(u16, Value)>,
}

fn api_server(answers: Answers) -> Client {
    let answers = Mutex::new((answers.lists.into_iter(), answers.watches.into_iter()));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let next = {
            let mut answers = answers.lock().unwrap();
            if is_watch { answers.1.next() } else { answers.0.next() }
        };
        async move {
            let Some((status, body)) = next else { return std::future::pending().await };
            let response = http::Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            Ok::<_, std::convert::Infallible>(response.unwrap())
        }
    });
    Client::new(service, "default")
}

fn refusal(code: u16) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "x", "message": "no"}),
    )
}

fn list(names: &[&str]) -> (u16, Value) {
    let items: Vec<_> =
        names.iter().map(|name| json!({"metadata": {"name": name, "namespace": "n"}, "spec": {}})).collect();
    (
        200,
        json!({"kind": "IngressList", "apiVersion": "networking.k8s.io/v1", "metadata": {"resourceVersion": "1"}, "items": items}),
    )
}

/// The changes that come of these answers, in short.
async fn changes(answers: Answers, is_optional: bool, expected: usize) -> Vec<String> {
    let (sender, mut changes) = mpsc::channel(16);
    let (observations, _observed) = mpsc::unbounded_channel();
    let feed = Feed::new(sender, Contact::new(observations), FirstLists::new(Kind::Ingress, 1), true, is_optional);
    let watch = Watch::<Ingress> {
        api: Api::all(api_server(answers)),
        labels: String::new(),
        fields: String::new(),
        streams_lists: true,
        doubt: Duration::from_millis(50),
        observe: |_, _| {},
    };
    tokio::spawn(watch.run(feed));
    let mut found = Vec::new();
    while found.len() < expected {
        let change = timeout(PATIENCE, changes.recv()).await.expect("another change").unwrap();
        found.push(match change {
            Change::Reset(_, objects) => {
                objects.iter().fold("reset".to_owned(), |text, object| format!("{text} {}", object.name().name))
            }
            Change::Diagnostics(diagnostics) => diagnostics
                .iter()
                .fold("diagnostics".to_owned(), |text, diagnostic| format!("{text} {}", diagnostic.code)),
            other => format!("{other:?}"),
        });
    }
    assert!(timeout(Duration::from_millis(300), changes.recv()).await.is_err(), "more than {found:?} came");
    found
}

/// Streamed lists are refused, so that lists are asked for; the watch after the first ends with "gone", so that it is
/// listed again.
fn relisting(lists: Vec<(u16, Value)>) -> Answers {
    Answers { lists, watches: vec![refusal(422), refusal(410)] }
}

#[tokio::test]
async fn a_list_that_is_empty_once_is_not_believed() {
    let lists = vec![list(&["a", "b"]), list(&[]), list(&["a"]), list(&["a", "b"])];
    assert_eq!(changes(relisting(lists), false, 2).await, ["reset a b", "reset a b"]);
}

#[tokio::test]
async fn a_list_that_stays_empty_is_believed() {
    let lists = vec![list(&["a", "b"]), list(&[]), list(&[])];
    assert_eq!(changes(relisting(lists), false, 2).await, ["reset a b", "reset"]);
}

#[tokio::test]
async fn a_kind_that_may_not_be_listed_is_named_and_done_without_where_that_is_possible() {
    let refused = || Answers { lists: Vec::new(), watches: vec![refusal(403)] };
    assert_eq!(changes(refused(), true, 2).await, ["Refused(Ingress)", "diagnostics KindRefused"]);
    // Nothing is sent of one that is needed, but that it is refused.
    assert_eq!(changes(refused(), false, 1).await, ["diagnostics KindRefused"]);
    let later = Answers { lists: vec![list(&["a"])], watches: vec![refusal(403), refusal(422)] };
    assert_eq!(changes(later, false, 3).await, ["diagnostics KindRefused", "reset a", "diagnostics"]);
}
