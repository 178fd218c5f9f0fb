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

use edgeward_tests::turn;
use tokio::sync::Mutex;

use case::Case;
use differences::{Differences, Kind};
use replay::{Outcome, Process};

/// The recorded addresses can be bound once: tests that use them take turns.
static ADDRESSES: Mutex<()> = Mutex::const_new(());

/// So many cases are in the recording.
const CASES: usize = 268;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle")
}

#[tokio::test]
async fn every_recorded_case_is_the_same_or_a_listed_difference() {
    let _turn = turn::shared().await;
    let _addresses = ADDRESSES.lock().await;
    let differences = Differences::load(&folder().join("differences.yaml"));
    let asked = std::env::var("EDGEWARD_ORACLE").ok();
    let all = case::load(&folder().join("cases.json"));
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

    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let (mut same, mut wrong) = (0, Vec::new());
    let mut unused: BTreeSet<(&str, usize)> = differences.requests();
    for outcome in &outcomes {
        let listed = differences.of(&outcome.case, outcome.request);
        unused.remove(&(outcome.case.as_str(), outcome.request));
        let aspects: BTreeSet<&str> = outcome.different.keys().map(String::as_str).collect();
        let differs = match listed {
            None if aspects.is_empty() => {
                same += 1;
                continue;
            }
            None => format!("{outcome}"),
            Some(difference) if aspects == difference.aspects() => {
                *counts.entry(difference.kind).or_default() += 1;
                continue;
            }
            Some(difference) => format!("listed with {:?}, but {outcome}", difference.aspects()),
        };
        wrong.push(differs);
    }
    eprintln!(
        "oracle: {} requests of {} cases: {same} the same, listed differences: {counts:?}, wrong: {}",
        outcomes.len(),
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if asked.is_none() {
        assert!(unused.is_empty(), "differences.yaml lists requests that are not replayed: {unused:?}");
        page_is(&differences.page(outcomes.len(), same));
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
