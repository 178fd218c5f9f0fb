//! A large site: 10,000 Ingresses with a host each, 1,000 certificates.

use std::time::{Duration, Instant};

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Keeper, Request, get};
use edgeward_tests::edgeward::{Launch, binary};
use edgeward_tests::manifest::{Ingress, Manifests, join, service, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

const INGRESSES: usize = 10_000;
const CERTIFICATES: usize = 1_000;
const SERVICES: usize = 100;

/// From the start of the process to the first answer.
const SERVING_WITHIN: Duration = Duration::from_secs(5);

/// From the write of a manifest to the first answer by its new route.
const VISIBLE_WITHIN: Duration = Duration::from_millis(100);

/// How much longer a build without full optimisation may take.
const UNOPTIMISED: u32 = 3;

const EDITS: usize = 15;

/// Between two edits: one edit is measured, not how a stream of them is gathered.
const PAUSE: Duration = Duration::from_millis(300);

/// Whether the binary under test is fully optimised.
pub(crate) fn is_release() -> bool {
    binary().components().any(|component| component.as_os_str() == "release")
}

fn host(number: usize) -> String {
    format!("host-{number}.scale.test")
}

fn ingress(number: usize, service: usize) -> Ingress {
    let name = host(number);
    let ingress = Ingress::new(&format!("ingress-{number}"))
        .annotation("ssl-redirect", "false")
        .path(&name, "Prefix", "/", &format!("service-{service}"))
        .path(&name, "Prefix", "/api", &format!("service-{service}"));
    // Certificates go to every tenth host, so that they lie all over the site.
    if number.is_multiple_of(INGRESSES / CERTIFICATES) {
        ingress.tls(&[&name], Some(&format!("secret-{number}")))
    } else {
        ingress
    }
}

fn file(number: usize) -> String {
    format!("{}/ingress-{number}.yaml", number / 1000)
}

/// The site, with one file for each Ingress and each Secret.
fn write(manifests: &Manifests, authority: &Authority, backends: &[Backend; 2]) {
    for number in 0..SERVICES {
        manifests.write(
            &format!("services/{number}.yaml"),
            service(&format!("service-{number}"), &[backends[number % 2].addr()]),
        );
    }
    for number in 0..INGRESSES {
        manifests.write(&file(number), ingress(number, number % SERVICES).text());
    }
    for number in (0..INGRESSES).step_by(INGRESSES / CERTIFICATES) {
        let pair = authority.pair(&host(number));
        manifests.write(&format!("secrets/{number}.yaml"), tls_secret(&format!("secret-{number}"), &pair));
    }
}

/// As a large release rendered into one file, with one mistake everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_in_every_ingress_of_one_file_does_not_hold_up_the_traffic() {
    const MANY: usize = 2_000;
    let _turn = turn::alone().await;
    let backend = Start::default().quiet().start("web").await;
    let manifests = Manifests::new();
    let mistaken = |number: usize| {
        Ingress::new(&format!("ingress-{number}")).annotation("no-such-thing", "x").host(&host(number), "web").text()
    };
    manifests.write("all.yaml", join([service("web", &[backend.addr()])].into_iter().chain((0..MANY).map(mistaken))));
    let edgeward = Launch::new(manifests.path()).access_log("off").start().await;
    let factor = if is_release() { 1 } else { UNOPTIMISED };
    assert!(edgeward.ready_after() < SERVING_WITHIN * factor, "ready only after {:?}", edgeward.ready_after());
    assert_eq!(get(edgeward.http, &host(MANY - 1), "/").await.status(), 200);
    let page = edgeward.diagnostics().await.json();
    let diagnostics = page["diagnostics"].as_array().expect("a list of diagnostics");
    assert_eq!(diagnostics.iter().filter(|diagnostic| diagnostic["location"]["line"].is_u64()).count(), MANY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_ingresses_and_a_thousand_certificates() {
    let _turn = turn::alone().await;
    let factor = if is_release() { 1 } else { UNOPTIMISED };
    let authority = Authority::new();
    let backends = [Start::default().quiet().start("even").await, Start::default().quiet().start("odd").await];
    let manifests = Manifests::new();
    write(&manifests, &authority, &backends);

    let started = Instant::now();
    let edgeward = Launch::new(manifests.path()).access_log("off").start().await;
    let mut client = Keeper::new(edgeward.http);
    let last = INGRESSES - 1;
    let answer = client.exchange(&Request::get(&host(last), "/api/x")).await;
    let serving_after = started.elapsed();
    assert_eq!((answer.status(), answer.backend()), (200, Some("odd")), "the last host");
    // Ready means everything: other hosts and certificates are there too.
    for number in (0..INGRESSES).step_by(997) {
        let answer = client.exchange(&Request::get(&host(number), "/")).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some(["even", "odd"][number % 2])), "{}", host(number));
    }
    for number in (0..INGRESSES).step_by(INGRESSES / CERTIFICATES * 97) {
        let hello = Hello::name(&host(number)).verify(authority.certificate());
        let mut secure = Connection::open_tls(edgeward.https, &hello).await;
        assert_eq!(secure.exchange(&Request::get(&host(number), "/")).await.status(), 200);
    }
    let resident = edgeward.resident_bytes();

    let mut delays = Vec::new();
    for edit in 0..EDITS {
        let number = edit * 479 + 3;
        // From an even Service to an odd one or back.
        let (service, wanted) = ((number + 1) % SERVICES, ["even", "odd"][(number + 1) % 2]);
        let text = ingress(number, service).text();
        tokio::time::sleep(PAUSE).await;
        let written = Instant::now();
        manifests.write(&file(number), text);
        let request = Request::get(&host(number), "/");
        while client.exchange(&request).await.backend() != Some(wanted) {
            assert!(written.elapsed() < edgeward_tests::PATIENCE, "the edit of {} is not taken up", host(number));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        delays.push(written.elapsed());
    }
    delays.sort_unstable();
    let (median, slowest) = (delays[EDITS / 2], delays[EDITS - 1]);
    eprintln!(
        "scale ({}): {INGRESSES} Ingresses and {CERTIFICATES} certificates served after {serving_after:?}, an edited \
         route visible after {median:?} (median of {EDITS}, slowest {slowest:?}), resident memory {} MiB, {} MiB after \
         the edits",
        if is_release() { "release" } else { "not a release build" },
        resident >> 20,
        edgeward.resident_bytes() >> 20,
    );
    assert!(serving_after < SERVING_WITHIN * factor, "serving only after {serving_after:?}");
    assert!(median < VISIBLE_WITHIN * factor, "an edited route is visible only after {median:?}");
    // A single edit may meet a busy machine; none may wait for a rescan.
    assert!(slowest < VISIBLE_WITHIN * factor * 5, "the slowest of {EDITS} edits took {slowest:?}");
}
