//! What counts as the same: status, header fields of the answer, and what the backends got of the request.
//!
//! Not compared are bodies of own pages, header fields that no case is about, and the order of fields. A request that broke off
//! before its end is not counted as one that a backend got: nginx reads the whole body before it connects, Edgeward streams
//! it and ends the request at the backend when the client's turns out to be too large.

use std::collections::{BTreeMap, BTreeSet};

use edgeward_tests::backend::Received;
use edgeward_tests::message::Message;

use super::MIRROR;

/// What was seen of one request.
#[derive(Debug)]
pub(super) struct Seen {
    /// The answer; `None` where there was none.
    pub(super) answer: Option<Message>,
    pub(super) received: Vec<Received>,
}

/// What differs: by aspect, what there is with nginx and with Edgeward.
pub(super) type Different = BTreeMap<String, (String, String)>;

/// Header fields of answers that are not compared.
const NOT_COMPARED: &[&str] =
    &["connection", "content-length", "content-type", "date", "keep-alive", "server", "transfer-encoding"];

/// Every aspect of one side, by its name. What is not there has no entry.
fn aspects(seen: &Seen) -> BTreeMap<String, String> {
    let mut aspects = BTreeMap::new();
    let mut add = |name: String, value: String| {
        // Fields of the same name in order.
        aspects.entry(name).and_modify(|all: &mut String| *all = format!("{all} | {value}")).or_insert(value);
    };
    let Some(answer) = &seen.answer else {
        add("status".to_owned(), "no answer".to_owned());
        return aspects;
    };
    add("status".to_owned(), answer.status().to_string());
    for (name, value) in &answer.headers {
        let name = name.to_ascii_lowercase();
        if !NOT_COMPARED.contains(&name.as_str()) {
            add(format!("header {name}"), value.clone());
        }
    }
    if answer.backend().is_none() && !matches!(answer.status(), 204 | 304) {
        add("own content-type".to_owned(), answer.header("content-type").unwrap_or("none").to_owned());
    }
    for received in seen.received.iter().filter(|received| received.complete) {
        let side = if received.backend == MIRROR { "copy" } else { "upstream" };
        let line = format!("{} to {}", received.method, received.backend);
        add(side.to_owned(), line);
        add(format!("{side} target"), received.target.clone());
        add(format!("{side} version"), received.version.clone());
        add(format!("{side} body"), received.body_length.to_string());
        for (name, value) in &received.headers {
            let is_id = name.eq_ignore_ascii_case("x-request-id") && value.len() == 32;
            let value = if is_id { "<id>".to_owned() } else { value.clone() };
            add(format!("{side} header {}", name.to_ascii_lowercase()), value);
        }
    }
    aspects
}

/// Compares the two sides of one request.
pub(super) fn one(nginx: &Seen, edgeward: &Seen) -> Different {
    let (nginx, edgeward) = (aspects(nginx), aspects(edgeward));
    let names: BTreeSet<&String> = nginx.keys().chain(edgeward.keys()).collect();
    let mut different = Different::new();
    for name in names {
        let value = |side: &BTreeMap<String, String>| side.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        let (nginx, edgeward) = (value(&nginx), value(&edgeward));
        if nginx != edgeward {
            different.insert(name.clone(), (nginx, edgeward));
        }
    }
    // Where only one of them sent it on, that is the whole difference.
    for side in ["upstream", "copy"] {
        if different.get(side).is_some_and(|(nginx, edgeward)| [nginx, edgeward].iter().any(|one| *one == "none")) {
            different.retain(|name, _| !name.starts_with(&format!("{side} ")));
            if side == "upstream" {
                different.remove("header x-backend");
                different.remove("own content-type");
            }
        }
    }
    different
}

/// Compares how often which status came. With a `slack`, counts may be off by so much: time decided.
pub(super) fn counts(nginx: &[u16], edgeward: &[u16], slack: usize) -> Different {
    let count = |statuses: &[u16]| {
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for status in statuses {
            *counts.entry(*status).or_default() += 1;
        }
        counts
    };
    let (nginx, edgeward) = (count(nginx), count(edgeward));
    let all: BTreeSet<u16> = nginx.keys().chain(edgeward.keys()).copied().collect();
    let of = |side: &BTreeMap<u16, usize>, status| side.get(&status).copied().unwrap_or(0);
    let is_same = all.iter().all(|status| of(&nginx, *status).abs_diff(of(&edgeward, *status)) <= slack);
    let mut different = Different::new();
    if !is_same {
        different.insert("statuses".to_owned(), (format!("{nginx:?}"), format!("{edgeward:?}")));
    }
    different
}
