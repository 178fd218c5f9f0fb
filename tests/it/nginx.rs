//! Edgeward beside Debian's nginx: generated rules and requests.
//!
//! Each [case](case::Case) is written twice, as Ingresses and as the configuration that ingress-nginx's template would make
//! of them ([`template`]). Both proxies have the same backends behind them, and get the same requests: what they answer and
//! what they pass on is the same, or stands in `tests/nginx/differences.yaml` with its reason. An entry of which nothing differs
//! any more fails the test, and `docs/differences-nginx.md` is made from that file.
//!
//! `EDGEWARD_NGINX_SEED=7` generates other cases, of which the differences alone count; `EDGEWARD_NGINX_KEEP=DIRECTORY` keeps
//! the configuration and the log of nginx.

mod case;
mod compare;
mod dice;
mod differences;
mod groups;
mod process;
mod template;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use edgeward_tests::backend::{Backend, Recording, Start};
use edgeward_tests::client::{Connection, connect};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Manifests, secret, service};
use edgeward_tests::turn;
use serde_json::json;

use case::{Case, Probe, Times};
use compare::{Different, Seen};
use dice::Dice;
use differences::Differences;
use process::Nginx;

/// What decides on the cases, unless another seed is asked for.
const SEED: u64 = 46;

/// Services that rules name.
const SERVICES: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];

/// The backend that copies go to.
const MIRROR: &str = "mirror";

/// A Secret with the password `secret` of `alice`.
const USERS: &str = "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";

/// In this time a copy arrives, which nobody waits for.
const MIRRORED: Duration = Duration::from_millis(500);

#[tokio::test]
async fn generated_requests_get_from_edgeward_what_they_get_from_nginx() {
    let _turn = turn::alone().await;
    let asked = std::env::var("EDGEWARD_NGINX_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = asked.unwrap_or(SEED);
    let recording = Recording::default();
    let mut backends = Vec::new();
    for name in SERVICES.into_iter().chain([MIRROR]) {
        backends.push(Start::default().recording(&recording).start(name).await);
    }
    let mirror = backends[SERVICES.len()].addr();
    let cases = groups::all(&mut Dice::new(seed), mirror);
    let both = Both::start(&cases, &backends, recording).await;

    let started = Instant::now();
    let mut differences = Differences::load(&folder().join("differences.yaml"));
    let (mut requests, mut wrong) = (0, Vec::new());
    for case in &cases {
        for probe in &case.probes {
            requests += probe.times.count();
            let description = case.describe(probe);
            let unlisted = differences.unlisted(&description, both.compare(case, probe).await);
            for (aspect, (nginx, here)) in unlisted {
                wrong.push(format!("{}: {aspect}: {nginx:?} with nginx, {here:?} here\n{description}", case.name));
            }
        }
    }
    eprintln!("nginx: {requests} requests of {} cases in {:?}, seed {seed}", cases.len(), started.elapsed());
    let shown = wrong.len().min(SHOWN);
    assert!(wrong.is_empty(), "{} differences are not listed:\n\n{}", wrong.len(), wrong[..shown].join("\n"));
    if asked.is_none() {
        let unmet = differences.unmet();
        assert!(unmet.is_empty(), "{}", unmet.join("\n"));
        page_is(&differences.page(requests));
    }
}

/// So many differences are shown.
const SHOWN: usize = 60;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx")
}

/// The page of the docs says what the list says.
fn page_is(page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences-nginx.md");
    if std::env::var_os("EDGEWARD_UPDATE_DOCS").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/differences-nginx.md is out of date: run this test with EDGEWARD_UPDATE_DOCS=1");
}

/// Both proxies over the same backends.
struct Both {
    nginx: SocketAddr,
    edgeward: Edgeward,
    recording: Recording,
    _process: Nginx,
    _manifests: Manifests,
}

impl Both {
    async fn start(cases: &[Case], backends: &[Backend], recording: Recording) -> Self {
        let manifests = Manifests::new();
        manifests.write_all("services.yaml", backends.iter().map(|backend| service(backend.name(), &[backend.addr()])));
        manifests.write("users.yaml", secret("users", &json!({"auth": USERS})));
        manifests.write("users.htpasswd", USERS);
        for case in cases {
            manifests.write(&format!("{}.yaml", case.name), case.manifests());
        }
        let edgeward = Launch::new(manifests.path()).access_log("off").start().await;
        // Another address with the same port, so that what names the port is the same.
        let nginx = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), edgeward.http.port()));
        let layout = template::Layout {
            nginx,
            default: SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), nginx.port())),
            services: backends.iter().map(|backend| (backend.name().to_owned(), backend.addr())).collect(),
            users: manifests.file("users.htpasswd").display().to_string(),
        };
        let process = Nginx::start(&template::http(cases, &layout), nginx).await;
        Self { nginx, edgeward, recording, _process: process, _manifests: manifests }
    }

    /// What differs for a probe.
    async fn compare(&self, case: &Case, probe: &Probe) -> Different {
        let (nginx, edgeward) = (self.nginx, self.edgeward.http);
        let is_mirrored = case.ingresses.iter().any(|rules| rules.annotation("mirror-target").is_some());
        match probe.times {
            Times::Once => {
                let nginx = self.once(nginx, case, probe, is_mirrored).await;
                compare::one(&nginx, &self.once(edgeward, case, probe, is_mirrored).await)
            }
            Times::InARow(count) => {
                let in_a_row = async |addr| {
                    let mut statuses = Vec::new();
                    for _ in 0..count {
                        statuses.push(status(addr, case, probe).await);
                    }
                    statuses
                };
                compare::counts(&in_a_row(nginx).await, &in_a_row(edgeward).await, 0)
            }
            Times::AtOnce(count) => {
                let at_once = async |addr| {
                    let all = (0..count).map(|_| status(addr, case, probe));
                    futures_util::future::join_all(all).await
                };
                compare::counts(&at_once(nginx).await, &at_once(edgeward).await, 0)
            }
            Times::Paced(count, pace) => {
                let (mut nginx_statuses, mut statuses) = (Vec::new(), Vec::new());
                let mut ticks = tokio::time::interval(pace);
                for _ in 0..count {
                    ticks.tick().await;
                    let (with_nginx, here) =
                        futures_util::future::join(status(nginx, case, probe), status(edgeward, case, probe)).await;
                    nginx_statuses.push(with_nginx);
                    statuses.push(here);
                }
                // A tick that comes late may fall into the next turn of one of them alone.
                compare::counts(&nginx_statuses, &statuses, 1)
            }
        }
    }

    async fn once(&self, addr: SocketAddr, case: &Case, probe: &Probe, is_mirrored: bool) -> Seen {
        self.recording.take();
        let stream = connect(addr, Some(probe.source.into())).await.unwrap();
        let answer = Connection::over(stream).try_exchange(&case.request(probe)).await.ok();
        let mut received = self.recording.take();
        let started = Instant::now();
        // There is a copy only of what somebody got.
        let is_passed_on = answer.as_ref().is_some_and(|answer| answer.backend().is_some());
        while is_mirrored && is_passed_on && started.elapsed() < MIRRORED {
            if received.iter().any(|received| received.backend == MIRROR) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            received.extend(self.recording.take());
        }
        Seen { answer, received }
    }
}

/// The status of a request on a connection of its own; 0 for no answer.
async fn status(addr: SocketAddr, case: &Case, probe: &Probe) -> u16 {
    let stream = connect(addr, Some(probe.source.into())).await.unwrap();
    let answer = Connection::over(stream).try_exchange(&case.request(probe)).await;
    answer.map_or(0, |answer| answer.status())
}
