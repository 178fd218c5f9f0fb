//! Recorded behaviour of ingress-nginx 1.15.1, replayed.
//!
//! `tests/oracle/cases.json` holds what the real controller did; each case in scope must do the same here, or stand in
//! `tests/oracle/differences.yaml` with the aspects that differ and the reason. An entry that no longer differs fails
//! the test, so the file is the exact list of differences.
//!
//! `EDGEWARD_ORACLE=all` (or a list such as `c133,c148`) replays other cases and shows what differs.

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

/// Groups whose cases are in scope when they use no other annotation than these.
const GROUPS: &[&str] = &["host", "path", "conflict", "ssl", "headers"];

const ANNOTATIONS: &[&str] = &[
    "backend-protocol",
    "force-ssl-redirect",
    "ingress.class",
    "load-balance",
    "proxy-body-size",
    "proxy-connect-timeout",
    "proxy-read-timeout",
    "proxy-send-timeout",
    "ssl-redirect",
    "upstream-hash-by",
];

/// So many cases are in scope.
const CASES: usize = 46;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle")
}

fn in_scope(case: &Case) -> bool {
    GROUPS.contains(&case.group.as_str())
        && case.annotations.iter().all(|name| ANNOTATIONS.contains(&name.rsplit('/').next().unwrap_or(name)))
}

#[tokio::test]
async fn every_recorded_case_in_scope_is_the_same_or_a_listed_difference() {
    let _turn = turn::shared().await;
    let _addresses = ADDRESSES.lock().await;
    let differences = Differences::load(&folder().join("differences.yaml"));
    let asked = std::env::var("EDGEWARD_ORACLE").ok();
    let cases: Vec<Case> = case::load(&folder().join("cases.json"))
        .into_iter()
        .filter(|case| match asked.as_deref() {
            Some("all") => true,
            Some(ids) => ids.split(',').any(|id| id == case.id),
            None => in_scope(case),
        })
        .collect();
    if asked.is_none() {
        assert_eq!(cases.len(), CASES, "the recording or the scope has changed");
    }

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
        match listed {
            None if aspects.is_empty() => same += 1,
            None => wrong.push(format!("{outcome}")),
            Some(difference) if aspects == difference.aspects() => *counts.entry(difference.kind).or_default() += 1,
            Some(difference) => {
                wrong.push(format!("listed with {:?}, but {outcome}", difference.aspects()));
            }
        }
    }
    eprintln!(
        "oracle: {} requests of {} cases: {same} the same, listed differences: {counts:?}, unlisted: {}",
        outcomes.len(),
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if asked.is_none() {
        assert!(unused.is_empty(), "differences.yaml lists requests that are not replayed: {unused:?}");
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
