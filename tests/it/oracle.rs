//! Recorded behaviour of ingress-nginx 1.15.1, replayed.
//!
//! `tests/oracle/cases.json` holds what the real controller did; each case must do the same here, or stand in
//! `tests/oracle/differences.yaml` with the aspects that differ and the reason, or there in the list of what is not built
//! yet. An entry that no longer differs fails the test, so the file is the exact list of differences.
//!
//! `EDGEWARD_ORACLE=c133,c148` replays these cases alone, the ones that are not built yet too.

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
    let mut later = differences.later();
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
        // What differs is one of those that are not built yet, or wrong.
        match later.get_mut(outcome.case.as_str()) {
            Some(is_different) if asked.is_none() => *is_different = true,
            _ => wrong.push(differs),
        }
    }
    let unbuilt = later.len();
    eprintln!(
        "oracle: {} requests of {} cases: {same} the same, listed differences: {counts:?}, wrong: {}, cases not built yet: {unbuilt}",
        outcomes.len(),
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if asked.is_none() {
        assert!(unused.is_empty(), "differences.yaml lists requests that are not replayed: {unused:?}");
        later.retain(|_, is_different| !*is_different);
        assert!(later.is_empty(), "these are built, so take them out of `later`: {:?}", later.into_keys());
    }
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
