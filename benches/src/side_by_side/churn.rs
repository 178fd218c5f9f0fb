//! Changes under load: what requests notice of endpoints and routes that come and go all the time.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::args::Args;
use crate::cpu::Account;
use crate::load::{Bench, Run};
use crate::measure::Measured;
use crate::process::Process;
use crate::report::{Measurement, Quantity};
use crate::row::{Load, Request, SMALL};
use crate::site::{self, Origins, Site, Table};
use crate::subject::{self, Kind, Subject};
use crate::{manifests, probe};

/// The time between two changes of the endpoints: 50 a second.
const PERIOD: Duration = Duration::from_millis(20);

/// A route changes with every tenth change of the endpoints: 5 a second.
const ENDPOINTS_PER_ROUTE: usize = 10;

/// The hosts whose routes change, in turn; the load is for none of them.
const CHANGING: usize = 10;

/// How long the last change may take to be in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// The least share of the origins' work that each of the two must have had.
const SHARE: f64 = 0.2;

const LOAD: Load = Load::OpenLoop { connections: 32 };

/// Edgeward with a Service whose endpoint is now one origin, now another.
#[derive(Debug)]
pub(crate) struct Churn<'a> {
    args: &'a Args,
    site: Site,
    /// Where the same changes are made in the load without changes, which nobody sees: what it takes to make them is not
    /// Edgeward's.
    unseen: TempDir,
    edgeward: Subject,
    origins: [(SocketAddr, Process); 2],
}

impl Measured for Churn<'_> {
    fn kind(&self) -> Kind {
        self.edgeward.kind
    }
}

impl<'a> Churn<'a> {
    /// Starts everything.
    pub(crate) fn new(args: &'a Args, origins: Origins, hosts: u32) -> Result<Self> {
        let (one, other) = (site::free_address()?, site::free_address()?);
        let site = Site::new(Table::with_hosts(hosts), Origins { http: one, ..origins })?;
        let start = |address| subject::start_origin(&site, args, address);
        let origins = [(one, start(one)?), (other, start(other)?)];
        let edgeward = subject::start(Kind::Edgeward, &site, args, SMALL.path)?;
        let unseen = tempfile::tempdir()?;
        std::fs::create_dir(unseen.path().join("manifests"))?;
        Ok(Self { args, site, unseen, edgeward, origins })
    }

    /// The load without changes, and with them. What is wrong is told beside it.
    pub(crate) fn measure(&self) -> Result<(Measurement, Option<String>)> {
        let (quiet, _) = self.load_beside_changes(self.unseen.path())?;
        let mut origins =
            self.origins.each_ref().map(|(_, process)| Account::new(process.family(), self.args.proxy_cpu));
        for origin in &mut origins {
            origin.begin()?;
        }
        let (restless, routes) = self.load_beside_changes(self.site.root())?;
        for origin in &mut origins {
            origin.end()?;
        }
        let work = origins.map(|origin| origin.spent().used);
        let share = work.iter().copied().fold(f64::INFINITY, f64::min) / work.iter().sum::<f64>();
        ensure!(share > SHARE, "one of the two origins had only {:.0} % of the requests", share * 100.0);
        self.is_in_force(routes)?;
        let p99 = |run: &Run| run.outcome.latency.map_or(f64::NAN, |latency| latency.p99.as_secs_f64() * 1e6);
        let mut measurement = restless.measurement(LOAD.saturates());
        measurement.values.extend([
            (Quantity::Added, (restless.spent.share() - quiet.spent.share()) * 100.0),
            (Quantity::QuietP99, p99(&quiet)),
            (Quantity::Inflation, p99(&restless) / p99(&quiet)),
        ]);
        let quietly = quiet.fault.map(|fault| format!("without changes: {fault}"));
        Ok((measurement, restless.fault.or(quietly)))
    }

    /// The load, and how many times a route was changed meanwhile in the manifests below this directory.
    fn load_beside_changes(&self, root: &Path) -> Result<(Run, usize)> {
        let target = self.edgeward.target(&self.site, SMALL)?;
        let stop = AtomicBool::new(false);
        let (run, routes) = std::thread::scope(|scope| {
            let changes = scope.spawn(|| self.change_until(&stop, root));
            let run = Bench { args: self.args, load: LOAD }.run(&target, Some(&self.edgeward.process));
            stop.store(true, Ordering::Relaxed);
            (run, changes.join().unwrap_or_else(|_| bail!("the thread that makes changes panicked")))
        });
        Ok((run?, routes?))
    }

    /// Makes changes, and returns how many times it changed a route.
    fn change_until(&self, stop: &AtomicBool, root: &Path) -> Result<usize> {
        let began = Instant::now();
        let mut routes = 0;
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            count += 1;
            let endpoints = manifests::endpoints("origin", self.origins[count % 2].0);
            replace(root, "endpoints", &endpoints)?;
            if count % ENDPOINTS_PER_ROUTE == 0 {
                change_route(root, routes)?;
                routes += 1;
            }
            // One that comes late is no reason for the next to.
            let next = PERIOD * u32::try_from(count)?;
            std::thread::sleep(next.saturating_sub(began.elapsed()));
        }
        Ok(routes)
    }

    /// Whether the last of `routes` changes is in force, or soon is: else all others may have been passed over as well.
    fn is_in_force(&self, routes: usize) -> Result<()> {
        let Some(last) = routes.checked_sub(1) else { bail!("no route was changed") };
        let (host, path) = changing_route(last);
        let mut target = self.edgeward.target(&self.site, Request { path, ..SMALL })?;
        target.host = host;
        let deadline = Instant::now() + IN_FORCE;
        while let Err(error) = probe::ask(&target) {
            ensure!(Instant::now() < deadline, "the last change is not in force: {error:#}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn change_route(root: &Path, number: usize) -> Result<()> {
    let (host, path) = changing_route(number);
    replace(root, &host, &manifests::ingress(&host, &[path.to_owned()], "certificate"))
}

/// Writes a manifest so that nobody ever sees a part of it.
fn replace(root: &Path, name: &str, text: &str) -> Result<()> {
    let (new, to) = (root.join("new"), root.join(format!("manifests/{name}.yaml")));
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(new, &to))
        .with_context(|| format!("cannot replace {}", to.display()))
}

/// The host and the one path that it has from a change on.
fn changing_route(number: usize) -> (String, &'static str) {
    let path = if (number / CHANGING).is_multiple_of(2) { "/even/130B" } else { "/odd/130B" };
    (format!("c{:02}.bench.test", number % CHANGING), path)
}
