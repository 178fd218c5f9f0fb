//! A change takes effect for the next request and never for half of one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::client::{Request, wait_for};
use edgeward_tests::edgeward::Launch;
use edgeward_tests::load::{Load, Plan, Shot, Workload};
use edgeward_tests::manifest::{Ingress, Manifests, join, service};
use edgeward_tests::message::Message;
use edgeward_tests::turn;

const GENERATIONS: u64 = 100;

/// Requests per second.
const RATE: u32 = 2000;
const HOSTS: [&str; 2] = ["one.change.test", "two.change.test"];

/// Bytes of a POST: more than even generations allow, less than odd ones do.
const BODY: usize = 4096;

/// One generation of the site, as one Ingress: both hosts lead to backends of that generation, and its number decides
/// how large a body may be. Names are chosen so that the order of Services, and with it every index that a proxy might
/// keep, differs from one generation to the next.
fn generation(number: u64, backends: &[[Backend; 2]]) -> String {
    let pair = &backends[usize::try_from(number).unwrap()];
    let names: Vec<String> =
        (0..2).map(|host| format!("s{}-{}", (number * 37 + host * 11) % 101, pair[host as usize].name())).collect();
    let limit = if number.is_multiple_of(2) { "1k" } else { "8k" };
    join([
        Ingress::new("site")
            .annotation("proxy-body-size", limit)
            .host(HOSTS[0], &names[0])
            .host(HOSTS[1], &names[1])
            .text(),
        service(&names[0], &[pair[0].addr()]),
        service(&names[1], &[pair[1].addr()]),
    ])
}

/// Requests to both hosts in turn, a tenth of them POST.
///
/// A request that starts after another one has seen generation N must not see one before N. The host and the limit of
/// the body must be those of the generation whose backend answers.
#[derive(Debug, Default)]
struct Consistent {
    newest_seen: AtomicU64,
    first_seen: Mutex<BTreeMap<u64, Instant>>,
    refused: AtomicU64,
}

impl Workload for Consistent {
    fn shot(&self, number: usize) -> Shot {
        let host = HOSTS[number % 2];
        let (method, request) = if number % 10 < 2 {
            ("POST", Request::post(host, "/", vec![b'x'; BODY]))
        } else {
            ("GET", Request::get(host, "/"))
        };
        let context = self.newest_seen.load(Ordering::SeqCst) * 2 + (number as u64 % 2);
        Shot { method, bytes: request.bytes(), context }
    }

    fn judge(&self, shot: &Shot, answer: &Message) -> Result<(), String> {
        let (floor, host) = (shot.context / 2, shot.context % 2);
        if shot.method == "POST" && answer.status() == 413 {
            // Some even generation answered; which one does not show.
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if answer.status() != 200 {
            return Err(format!("{} {}", shot.method, answer.status()));
        }
        let backend = answer.backend().unwrap_or("none");
        let (of_host, generation) = backend
            .split_once('-')
            .and_then(|(host, generation)| Some((host, generation.parse::<u64>().ok()?)))
            .ok_or_else(|| format!("answered by {backend}"))?;
        if of_host != ["one", "two"][host as usize] {
            return Err("torn: a host is answered by the other one's backend".to_owned());
        }
        if generation < floor {
            return Err("torn: an older generation than one seen before".to_owned());
        }
        if shot.method == "POST" && generation.is_multiple_of(2) {
            return Err("torn: the backend of one generation behind the limit of another".to_owned());
        }
        if self.newest_seen.fetch_max(generation, Ordering::SeqCst) < generation {
            self.first_seen.lock().unwrap().entry(generation).or_insert_with(Instant::now);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_route_changes_under_load_fail_and_tear_no_request() {
    let _turn = turn::alone().await;
    let mut backends = Vec::new();
    for number in 0..=GENERATIONS {
        let quiet = || Start::default().quiet();
        backends.push([quiet().start(&format!("one-{number}")).await, quiet().start(&format!("two-{number}")).await]);
    }
    let manifests = Manifests::new();
    manifests.write("site.yaml", generation(0, &backends));
    let edgeward = Launch::new(manifests.path()).access_log("off").start().await;
    wait_for(edgeward.http, &Request::get(HOSTS[0], "/"), |answer| answer.status() == 200).await;

    let workload = Arc::new(Consistent::default());
    let plan = Plan { addr: edgeward.http, rate: RATE, connections: 50, requests: 1_000_000 };
    let started = Instant::now();
    let load = Load::start(plan, workload.clone());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut written = BTreeMap::new();
    for number in 1..=GENERATIONS {
        written.insert(number, Instant::now());
        manifests.write("site.yaml", generation(number, &backends));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let deadline = Instant::now() + edgeward_tests::PATIENCE;
    while workload.newest_seen.load(Ordering::SeqCst) < GENERATIONS && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    load.stop();
    let due = started.elapsed().as_millis() * u128::from(RATE) / 1000;
    let report = load.report().await;

    let first_seen = workload.first_seen.lock().unwrap();
    let mut delays: Vec<Duration> =
        first_seen.iter().filter_map(|(number, at)| Some(at.duration_since(*written.get(number)?))).collect();
    delays.sort_unstable();
    eprintln!(
        "atomic change: {report}; {} of {GENERATIONS} changes seen, {} bodies refused, write to first answer p50 {:?} max {:?}",
        delays.len(),
        workload.refused.load(Ordering::Relaxed),
        delays.get(delays.len() / 2),
        delays.last()
    );
    report.assert_clean();
    assert!(
        report.sent as u128 * 10 > due * 9,
        "only {} of {due} requests were sent: no load worth the name",
        report.sent
    );
    assert_eq!(workload.newest_seen.load(Ordering::SeqCst), GENERATIONS, "the last change is not served");
    // Changes that follow each other quickly may be taken in together, but they are 100 ms apart.
    assert!(delays.len() >= 90, "only {} of {GENERATIONS} changes were seen", delays.len());
    assert!(workload.refused.load(Ordering::Relaxed) > 0, "no even generation refused a body");
}
