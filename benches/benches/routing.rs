//! What a lookup in the route table and a whole decision cost, by the size of the table and the spread of requests.
//!
//! `cargo bench -p edgeward-benches --bench routing`. The largest table (a million routes) needs about 1 GiB.

#![allow(missing_docs, reason = "criterion's macros make public functions without documentation")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use edgeward_routing::Snapshot;
use edgeward_routing::attachment::Attachment;
use edgeward_routing::backend::{Backend, BackendId, BackendKey, Backends, LoadBalance};
use edgeward_routing::decide::{Downstream, RequestHead, decide};
use edgeward_routing::endpoint::{Endpoint, Readiness};
use edgeward_routing::host::HostPattern;
use edgeward_routing::origin::Origin;
use edgeward_routing::path::{PathPattern, TrailingSlash};
use edgeward_routing::policy::{Policies, SslRedirect};
use edgeward_routing::route::{Route, Target};
use edgeward_routing::settings::Settings;
use edgeward_routing::table::RouteTable;

/// The allocator of the program: where routes lie, and what a request's strings cost beside a million of them, is its work.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many different requests a measurement goes through: a power of two, more than fit a core's caches.
const REQUESTS: usize = 1 << 16;

/// How many requests are at hand: each is in the caches when its route is looked up, for it was just read.
const BATCH: BatchSize = BatchSize::NumIterations(64);

/// How requests are spread over hosts and paths.
#[derive(Clone, Copy)]
enum Spread {
    /// All are equally likely: the caches help least.
    Uniform,
    /// The n-th is 1/n as likely as the first, as real traffic nearly is.
    Zipf,
}

impl Spread {
    const ALL: [(&'static str, Self); 2] = [("zipf", Self::Zipf), ("uniform", Self::Uniform)];

    /// `REQUESTS` draws out of `0..count`.
    fn draw(self, random: &mut fastrand::Rng, count: usize) -> Vec<usize> {
        match self {
            Self::Uniform => (0..REQUESTS).map(|_| random.usize(..count)).collect(),
            Self::Zipf => {
                let mut sum = 0.0;
                let cumulative: Vec<f64> = (1..=count)
                    .map(|rank| {
                        sum += 1.0 / rank as f64;
                        sum
                    })
                    .collect();
                let rank = |at: f64| cumulative.partition_point(|up_to| *up_to < at).min(count - 1);
                // Popular ranks must not lie side by side in the table.
                let mut shuffled: Vec<usize> = (0..count).collect();
                random.shuffle(&mut shuffled);
                (0..REQUESTS).map(|_| shuffled[rank(random.f64() * sum)]).collect()
            }
        }
    }
}

fn host(index: usize) -> String {
    format!("host{index:06}.example.com")
}

fn path(index: usize) -> String {
    format!("/api/v1/service{index:05}")
}

fn route(host: &str, path: &str, origin: &Origin) -> Route {
    // One object for all of which they are equal, as translation has it.
    static POLICIES: LazyLock<Arc<Policies>> =
        LazyLock::new(|| Arc::new(Policies { ssl_redirect: SslRedirect::WithCertificate, ..Policies::default() }));
    Route {
        host: HostPattern::Exact(host.into()),
        path: PathPattern::Prefix(path.into()),
        target: Target::Backend(BackendId(0)),
        policies: Arc::clone(&POLICIES),
        origin: origin.clone(),
        service: "web".into(),
        fallback: false,
        metrics: Attachment::default(),
    }
}

/// A table of `hosts` hosts with `paths` paths each.
fn table(hosts: usize, paths: usize) -> RouteTable {
    let origin = Origin::object("Ingress", "default", "web");
    let routes = (0..hosts).flat_map(|h| {
        let (host, origin) = (host(h), &origin);
        (0..paths).map(move |p| route(&host, &path(p), origin))
    });
    RouteTable::new(routes, TrailingSlash::Redirect, |_| true)
}

/// Endless requests for a table: a host of it, and a path two elements below one of its rules. Only their numbers are drawn in
/// advance: texts that lie ready by the ten thousand would take the caches from the table, which those of a proxy's buffers do
/// not.
fn requests(hosts: usize, paths: usize, spread: Spread) -> impl FnMut() -> (String, String) {
    let mut random = fastrand::Rng::with_seed(7);
    let hosts = spread.draw(&mut random, hosts).into_iter().map(|number| number as u32);
    let numbers: Vec<(u32, u32)> = hosts.zip(spread.draw(&mut random, paths).into_iter().map(|n| n as u32)).collect();
    let mut next = 0;
    move || {
        next += 1;
        let (h, p) = numbers[next % REQUESTS];
        (host(h as usize), path(p as usize) + "/orders/17")
    }
}

/// A request as a browser sends it.
struct Head {
    host: String,
    target: String,
    headers: [(&'static str, &'static str); 6],
}

impl Head {
    fn new((host, target): (String, String)) -> Self {
        let headers = [
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("cookie", "session=0123456789abcdef; theme=dark"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        Self { host, target, headers }
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn authority(&self) -> Option<&str> {
        Some(&self.host)
    }

    fn requires_authority(&self) -> bool {
        true
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.headers.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }
}

fn snapshot(routes: RouteTable) -> Snapshot {
    let key = BackendKey { namespace: "default".into(), service: "web".into(), port: "80".into() };
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let backend = Backend {
        name: key.to_string().into(),
        key,
        load_balance: LoadBalance::RoundRobin,
        health_check: None,
        affinity: None,
        canary: None,
        is_service_upstream: false,
        slow_start: std::time::Duration::ZERO,
        endpoints: [Endpoint { addr, readiness: Readiness::Ready, state: Arc::default() }].into(),
        cursor: Arc::default(),
        ring: Attachment::default(),
    };
    Snapshot {
        generation: 1,
        routes: Arc::new(routes),
        backends: Arc::new(Backends::new(vec![Arc::new(backend)])),
        ..Snapshot::empty(Settings::default())
    }
}

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    for (hosts, paths) in [(1, 10), (1_000, 10), (100_000, 10), (1, 10_000)] {
        let table = table(hosts, paths);
        for (name, spread) in Spread::ALL {
            let mut request = requests(hosts, paths, spread);
            group.bench_function(BenchmarkId::new(name, format!("{hosts} hosts x {paths} paths")), |b| {
                let find = |(host, path): &mut (String, String)| {
                    black_box(table.find(black_box(host), black_box(path.as_bytes())));
                };
                b.iter_batched_ref(&mut request, find, BATCH);
            });
        }
    }
    let table = table(1, 10_000);
    let host = host(0);
    for (name, path) in [
        ("first", path(0)),
        ("last", path(9_999)),
        ("longer than a path", path(9_999) + "0/orders"),
        ("no path", "/api/v2".to_owned()),
        ("many elements", "/api/v1/".to_owned() + &"a/".repeat(100)),
    ] {
        group.bench_function(BenchmarkId::new(name, "1 hosts x 10000 paths"), |b| {
            b.iter(|| black_box(table.find(black_box(&host), black_box(path.as_bytes()))));
        });
    }
    group.finish();
}

fn decision(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for hosts in [1, 1_000, 100_000] {
        let snapshot = snapshot(table(hosts, 10));
        let mut request = requests(hosts, 10, Spread::Zipf);
        for (name, tls) in [("proxy", true), ("redirect to https", false)] {
            let downstream = Downstream { client: IpAddr::from([192, 0, 2, 7]), tls, port: if tls { 443 } else { 80 } };
            group.bench_function(BenchmarkId::new(name, format!("{hosts} hosts x 10 paths")), |b| {
                let read = || Head::new(request());
                // What is decided is dropped here, within what is timed.
                let decide = |head: &mut Head| {
                    black_box(decide(&snapshot, &downstream, black_box(head)));
                };
                b.iter_batched_ref(read, decide, BATCH);
            });
        }
    }
    group.finish();
}

/// What a publication of all routes costs: the index is built anew.
fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for hosts in [1_000, 10_000] {
        let origin = Origin::object("Ingress", "default", "web");
        let routes: Vec<Arc<Route>> = (0..hosts)
            .flat_map(|h| (0..10).map(move |p| (h, p)))
            .map(|(h, p)| Arc::new(route(&host(h), &path(p), &origin)))
            .collect();
        group.bench_function(format!("{hosts} hosts x 10 paths"), |b| {
            b.iter(|| RouteTable::new(routes.iter().cloned(), TrailingSlash::Redirect, |_| true));
        });
    }
    group.finish();
}

/// What a publication of a few hosts among many costs: the others are shared with the table before.
fn replace(c: &mut Criterion) {
    let mut group = c.benchmark_group("replace");
    group.sample_size(20);
    let old = table(100_000, 1);
    for (name, first) in [("3 known", 50_000), ("3 new", 100_000)] {
        let origin = Origin::object("Ingress", "default", "web");
        let routes = (first..first + 3).map(|index| route(&host(index), "/new", &origin));
        let new: Vec<_> = RouteTable::new(routes, TrailingSlash::Redirect, |_| true).hosts().cloned().collect();
        let replaced: BTreeSet<HostPattern> = new.iter().map(|routes| routes.host.clone()).collect();
        group.bench_function(format!("{name} of 100000 hosts"), |b| {
            b.iter_with_large_drop(|| old.with(&replaced, new.clone()));
        });
    }
    group.finish();
}

criterion_group!(routing, lookup, decision, build, replace);
criterion_main!(routing);
