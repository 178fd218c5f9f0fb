#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{CONCURRENCY, Resolution, canonical_name, run};

const REFRESH: Duration = Duration::from_millis(30);

fn names(names: &[&str]) -> BTreeSet<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

#[test]
fn a_failure_keeps_the_addresses_and_an_answer_clears_it() {
    let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let mut resolution = Resolution::default();
    for (answer, changed, addresses, failed) in [
        (Err("refused".to_owned()), true, vec![], true),
        (Ok(vec![b, a, b]), true, vec![a, b], false),
        (Ok(vec![a, b]), false, vec![a, b], false),
        (Err("refused".to_owned()), true, vec![a, b], true),
        (Err("refused".to_owned()), false, vec![a, b], true),
        (Ok(vec![]), true, vec![a, b], true),
        (Ok(vec![b]), true, vec![b], false),
    ] {
        assert_eq!(resolution.record(answer.clone()), changed, "{answer:?}");
        assert_eq!((&resolution.addresses, resolution.failure.is_some()), (&addresses, failed), "{answer:?}");
    }
}

#[test]
fn names_are_compared_without_case_and_trailing_dot() {
    assert_eq!(&*canonical_name("Db.Example."), "db.example");
}

#[tokio::test]
async fn new_names_are_resolved_at_once_and_all_are_refreshed() {
    let (wanted, receiver) = watch::channel(names(&["a"]));
    let (sender, mut answers) = mpsc::channel(8);
    let task = tokio::spawn(run(receiver, sender, REFRESH, |name| async move {
        if &*name == "bad" { Err(io::Error::other("no such name")) } else { Ok(vec![IpAddr::from([192, 0, 2, 1])]) }
    }));
    for _ in 0..3 {
        let (name, answer) = timeout(Duration::from_secs(5), answers.recv()).await.unwrap().unwrap();
        assert_eq!((&*name, answer.is_ok()), ("a", true));
    }
    wanted.send_replace(names(&["bad"]));
    loop {
        // A look-up of the name before may still be under way.
        let (name, answer) = timeout(Duration::from_secs(5), answers.recv()).await.unwrap().unwrap();
        if &*name == "bad" {
            assert_eq!(answer.unwrap_err(), "no such name");
            break;
        }
    }
    drop(wanted);
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}

#[tokio::test]
async fn look_ups_under_way_are_capped_and_one_that_hangs_holds_up_no_other() {
    let all: BTreeSet<Box<str>> = (0..2 * CONCURRENCY).map(|number| number.to_string().into()).collect();
    let (wanted, receiver) = watch::channel(all.clone());
    let (sender, mut answers) = mpsc::channel(8);
    let under_way = Arc::new(AtomicUsize::new(0));
    let peak = Arc::new(AtomicUsize::new(0));
    let (counted, highest) = (Arc::clone(&under_way), Arc::clone(&peak));
    let task = tokio::spawn(run(receiver, sender, Duration::from_secs(60), move |name| {
        highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let counted = Arc::clone(&counted);
        async move {
            if &*name == "0" {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            counted.fetch_sub(1, Ordering::SeqCst);
            Ok(vec![IpAddr::from([192, 0, 2, 1])])
        }
    }));
    let mut answered = BTreeSet::new();
    while answered.len() < all.len() - 1 {
        let (name, _) = timeout(Duration::from_secs(5), answers.recv()).await.unwrap().unwrap();
        answered.insert(name);
    }
    assert!(!answered.contains("0"));
    assert!(peak.load(Ordering::SeqCst) <= CONCURRENCY);
    drop(wanted);
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}
