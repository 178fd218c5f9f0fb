//! The listed differences: classes of requests, what differs in them, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use regex::Regex;
use serde::Deserialize;

use super::compare::Different;

/// Why something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Edgeward is meant to do otherwise.
    Deliberate,
    /// Debian's nginx is older than the one in ingress-nginx, or lacks its modules: the recording is what counts.
    Version,
}

/// A class, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: Kind,
    /// Expressions that the description of the request and its rules has all of.
    #[serde(default)]
    when: Vec<String>,
    /// What differs: aspect, and expressions for all of what there is with nginx and with Edgeward. A `*` at the end of an
    /// aspect is any that begins so.
    differs: BTreeMap<String, (String, String)>,
    reason: String,
}

/// A class of differences.
#[derive(Debug)]
struct Class {
    written: Written,
    when: Vec<Regex>,
    differs: Vec<(String, Regex, Regex)>,
}

/// `differences.yaml`, and which of its aspects were met.
#[derive(Debug)]
pub(super) struct Differences {
    classes: Vec<Class>,
    met: Vec<Vec<usize>>,
    file: String,
}

fn expression(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

impl Class {
    fn new(written: Written) -> Self {
        assert!(written.reason.len() > 10, "{:?} is no reason", written.reason);
        let when = written.when.iter().map(|text| expression(&format!("(?m){text}"))).collect();
        let whole = |text: &str| expression(&format!("(?s)^(?:{text})$"));
        let differs = written.differs.iter();
        let differs = differs.map(|(aspect, (nginx, here))| (aspect.clone(), whole(nginx), whole(here))).collect();
        Self { written, when, differs }
    }

    /// Which of its aspects this is.
    fn aspect(&self, name: &str, (nginx, here): &(String, String)) -> Option<usize> {
        let is_name = |aspect: &str| match aspect.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == aspect,
        };
        let is_this =
            |(aspect, a, b): &(String, Regex, Regex)| is_name(aspect) && a.is_match(nginx) && b.is_match(here);
        self.differs.iter().position(is_this)
    }
}

impl Differences {
    pub(super) fn load(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let written: Vec<Written> = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let classes: Vec<Class> = written.into_iter().map(Class::new).collect();
        let met = classes.iter().map(|class| vec![0; class.differs.len()]).collect();
        Self { classes, met, file: file.display().to_string() }
    }

    /// What of a difference is not listed, for the request with this description.
    pub(super) fn unlisted(&mut self, description: &str, different: Different) -> Different {
        let fits = |class: &Class| class.when.iter().all(|expression| expression.is_match(description));
        let fitting: Vec<usize> = (0..self.classes.len()).filter(|&at| fits(&self.classes[at])).collect();
        let mut unlisted = Different::new();
        for (name, values) in different {
            let found = fitting.iter().find_map(|&at| Some((at, self.classes[at].aspect(&name, &values)?)));
            match found {
                Some((class, aspect)) => self.met[class][aspect] += 1,
                None => {
                    unlisted.insert(name, values);
                }
            }
        }
        unlisted
    }

    /// What is listed and never came.
    pub(super) fn unmet(&self) -> Vec<String> {
        let mut unmet = Vec::new();
        for (class, met) in self.classes.iter().zip(&self.met) {
            for ((aspect, ..), count) in class.differs.iter().zip(met) {
                if *count == 0 {
                    unmet.push(format!("{}: nothing differs in {aspect:?} of {:?}", self.file, class.written.reason));
                }
            }
        }
        unmet
    }

    /// The page of the docs that tells them.
    pub(super) fn page(&self, requests: usize) -> String {
        let mut page = format!(
            "# Differences from nginx\n\n<!-- Generated from tests/nginx/differences.yaml by the test that compares the two; \
             EDGEWARD_UPDATE_DOCS=1 writes it anew. -->\n\nThe tests generate rules, as Ingresses and as the configuration \
             that ingress-nginx would write for them, and send {requests} requests to Edgeward and to Debian's nginx. Compared \
             are the status, the header fields of the answer, and what the applications get. These are all differences; \
             [those from ingress-nginx itself](differences.md) are a list of their own, and where the two disagree, \
             ingress-nginx is what counts.\n"
        );
        let kinds =
            [(Kind::Deliberate, "Deliberate"), (Kind::Version, "Where Debian's nginx is not that of ingress-nginx")];
        for (kind, title) in kinds {
            let of_kind = || self.classes.iter().filter(|class| class.written.kind == kind);
            if of_kind().next().is_none() {
                continue;
            }
            let _ = write!(page, "\n## {title}\n\n| what and why | differs in |\n|---|---|\n");
            for class in of_kind() {
                let aspects: Vec<&str> = class.differs.iter().map(|(aspect, ..)| aspect.as_str()).collect();
                let _ = writeln!(page, "| {} | {} |", class.written.reason, aspects.join(", "));
            }
        }
        page
    }
}
