//! Recorded behaviour of ingress-nginx 1.15.1, replayed.
//!
//! `tests/oracle/cases.json` holds what the real controller did; each case must do the same here, or stand in
//! `tests/oracle/differences.yaml` with the aspects that differ and the reason. An entry that no longer differs fails the
//! test, so the file is the exact list of differences, and `docs/differences.md` is made from it.
//!
//! `EDGEWARD_ORACLE=c133,c148` replays these cases alone.

mod backends;
mod case;
mod compare;
mod differences;
mod replay;
mod sequences;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use edgeward_tests::edgeward::is_on_pingora;
use edgeward_tests::turn;
use tokio::sync::{Mutex, OnceCell};

pub(crate) use case::Case;
use differences::{Differences, Kind};
use replay::{Outcome, Process};

/// The recorded addresses can be bound once: tests that use them take turns.
static ADDRESSES: Mutex<()> = Mutex::const_new(());

/// So many cases are in the recording.
const CASES: usize = 268;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle")
}

/// What replaying the recording gave: done once for all tests that look at it.
static REPLAY: OnceCell<Replay> = OnceCell::const_new();

/// The recording and what became of its requests here.
#[derive(Debug)]
pub(crate) struct Replay {
    cases: Vec<Case>,
    differences: Differences,
    outcomes: Vec<Outcome>,
}

/// What the requests of one row of the semantics came to.
#[derive(Debug, Default)]
pub(crate) struct OfRow {
    /// How many are the same in every aspect that was recorded.
    pub(crate) same: usize,
    /// How many differ as listed.
    pub(crate) listed: usize,
    /// What is wrong with the others.
    pub(crate) wrong: Vec<String>,
}

/// What a request came to.
enum Verdict {
    /// In every aspect that was recorded.
    Same,
    Listed,
    Wrong(String),
}

/// The replayed recording.
///
/// # Panics
///
/// When the recording or the list of differences cannot be read, or Edgeward does not start.
pub(crate) async fn replay() -> &'static Replay {
    REPLAY.get_or_init(Replay::run).await
}

/// The cases that are asked for, where not all are.
fn asked() -> Option<String> {
    std::env::var("EDGEWARD_ORACLE").ok()
}

impl Replay {
    async fn run() -> Self {
        let _turn = turn::shared().await;
        let _addresses = ADDRESSES.lock().await;
        let differences = Differences::load(&folder().join("differences.yaml"));
        let asked = asked();
        let all = recording();
        assert_eq!(all.len(), CASES, "the recording has changed");
        let is_asked = |case: &Case| asked.as_deref().is_none_or(|ids| ids.split(',').any(|id| id == case.id));
        let cases: Vec<Case> = all.into_iter().filter(is_asked).collect();

        let backends = backends::start().await;
        let mut outcomes: Vec<Outcome> = Vec::new();
        for (configmap, batch) in batches(&cases, &differences) {
            let process = Process::start(&configmap, &batch).await;
            for case in batch {
                outcomes.extend(process.replay(case, &backends).await);
            }
        }
        Self { cases, differences, outcomes }
    }

    fn verdict(&self, outcome: &Outcome) -> Verdict {
        let listed = self.differences.of(&outcome.case, outcome.request);
        let aspects: BTreeSet<&str> = outcome.different.keys().map(String::as_str).collect();
        match listed {
            None if aspects.is_empty() => Verdict::Same,
            None => Verdict::Wrong(format!("{outcome}")),
            Some(difference) if aspects == difference.aspects() => match difference.kind {
                Kind::Unrecorded => Verdict::Same,
                Kind::Deliberate => Verdict::Listed,
            },
            Some(difference) => Verdict::Wrong(format!("listed with {:?}, but {outcome}", difference.aspects())),
        }
    }

    /// What the requests of the cases about one row of the semantics came to.
    ///
    /// # Panics
    ///
    /// When only some cases were asked for, so that nothing can be said of a row.
    pub(crate) fn row(&self, row: u8) -> OfRow {
        assert_eq!(asked(), None, "EDGEWARD_ORACLE leaves cases out: rows need all of them");
        let ids: BTreeSet<&str> =
            self.cases.iter().filter(|case| case.rows.contains(&row)).map(|case| case.id.as_str()).collect();
        let mut of_row = OfRow::default();
        for outcome in self.outcomes.iter().filter(|outcome| ids.contains(outcome.case.as_str())) {
            match self.verdict(outcome) {
                Verdict::Same => of_row.same += 1,
                Verdict::Listed => of_row.listed += 1,
                Verdict::Wrong(what) => of_row.wrong.push(what),
            }
        }
        of_row
    }
}

/// The cases of the recording.
pub(crate) fn recording() -> Vec<Case> {
    case::load(&folder().join("cases.json"))
}

#[tokio::test]
async fn every_recorded_case_is_the_same_or_a_listed_difference() {
    let replay = replay().await;
    let (mut same, mut listed, mut wrong) = (0, 0, Vec::new());
    let mut unused: BTreeSet<(&str, usize)> = replay.differences.requests();
    for outcome in &replay.outcomes {
        unused.remove(&(outcome.case.as_str(), outcome.request));
        match replay.verdict(outcome) {
            Verdict::Same => same += 1,
            Verdict::Listed => listed += 1,
            Verdict::Wrong(what) => wrong.push(what),
        }
    }
    let (requests, cases) = (replay.outcomes.len(), replay.cases.len());
    eprintln!(
        "oracle: {requests} requests of {cases} cases: {same} the same, {listed} differ as listed, wrong: {}",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if asked().is_none() {
        assert!(unused.is_empty(), "differences.yaml lists requests that are not replayed: {unused:?}");
    }
    if asked().is_none() && !is_on_pingora() {
        page_is(&replay.differences.page(requests, same));
    }
}

/// The page of the docs says what the list says.
fn page_is(page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences.md");
    if std::env::var_os("EDGEWARD_UPDATE_DOCS").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/differences.md is out of date: run this test with EDGEWARD_UPDATE_DOCS=1");
}

/// Cases that can share a process: the ones with the same ConfigMap that were not recorded alone.
fn batches<'c>(cases: &'c [Case], differences: &Differences) -> Vec<(BTreeMap<String, String>, Vec<&'c Case>)> {
    let mut shared: BTreeMap<BTreeMap<String, String>, Vec<&Case>> = BTreeMap::new();
    let mut batches = Vec::new();
    for case in cases {
        let mut configmap = case.configmap.clone();
        configmap.extend(differences.adapted(&case.id));
        if case.isolated {
            batches.push((configmap, vec![case]));
        } else {
            shared.entry(configmap).or_default().push(case);
        }
    }
    batches.extend(shared);
    batches
}
