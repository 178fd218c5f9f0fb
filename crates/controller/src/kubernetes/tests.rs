#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Mutex;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::contact::Trouble;
use super::convert::Convert;
use super::*;
use crate::object::Object;
use crate::parse::parse;
use crate::state::{StateOptions, record};
use crate::translate::fixture;

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
    // What looks like a password under DES (`abNANd1rDfiNc`) is one where all others are passwords.
    for (data, kept) in [
        (json!({"u": "YWJOQU5kMXJEZmlOYw==", "v": "e1BMQUlOfTE="}), &["u", "v"][..]),
        (json!({"u": "YWJOQU5kMXJEZmlOYw==", "v": "e1BMQUlOfTE=", "w": "eA=="}), &["v"]),
    ] {
        let secret = json!({"metadata": {"name": "a", "namespace": "n"}, "data": data});
        let Object::Secret(secret) = serde_json::from_value::<Secret>(secret).unwrap().convert() else {
            panic!("no Secret")
        };
        assert_eq!(secret.data.keys().collect::<Vec<_>>(), kept);
    }
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

/// A watch on what this API server answers, and what comes of it.
fn watch(answers: Answers, feed: Feed) -> impl Future<Output = ()> {
    let watch = Watch::<Ingress> {
        api: Api::all(api_server(answers)),
        labels: String::new(),
        fields: String::new(),
        streams_lists: true,
        doubt: Duration::from_millis(50),
        observe: |_, _| {},
        pauses: Pauses::new(),
    };
    watch.run(feed)
}

fn contact() -> Arc<Contact> {
    Contact::new(mpsc::unbounded_channel().0)
}

/// All of a kind, of which nothing is known.
fn part(scope: contact::ScopeId, need: Need) -> Part {
    Part { scope, is_whole: true, need, restriction: Restriction::default(), state: None }
}

/// What is in a namespace.
fn part_of(namespace: &str, contact: &Contact, need: Need, state: Option<Arc<State>>) -> Part {
    let scope = contact.add(Kind::Ingress, namespace);
    Part { scope, is_whole: false, need, restriction: Restriction::in_namespace(namespace), state }
}

/// A list with one object.
async fn list_of(feed: &mut Feed, object: Object) -> Result<(), feed::Closed> {
    feed.begin_list();
    feed.take_in(object).await?;
    feed.end_list().await
}

/// The changes that come of these answers, in short. Another kind has been listed before.
async fn changes(answers: Answers, need: Need, expected: usize) -> Vec<String> {
    let (sender, mut changes) = mpsc::channel(16);
    let contact = contact();
    contact.listed(contact.add(Kind::Service, ""));
    let part = part(contact.add(Kind::Ingress, ""), need);
    let feed = Feed::new(sender, contact, FirstLists::new(Kind::Ingress, 1), part);
    tokio::spawn(watch(answers, feed));
    told(&mut changes, expected).await
}

/// So many changes, in short, and no more. A list is one, however it is sent.
async fn told(changes: &mut mpsc::Receiver<Change>, expected: usize) -> Vec<String> {
    let of = |names: Vec<&str>| names.iter().fold("reset".to_owned(), |text, name| format!("{text} {name}"));
    let mut found = Vec::new();
    let mut patience = PATIENCE;
    while let Ok(change) = timeout(patience, changes.recv()).await {
        match change.unwrap() {
            Change::Reset(_, objects) => found.push(of(objects.iter().map(|object| &*object.name().name).collect())),
            Change::Listed(_, names) => {
                let objects = found.split_off(found.len() - names.len());
                assert_eq!(objects, names.iter().map(|name| format!("apply {name}")).collect::<Vec<_>>());
                found.push(of(names.iter().map(|name| &*name.name).collect()));
            }
            Change::Diagnostics(diagnostics) => found.push(
                diagnostics
                    .iter()
                    .fold("diagnostics".to_owned(), |text, diagnostic| format!("{text} {}", diagnostic.code)),
            ),
            Change::Apply(object) => found.push(format!("apply {}", object.name())),
            other => found.push(format!("{other:?}")),
        }
        if found.len() >= expected {
            patience = Duration::from_millis(300);
        }
    }
    assert_eq!(found.len(), expected, "{found:?}");
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
    assert_eq!(changes(relisting(lists), Need::Kind, 2).await, ["reset a b", "reset a b"]);
}

#[tokio::test]
async fn a_list_that_stays_empty_is_believed() {
    let lists = vec![list(&["a", "b"]), list(&[]), list(&[])];
    assert_eq!(changes(relisting(lists), Need::Kind, 2).await, ["reset a b", "reset"]);
}

#[tokio::test]
async fn a_kind_that_may_not_be_listed_is_named_and_done_without_where_that_is_possible() {
    let refused = || Answers { lists: Vec::new(), watches: vec![refusal(403), refusal(403)] };
    assert_eq!(changes(refused(), Need::Optional, 2).await, ["diagnostics KindRefused", "Refused(Ingress)"]);
    // Nothing is sent of one that is needed, but that it is refused.
    assert_eq!(changes(refused(), Need::Kind, 1).await, ["diagnostics KindRefused"]);
    assert_eq!(changes(refused(), Need::Scope, 1).await, ["diagnostics KindRefused"]);
    let later = Answers { lists: vec![list(&["a"])], watches: vec![refusal(403), refusal(422)] };
    assert_eq!(changes(later, Need::Kind, 3).await, ["diagnostics KindRefused", "reset a", "diagnostics"]);
}

/// An API server that has just started knows nobody, and then gives nobody any right, for a moment.
#[tokio::test]
async fn one_refusal_or_one_before_anything_is_listed_is_not_believed() {
    let once =
        Answers { lists: vec![list(&["a"])], watches: vec![refusal(401), refusal(401), refusal(403), refusal(422)] };
    let expected = ["diagnostics KindRefused", "diagnostics KindRefused", "reset a", "diagnostics"];
    assert_eq!(changes(once, Need::Optional, 4).await, expected);
    let (sender, mut changes) = mpsc::channel(16);
    let contact = contact();
    let part = part(contact.add(Kind::Ingress, ""), Need::Optional);
    let mut feed = Feed::new(sender, contact, FirstLists::new(Kind::Ingress, 1), part);
    for _ in 0..5 {
        feed.failed(Trouble { code: Some(403), message: String::new() }).await.unwrap();
    }
    assert_eq!(told(&mut changes, 1).await, ["diagnostics KindRefused"]);
}

#[tokio::test]
async fn a_refusal_that_is_over_is_no_longer_told() {
    let answers = Answers {
        lists: vec![list(&["a"]), list(&["a"])],
        // The first watch ends at once, and its successor is refused.
        watches: vec![refusal(422), (200, Value::Null), refusal(403)],
    };
    let expected = ["reset a", "diagnostics KindRefused", "reset a", "diagnostics"];
    assert_eq!(changes(answers, Need::Kind, 4).await, expected);
}

#[tokio::test]
async fn a_watch_whose_version_is_gone_lists_again() {
    let gone = json!({"type": "ERROR", "object": refusal(410).1});
    let answers = Answers { lists: vec![list(&["a"]), list(&["b"])], watches: vec![refusal(422), (200, gone)] };
    assert_eq!(changes(answers, Need::Kind, 2).await, ["reset a", "reset b"]);
}

/// Two namespaces: one is refused at first, the other one takes its time.
#[tokio::test]
async fn what_is_listed_late_is_not_wiped_out_by_the_first_lists() {
    let object = |name: &str| fixture::ingress(name).object();
    let (sender, mut changes) = mpsc::channel(16);
    let contact = contact();
    contact.listed(contact.add(Kind::Service, ""));
    let first = FirstLists::new(Kind::Ingress, 2);
    let mut feeds = ["a", "b"].map(|namespace| {
        let part = part_of(namespace, &contact, Need::Optional, None);
        Feed::new(sender.clone(), Arc::clone(&contact), Arc::clone(&first), part)
    });
    for _ in 0..2 {
        feeds[0].failed(Trouble { code: Some(403), message: String::new() }).await.unwrap();
    }
    let unlisted = contact.unlisted();
    assert_eq!(unlisted.iter().map(|scope| scope.namespace.as_str()).collect::<Vec<_>>(), ["a"]);
    let [mut late, mut slow] = feeds;
    let late = tokio::spawn(async move { list_of(&mut late, object("a/web")).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    list_of(&mut slow, object("b/web")).await.unwrap();
    late.await.unwrap().unwrap();
    let expected = ["diagnostics KindRefused", "diagnostics", "reset web", "apply a/web"];
    let mut found = told(&mut changes, 4).await;
    found[1..3].sort();
    assert_eq!(found, expected);
}

/// Two namespaces, of which one may not be read, of a kind that nothing works without.
#[tokio::test]
async fn a_namespace_that_may_not_be_read_costs_no_other() {
    for (knew, expected) in [(&[][..], "reset web"), (&[Kind::Ingress][..], "reset web web")] {
        let (_directory, state) = state(knew).await;
        let (sender, mut changes) = mpsc::channel(16);
        let contact = contact();
        let first = FirstLists::new(Kind::Ingress, 2);
        let [mut blog, mut refused] = ["blog", "default"].map(|namespace| {
            let part = part_of(namespace, &contact, Need::Kind, Some(Arc::clone(&state)));
            Feed::new(sender.clone(), Arc::clone(&contact), Arc::clone(&first), part)
        });
        // It goes on when the other one has come as far.
        let blog = tokio::spawn(async move {
            list_of(&mut blog, fixture::ingress("blog/web").object()).await.unwrap();
            blog.applied(fixture::ingress("blog/next").object()).await.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..5 {
            refused.failed(Trouble { code: Some(403), message: String::new() }).await.unwrap();
        }
        blog.await.unwrap();
        let mut found = told(&mut changes, 3).await;
        found.sort();
        // What a former run knew of it stays in force.
        assert_eq!(found, ["apply blog/next", "diagnostics KindRefused", expected]);
    }
}

/// The ConfigMap of the options may not be read, the others of a namespace may be.
#[tokio::test]
async fn what_may_guard_everything_is_never_done_without() {
    let (sender, mut changes) = mpsc::channel(16);
    let contact = contact();
    let first = FirstLists::new(Kind::Ingress, 2);
    let [mut options, mut others] =
        [("edgeward", Need::Scope), ("default", Need::Optional)].map(|(namespace, need)| {
            Feed::new(
                sender.clone(),
                Arc::clone(&contact),
                Arc::clone(&first),
                part_of(namespace, &contact, need, None),
            )
        });
    let others = tokio::spawn(async move { list_of(&mut others, fixture::ingress("web").object()).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..10 {
        options.failed(Trouble { code: Some(403), message: String::new() }).await.unwrap();
    }
    assert_eq!(told(&mut changes, 1).await, ["diagnostics KindRefused"]);
    list_of(&mut options, fixture::ingress("edgeward/options").object()).await.unwrap();
    others.await.unwrap().unwrap();
    let mut found = told(&mut changes, 2).await;
    found.sort();
    assert_eq!(found, ["diagnostics", "reset web options"]);
}

#[tokio::test]
async fn what_a_former_run_knew_is_not_believed_to_be_gone_at_once() {
    let (sender, mut changes) = mpsc::channel(16);
    let contact = contact();
    let (_directory, state) = state(&[Kind::Ingress]).await;
    let part = Part { state: Some(state), ..part(contact.add(Kind::Ingress, ""), Need::Kind) };
    let feed = Feed::new(sender, contact, FirstLists::new(Kind::Ingress, 1), part);
    let lists = vec![list(&[]), list(&["a"]), list(&["a"])];
    tokio::spawn(watch(Answers { lists, watches: vec![refusal(422)] }, feed));
    assert_eq!(told(&mut changes, 1).await, ["reset a"]);
}

/// Also where it was refused at first, and done without.
#[tokio::test]
async fn what_was_done_without_is_doubted_as_well_when_it_is_empty() {
    for is_whole in [true, false] {
        let (sender, _changes) = mpsc::channel(16);
        let contact = contact();
        contact.listed(contact.add(Kind::Service, ""));
        let (_directory, state) = state(&[Kind::Ingress]).await;
        let part = Part { is_whole, ..part_of("default", &contact, Need::Optional, Some(state)) };
        let mut feed = Feed::new(sender, contact, FirstLists::new(Kind::Ingress, 1), part);
        for _ in 0..2 {
            feed.failed(Trouble { code: Some(403), message: String::new() }).await.unwrap();
        }
        assert!(feed.has_listed() && feed.holds_objects().await, "whole: {is_whole}");
    }
}

#[test]
fn pauses_grow_and_are_short_again_after_a_while_without_failures() {
    let mut pauses = Pauses::new();
    let start = tokio::time::Instant::now();
    let mut after = |seconds: u64| pauses.after_failure(start + Duration::from_secs(seconds)).as_millis();
    let taken: Vec<_> = (0..8).map(|_| after(0)).collect();
    assert!((150..=250).contains(&taken[0]) && (3750..=6250).contains(&taken[7]), "{taken:?}");
    assert!(after(29) >= 3750);
    assert!(after(60) <= 250);
}

/// What a former run knew of each of these kinds.
async fn state(kinds: &[Kind]) -> (tempfile::TempDir, Arc<State>) {
    let directory = tempfile::tempdir().unwrap();
    let options = StateOptions { directory: directory.path().to_owned(), ..StateOptions::default() };
    let state = Arc::new(State::new(&options).unwrap());
    let (sender, receiver) = mpsc::channel(16);
    let (reconciler, _reconciled) = mpsc::channel(16);
    let recording = tokio::spawn(record(receiver, reconciler, Arc::clone(&state)));
    for kind in kinds {
        let object = match kind {
            Kind::Ingress => fixture::ingress("web").object(),
            _ => fixture::class("nginx", "x"),
        };
        sender.send(Change::Reset(*kind, vec![object])).await.unwrap();
    }
    drop(sender);
    recording.await.unwrap();
    (directory, state)
}

#[tokio::test]
async fn what_is_not_listed_in_time_is_recalled() {
    let both = [Kind::Ingress, Kind::IngressClass];
    // The API server does not answer: everything is recalled. It does: what is not listed yet has its time, unless it fails.
    for (answers, listed, failed, expected) in [
        (false, &[][..], &[][..], &both[..]),
        (true, &[][..], &[][..], &[][..]),
        (true, &[Kind::IngressClass][..], &[Kind::Ingress][..], &[Kind::Ingress][..]),
        (true, &[Kind::IngressClass][..], &[][..], &[][..]),
        (true, &both[..], &[][..], &[][..]),
    ] {
        let (_directory, state) = state(&both).await;
        let contact = contact();
        if answers {
            contact.answered();
        }
        for kind in both {
            let scope = contact.add(kind, "");
            if listed.contains(&kind) {
                contact.listed(scope);
            }
            if failed.contains(&kind) {
                contact.failed(scope, Trouble { code: None, message: String::new() });
            }
        }
        let (sender, mut changes) = mpsc::channel(16);
        tokio::spawn(recall::run(state, contact, sender));
        let mut found = Vec::new();
        while let Ok(Some(Change::Recall(kind, objects))) = timeout(Duration::from_secs(2), changes.recv()).await {
            assert_eq!(objects.len(), 1);
            found.push(kind);
        }
        assert_eq!(found, expected, "answers {answers}, listed {listed:?}, failed {failed:?}");
    }
}

#[test]
fn an_ingress_that_somebody_else_writes_too_is_left_alone_for_a_while() {
    let [ours, theirs] = ["192.0.2.1", "192.0.2.2"].map(|text| vec![text.parse::<Address>().unwrap()]);
    let now = tokio::time::Instant::now();
    let minute = Duration::from_secs(60);
    let known = |published: &[Address], written: Option<&[Address]>| status::Known {
        uid: String::new(),
        published: published.to_vec(),
        written: written.map(|written| (written.to_vec(), now)),
    };
    assert_eq!(known(&theirs, None).is_due(&ours, now), Ok(true));
    assert_eq!(known(&ours, Some(&ours)).is_due(&ours, now), Ok(false));
    assert_eq!(known(&theirs, Some(&ours)).is_due(&ours, now), Err(now + minute));
    assert_eq!(known(&theirs, Some(&ours)).is_due(&ours, now + minute), Ok(true));
    // Other addresses of our own are written at once.
    assert_eq!(known(&ours, Some(&ours)).is_due(&theirs, now), Ok(true));
    // And so is one that was deleted and made again: nobody else took anything away.
    let mut again = known(&ours, Some(&ours));
    let name = NamespacedName::new("shop", "web");
    again.observe(Observation { name, uid: "2".to_owned(), published: Vec::new() });
    assert_eq!(again.is_due(&ours, now), Ok(true));
}
