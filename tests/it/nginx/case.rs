//! A case: rules of one host and requests for it. Ingresses and the configuration of nginx are both made of it.

use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;
use std::time::Duration;

use edgeward_tests::client::Request;
use edgeward_tests::manifest::{Ingress, join};

/// Rules of a host, and what is asked of them.
#[derive(Debug)]
pub(super) struct Case {
    /// What it is about.
    pub(super) group: &'static str,
    /// A name of its own, which its host has too.
    pub(super) name: String,
    /// The oldest first.
    pub(super) ingresses: Vec<Rules>,
    pub(super) probes: Vec<Probe>,
}

/// What one Ingress says of the host.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Without ingress-nginx's prefix.
    pub(super) annotations: Vec<(&'static str, String)>,
    pub(super) paths: Vec<PathRule>,
}

/// A path, and the Service behind it.
#[derive(Debug, Clone)]
pub(super) struct PathRule {
    pub(super) path_type: &'static str,
    pub(super) path: String,
    pub(super) service: &'static str,
}

/// A request, or a number of equal ones.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) method: &'static str,
    /// The `Host` header; that of the case without it.
    pub(super) host: Option<String>,
    /// As it is on the wire: characters up to U+00FF are one byte each.
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: usize,
    pub(super) is_chunked: bool,
    pub(super) source: Ipv4Addr,
    pub(super) times: Times,
}

/// How often a request is sent, and when. Of more than one, the statuses are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    InARow(usize),
    AtOnce(usize),
    /// One each time that this has passed.
    Paced(usize, Duration),
}

impl Times {
    /// How many requests these are.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Once => 1,
            Self::InARow(count) | Self::AtOnce(count) | Self::Paced(count, _) => count,
        }
    }
}

impl Rules {
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// With this annotation.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.annotations.push((name, value.into()));
        self
    }

    /// With this path.
    pub(super) fn path(mut self, path_type: &'static str, path: impl Into<String>, service: &'static str) -> Self {
        self.paths.push(PathRule { path_type, path: path.into(), service });
        self
    }
}

impl Probe {
    /// GET of this target.
    pub(super) fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET",
            host: None,
            target: target.into(),
            headers: Vec::new(),
            body: 0,
            is_chunked: false,
            source: Ipv4Addr::new(127, 77, 0, 1),
            times: Times::Once,
        }
    }

    pub(super) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }
}

impl Case {
    pub(super) fn host(&self) -> String {
        format!("{}.test", self.name)
    }

    /// The Ingresses, each a second younger than the one before.
    pub(super) fn manifests(&self) -> String {
        join(self.ingresses.iter().enumerate().map(|(at, rules)| {
            let mut ingress =
                Ingress::new(&self.ingress_name(at)).created(&format!("2026-01-01T00:00:{at:02}Z")).class("nginx");
            for (name, value) in &rules.annotations {
                ingress = ingress.annotation(name, value);
            }
            for PathRule { path_type, path, service } in &rules.paths {
                ingress = ingress.path(&self.host(), path_type, path, service);
            }
            ingress.text()
        }))
    }

    pub(super) fn ingress_name(&self, at: usize) -> String {
        format!("{}-{at}", self.name)
    }

    /// The request of a probe.
    pub(super) fn request(&self, probe: &Probe) -> Request {
        let host = probe.host.clone().unwrap_or_else(|| self.host());
        let mut request = Request::new(probe.method, &host, &probe.target.replace("HOST", &self.host()));
        for (name, value) in &probe.headers {
            request = request.header(name, value);
        }
        if probe.body == 0 && matches!(probe.method, "POST" | "PUT") && !probe.is_chunked {
            request = request.header("Content-Length", "0");
        }
        request = request.body(vec![b'a'; probe.body]);
        if probe.is_chunked { request.chunked() } else { request }
    }

    /// A probe and the rules that it is for, in lines that differences are looked for in.
    pub(super) fn describe(&self, probe: &Probe) -> String {
        let mut text = format!("group: {}\n{probe}", self.group);
        for (at, rules) in self.ingresses.iter().enumerate() {
            for PathRule { path_type, path, service } in &rules.paths {
                let _ = writeln!(text, "path: {path_type} {path} -> {service} of {at}");
            }
            for (name, value) in &rules.annotations {
                let _ = writeln!(text, "annotation: {name}: {value}");
            }
        }
        text
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "request: {} {:?} from {} {:?}", self.method, self.target, self.source, self.times)?;
        if let Some(host) = &self.host {
            writeln!(f, "host: {host}")?;
        }
        for (name, value) in &self.headers {
            writeln!(f, "header: {name}: {value}")?;
        }
        if self.body > 0 || self.is_chunked {
            writeln!(f, "body: {}{}", self.body, if self.is_chunked { " in chunks" } else { "" })?;
        }
        Ok(())
    }
}
