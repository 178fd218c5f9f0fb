//! The recording, as it stands in `cases.json`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

/// A set of manifests, requests, and what was seen of each.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    /// The rows of the semantics that it is about, by their number.
    pub(crate) rows: Vec<u8>,
    pub(super) note: String,
    pub(super) annotations: Vec<String>,
    pub(super) configmap: BTreeMap<String, String>,
    pub(super) isolated: bool,
    pub(crate) manifests: String,
    pub(super) requests: Vec<CaseRequest>,
    pub(super) observed: Vec<Observed>,
}

/// A request of a case.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CaseRequest {
    pub(super) scheme: String,
    pub(super) method: String,
    pub(super) host: Option<String>,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) body_size: Option<usize>,
    #[serde(default)]
    pub(super) chunked: bool,
    pub(super) version: Option<String>,
    pub(super) source: Option<IpAddr>,
    pub(super) sni: Option<String>,
    pub(super) client_cert: Option<String>,
    pub(super) repeat: Option<usize>,
    pub(super) concurrent: Option<usize>,
    pub(super) cookies: Option<String>,
    #[serde(default)]
    pub(super) timing: bool,
}

/// What was seen of a request.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Observed {
    /// Of a request that was sent several times, one after the other.
    Repeated {
        statuses: Vec<u16>,
        backends: Vec<Option<String>>,
        first: Box<One>,
        last_headers: Vec<(String, String)>,
        auth_subrequests: usize,
    },
    /// Of a request that was sent several times at once: how often which status came.
    Concurrent { counts: BTreeMap<String, usize> },
    /// Of a single request.
    Once(Box<One>),
}

/// What was seen of one request.
#[derive(Debug, Deserialize)]
pub(crate) struct One {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    pub(super) upstream: Option<Upstream>,
    #[serde(default)]
    pub(super) earlier_tries: Vec<Try>,
    #[serde(default)]
    pub(super) subrequests: Vec<Try>,
    pub(super) cert: Option<Certificate>,
    pub(super) seconds: Option<f64>,
}

/// What the last backend got.
#[derive(Debug, Deserialize)]
pub(crate) struct Upstream {
    pub(super) backend: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: Option<String>,
    pub(super) version: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body_len: usize,
}

/// What another backend got.
#[derive(Debug, Deserialize)]
pub(crate) struct Try {
    pub(super) backend: String,
    pub(super) method: String,
    pub(super) path: String,
}

/// The certificate that was served.
#[derive(Debug, Deserialize)]
pub(crate) struct Certificate {
    pub(super) subject: String,
    pub(super) san: Vec<String>,
}

/// Reads the recording. Its network 10.201.0.0/16 becomes 127.201.0.0/16, which every Linux machine has.
///
/// # Panics
///
/// When the file is missing or has another shape.
pub(super) fn load(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text.replace("10.201.", "127.201.")).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

impl Case {
    /// The manifests with the creation times of the recording: each Ingress a little younger than the one before.
    pub(super) fn dated_manifests(&self) -> String {
        let mut age = 0;
        let documents: Vec<String> = self
            .manifests
            .split("\n---\n")
            .map(|document| {
                if !document.contains("\nkind: Ingress\n") {
                    return document.to_owned();
                }
                if !self.note.contains("same second") {
                    age += 2;
                }
                let dated =
                    format!("\nmetadata:\n  creationTimestamp: \"2026-01-01T00:{:02}:{:02}Z\"\n", age / 60, age % 60);
                assert!(document.contains("\nmetadata:\n"), "{}: an Ingress without metadata", self.id);
                document.replacen("\nmetadata:\n", &dated, 1)
            })
            .collect();
        documents.join("\n---\n")
    }
}
