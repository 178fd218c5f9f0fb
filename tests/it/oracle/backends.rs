//! The backends of the recording, at their addresses.

use std::net::SocketAddr;

use edgeward_tests::backend::{Backend, Persona, Recording, Start};
use edgeward_tests::certificate::Pair;
use edgeward_tests::manifest::{Pod, join, service_alone, service_at, service_in, slice, slice_in};

use super::folder;

/// Everything that runs behind the proxy.
#[derive(Debug)]
pub(super) struct Backends {
    pub(super) recording: Recording,
    _running: Vec<Backend>,
}

/// Name of a backend, last byte of its address, what it does.
const ADDRESSES: &[(&str, u8, Persona)] = &[
    ("s1", 1, Persona::Echo),
    ("s2", 2, Persona::Echo),
    ("s3-1", 3, Persona::Echo),
    ("s3-2", 4, Persona::Echo),
    ("s3-3", 5, Persona::Echo),
    ("canary", 6, Persona::Echo),
    ("auth", 7, Persona::Auth),
    ("errs", 8, Persona::Errors),
    ("mirror", 9, Persona::Mirror),
];

pub(super) fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 201, 0, last], 8080))
}

fn tls_address() -> SocketAddr {
    SocketAddr::from(([127, 201, 0, 10], 8443))
}

pub(super) async fn start() -> Backends {
    let recording = Recording::default();
    let mut running = Vec::new();
    for (name, last, persona) in ADDRESSES {
        let start = Start::default().addr(address(*last)).recording(&recording).persona(*persona);
        running.push(start.start(name).await);
    }
    let start = Start::default().addr(tls_address()).recording(&recording).tls(pair("tlsbackend"));
    running.push(start.start("tls").await);
    Backends { recording, _running: running }
}

/// A certificate of the recording.
pub(super) fn pair(name: &str) -> Pair {
    let read = |ending: &str| {
        let file = folder().join("certs").join(format!("{name}.{ending}"));
        std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    };
    Pair { certificate_pem: read("crt"), key_pem: read("key") }
}

/// Services and EndpointSlices of the recording.
pub(super) fn manifests() -> String {
    let mut documents = Vec::new();
    let mut add = |name: &str, endpoints: &[(SocketAddr, Pod)]| {
        documents.push(service_alone(name, endpoints[0].0.port()));
        documents.push(slice(name, name, endpoints));
    };
    let ready = |last: u8| (address(last), Pod::Ready);
    add("s1", &[ready(1)]);
    add("s2", &[ready(2)]);
    add("canary", &[ready(6)]);
    add("auth", &[ready(7)]);
    add("errs", &[ready(8)]);
    add("mirror", &[ready(9)]);
    add("tls", &[(tls_address(), Pod::Ready)]);
    // Nothing listens at 66.
    add("dead", &[ready(66)]);
    add("half", &[ready(66), ready(1)]);
    add("noready", &[(address(1), Pod::NotReady)]);
    // Nothing listens at the address of the Service itself, as in the recording.
    documents.push(service_at("s3", 80, address(100).ip()));
    documents.push(slice("s3", "s3", &[ready(3), ready(4), ready(5)]));
    documents.push(service_alone("empty", 8080));
    documents.push(slice("empty", "empty", &[]));
    documents.push(service_alone("s0", 8080));
    documents.push(service_in("other", "s1", 8080));
    documents.push(slice_in("other", "s1", "s1", &[ready(1)]));
    join(documents)
}
