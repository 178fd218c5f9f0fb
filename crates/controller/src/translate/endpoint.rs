//! The addresses behind a Service port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use edgeward_routing::backend::BackendKey;
use edgeward_routing::endpoint::Readiness;

use super::backend::name_of;
use super::options::Options;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{EndpointSlice, Kind, NamespacedName, PortRef, SERVICE_NAME_LABEL, Service, ServicePort};

/// The diagnostics that depend on slices and name resolution alone. Their origin is the Service.
pub const ENDPOINT_CODES: [&str; 3] = ["NoEndpoints", "AddressRefused", "NameNotResolved"];

/// Whether a diagnostic is about the endpoints of one of these Services: what their renewal says anew.
pub(crate) fn is_about_endpoints(diagnostic: &Diagnostic, services: &BTreeSet<NamespacedName>) -> bool {
    ENDPOINT_CODES.contains(&diagnostic.code)
        && diagnostic.origin.as_ref().is_some_and(|origin| {
            let name = NamespacedName::of(origin);
            origin.kind == Kind::Service.name() && services.contains(&name)
        })
}

/// The endpoints of a backend, sorted, each once. They are the ready ones, or, when there are none, those that still
/// serve while they terminate (KEP-1669). A Service or port that does not exist has none; that is reported where it is
/// named.
pub(super) fn endpoints(
    index: &Index,
    options: &Options,
    key: &BackendKey,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(SocketAddr, Readiness)> {
    let Some(service) = service_of(index, key) else { return Vec::new() };
    let mut say = |severity, code, message: String, mend: &str| {
        diagnostics.push(Diagnostic::new(severity, code, service.meta.origin(Kind::Service), message, mend));
    };
    let found = match &service.external_name {
        Some(external) => {
            let Some(port) = external_port(service, &key.port) else { return Vec::new() };
            if options.disable_svc_external_name {
                say(
                    Severity::Error,
                    "NoEndpoints",
                    "Services of type ExternalName are switched off: its routes answer 503".to_owned(),
                    "remove `--disable-svc-external-name`, or use a Service with endpoints",
                );
                return Vec::new();
            }
            let failure = index.resolution(external).and_then(|resolution| resolution.failure.as_ref());
            if let Some(failure) = failure {
                let message = format!("`{external}` does not resolve: {failure}");
                say(Severity::Warning, "NameNotResolved", message, "correct `spec.externalName`, or the name server");
            }
            let addresses = external_addresses(index, external);
            if addresses.is_empty() {
                // Not resolved yet, or reported just above.
                return Vec::new();
            }
            addresses.into_iter().map(|address| (SocketAddr::new(address, port), Readiness::Ready)).collect()
        }
        None => {
            let Some(port) = find_port(service, &key.port, options) else { return Vec::new() };
            join(index.slices(&service.meta.name), port)
        }
    };
    let known = found.len();
    let mut allowed: Vec<_> = found.into_iter().filter(|(address, _)| options.allows_address(address.ip())).collect();
    if allowed.len() < known {
        let message = format!(
            "{} of its {known} endpoints of port {} are left out: loopback, link-local, metadata and unspecified \
             addresses are the proxy's own",
            known - allowed.len(),
            key.port
        );
        say(Severity::Error, "AddressRefused", message, "use addresses that lead to another host or pod");
    } else if allowed.is_empty() {
        let message = format!("port {} has no ready endpoint: its routes answer 503", key.port);
        let mend = format!(
            "look at the readiness of its pods, whether its selector and targetPort fit them, and whether its \
             EndpointSlices have the label {SERVICE_NAME_LABEL}"
        );
        say(Severity::Warning, "NoEndpoints", message, &mend);
    }
    if allowed.iter().any(|(_, readiness)| *readiness == Readiness::Ready) {
        allowed.retain(|(_, readiness)| *readiness == Readiness::Ready);
    }
    allowed
}

/// The address of a Service itself, for an Ingress that names `port` (controller.go getServiceClusterEndpoint): a number is
/// taken as it is, whether the Service lists it or not.
pub(super) fn service_address(service: &Service, port: &str) -> Option<SocketAddr> {
    let number = match port.parse::<i32>() {
        Ok(number) => number,
        Err(_) => tcp_ports(service).find(|candidate| !port.is_empty() && candidate.name == port)?.port,
    };
    let number = u16::try_from(number).ok().filter(|number| *number != 0)?;
    Some(SocketAddr::new(service.cluster_ip?, number))
}

/// The Service whose port a backend is.
fn service_of<'i>(index: &'i Index, key: &BackendKey) -> Option<&'i Service> {
    index.service(&name_of(key))
}

/// The same as the one endpoint of a backend.
pub(super) fn service_endpoint(
    index: &Index,
    options: &Options,
    key: &BackendKey,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(SocketAddr, Readiness)> {
    let Some(service) = service_of(index, key) else { return Vec::new() };
    let Some(address) = service_address(service, &key.port) else { return Vec::new() };
    if options.allows_address(address.ip()) {
        return vec![(address, Readiness::Ready)];
    }
    let message = format!("its address {} is left out: such addresses are the proxy's own", address.ip());
    let origin = service.meta.origin(Kind::Service);
    let mend = "use an address that leads to another host or pod";
    diagnostics.push(Diagnostic::new(Severity::Error, "AddressRefused", origin, message, mend));
    Vec::new()
}

/// The port of a Service that an Ingress means. To ingress-nginx it is the first whose number, name or target is `port`
/// (controller.go serviceEndpoints), so that the target of one can hide the number of another. Under `Strict` number and
/// name come first, as the Ingress specification knows no other. Only TCP can carry HTTP.
pub(super) fn find_port<'a>(service: &'a Service, port: &str, options: &Options) -> Option<&'a ServicePort> {
    let named = || tcp_ports(service).find(|candidate| is_named(candidate, port));
    let first = || tcp_ports(service).find(|candidate| is_named(candidate, port) || is_target(candidate, port));
    if options.is_strict() { named().or_else(first) } else { first() }
}

/// The port that has the number or the name, and the one whose target hides it from [`find_port`], where there is such
/// and requests go elsewhere because of it.
pub(super) fn hidden_port<'a>(
    service: &'a Service,
    port: &str,
    options: &Options,
) -> Option<(&'a ServicePort, &'a ServicePort)> {
    if service.external_name.is_some() {
        return None;
    }
    let named = tcp_ports(service).find(|candidate| is_named(candidate, port))?;
    let found = find_port(service, port, options)?;
    (target(named) != target(found)).then_some((named, found))
}

fn tcp_ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    service.ports.iter().filter(|candidate| is_tcp(&candidate.protocol))
}

fn is_named(candidate: &ServicePort, port: &str) -> bool {
    !port.is_empty() && (candidate.port.to_string() == port || candidate.name == port)
}

fn is_target(candidate: &ServicePort, port: &str) -> bool {
    match &candidate.target_port {
        Some(PortRef::Number(number)) => number.to_string() == port,
        Some(PortRef::Name(name)) => !port.is_empty() && name == port,
        Some(PortRef::Missing) | None => false,
    }
}

/// The port of an ExternalName Service that an Ingress means (controller.go externalNamePorts): the Service need not
/// list a port that is named by number.
pub(super) fn external_port(service: &Service, port: &str) -> Option<u16> {
    let number = port.parse::<u16>().ok().filter(|number| *number != 0);
    let listed = service.ports.iter().find(|candidate| match number {
        Some(number) => candidate.port == i32::from(number),
        None => !port.is_empty() && candidate.name == port,
    });
    listed.map_or(number, target_number)
}

/// Whether the Service has what an Ingress names.
pub(super) fn has_port(service: &Service, port: &str, options: &Options) -> bool {
    if service.external_name.is_some() {
        external_port(service, port).is_some()
    } else {
        find_port(service, port, options).is_some()
    }
}

fn is_tcp(protocol: &str) -> bool {
    protocol.is_empty() || protocol == "TCP"
}

/// `targetPort`, which is `port` where it is absent.
fn target(port: &ServicePort) -> PortRef {
    match &port.target_port {
        Some(PortRef::Missing) | None => PortRef::Number(port.port),
        Some(target) => target.clone(),
    }
}

/// The number that requests go to, where the Service itself gives one.
fn target_number(port: &ServicePort) -> Option<u16> {
    match target(port) {
        PortRef::Number(number) => u16::try_from(number).ok().filter(|number| *number != 0),
        PortRef::Name(_) | PortRef::Missing => None,
    }
}

/// Merges slices. An address that is in two of them with different conditions counts as the better one.
fn join<'a>(slices: impl Iterator<Item = &'a EndpointSlice>, port: &ServicePort) -> Vec<(SocketAddr, Readiness)> {
    let mut found: BTreeMap<SocketAddr, Readiness> = BTreeMap::new();
    for slice in slices {
        for number in slice_ports(slice, port) {
            for endpoint in &slice.endpoints {
                let readiness = endpoint.readiness;
                let address = SocketAddr::new(endpoint.address, number);
                found.entry(address).and_modify(|known| *known = readiness.min(*known)).or_insert(readiness);
            }
        }
    }
    found.into_iter().collect()
}

/// The ports of a slice that belong to a port of its Service (endpointslices.go): those of its name, or all of them
/// when the Service's port has none, else the numeric targetPort.
fn slice_ports(slice: &EndpointSlice, port: &ServicePort) -> Vec<u16> {
    let named = slice
        .ports
        .iter()
        .filter(|candidate| is_tcp(&candidate.protocol) && (port.name.is_empty() || candidate.name == port.name));
    let mut numbers: Vec<u16> = named.filter_map(|candidate| candidate.port.or_else(|| target_number(port))).collect();
    if numbers.is_empty() && (slice.ports.is_empty() || slice.ports.iter().any(|listed| is_tcp(&listed.protocol))) {
        numbers.extend(target_number(port));
    }
    numbers
}

fn external_addresses(index: &Index, external: &str) -> Vec<IpAddr> {
    match external.parse() {
        Ok(address) => vec![address],
        Err(_) => index.resolution(external).map_or_else(Vec::new, |resolution| resolution.addresses.clone()),
    }
}
