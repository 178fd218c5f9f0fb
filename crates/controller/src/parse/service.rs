//! Service, EndpointSlice, and the older Endpoints, which is read as EndpointSlices.

use std::net::IpAddr;
use std::sync::Arc;

use edgeward_routing::endpoint::Readiness;

use super::cursor::{Cursor, ShapeError};
use super::meta::{meta, number_or_name, port_number};
use crate::object::{
    EndpointSlice, Meta, NamespacedName, SERVICE_NAME_LABEL, Service, ServicePort, SliceEndpoint, SlicePort, readiness,
};

/// A Service.
pub(super) fn service(object: &Cursor<'_>, name: NamespacedName) -> Result<Service, ShapeError> {
    let spec = object.field("spec")?;
    let external = spec.field("type")?.text()? == Some("ExternalName");
    let mut ports = Vec::new();
    for port in spec.field("ports")?.items()? {
        ports.push(ServicePort {
            name: port.field("name")?.text_or_empty()?,
            port: i32::from(port_number(&port.field("port")?)?),
            target_port: number_or_name(&port.field("targetPort")?)?,
            protocol: protocol(&port)?,
        });
    }
    Ok(Service {
        meta: meta(object, name)?,
        external_name: if external { Some(spec.field("externalName")?.text_or_empty()?) } else { None },
        // `None` is text.
        cluster_ip: spec.field("clusterIP")?.text()?.and_then(|text| text.parse().ok()),
        ports,
    })
}

/// An EndpointSlice, and the addresses that cannot be used.
pub(super) fn endpoint_slice(
    object: &Cursor<'_>,
    name: NamespacedName,
) -> Result<(EndpointSlice, Vec<ShapeError>), ShapeError> {
    let mut unusable = Vec::new();
    let mut endpoints = Vec::new();
    let address_type = object.field("addressType")?;
    if address_type.text()? == Some("FQDN") {
        unusable.push(address_type.error(
            "an EndpointSlice with addressType FQDN has no address that can be connected to",
            "use a Service of type ExternalName for a host name",
        ));
    } else {
        for endpoint in object.field("endpoints")?.items()? {
            let conditions = endpoint.field("conditions")?;
            let readiness = readiness(
                conditions.field("ready")?.boolean()?,
                conditions.field("serving")?.boolean()?,
                conditions.field("terminating")?.boolean()?,
            );
            for field in endpoint.field("addresses")?.items()? {
                match address(&field)? {
                    Ok(address) => endpoints.extend(readiness.map(|readiness| SliceEndpoint { address, readiness })),
                    Err(error) => unusable.push(error),
                }
            }
        }
    }
    let label = object.field("metadata")?.field("labels")?.field(SERVICE_NAME_LABEL)?.text_if_any()?;
    let slice = EndpointSlice {
        meta: meta(object, name)?,
        service: label.map(Arc::from),
        ports: slice_ports(&object.field("ports")?)?,
        endpoints,
    };
    Ok((slice, unusable))
}

/// An Endpoints as EndpointSlices, one for each subset, because each has ports of its own. Addresses that are not ready are
/// left out.
pub(super) fn endpoints(
    object: &Cursor<'_>,
    name: &NamespacedName,
) -> Result<(Vec<EndpointSlice>, Vec<ShapeError>), ShapeError> {
    let mut unusable = Vec::new();
    let mut slices = Vec::new();
    let meta = meta(object, name.clone())?;
    let slice = |index: usize, ports, endpoints| EndpointSlice {
        meta: Meta { name: endpoints_name(name, index), ..meta.clone() },
        service: Some(name.name.clone()),
        ports,
        endpoints,
    };
    for (index, subset) in object.field("subsets")?.items()?.enumerate() {
        let mut endpoints = Vec::new();
        for item in subset.field("addresses")?.items()? {
            match address(&item.field("ip")?)? {
                Ok(address) => endpoints.push(SliceEndpoint { address, readiness: Readiness::Ready }),
                Err(error) => unusable.push(error),
            }
        }
        slices.push(slice(index, slice_ports(&subset.field("ports")?)?, endpoints));
    }
    if slices.is_empty() {
        slices.push(slice(0, Vec::new(), Vec::new()));
    }
    Ok((slices, unusable))
}

/// The mark that no object's own name can have.
const ENDPOINTS_MARK: &str = " (Endpoints";

/// The name of the slice made of a subset of an Endpoints: `NAME (Endpoints)`, `NAME (Endpoints 2)` and so on.
pub(crate) fn endpoints_name(name: &NamespacedName, index: usize) -> NamespacedName {
    let marked = match index {
        0 => format!("{}{ENDPOINTS_MARK})", name.name),
        _ => format!("{}{ENDPOINTS_MARK} {})", name.name, index + 1),
    };
    NamespacedName { namespace: name.namespace.clone(), name: marked.into() }
}

/// The name of the Endpoints that a slice of this name was made of.
pub(crate) fn endpoints_of_slice(name: &str) -> Option<&str> {
    name.split_once(ENDPOINTS_MARK).map(|(name, _)| name)
}

/// An address. The outer error is a wrong type, the inner one a text that is no address.
fn address(field: &Cursor<'_>) -> Result<Result<IpAddr, ShapeError>, ShapeError> {
    let text = field.text()?.unwrap_or_default();
    Ok(text.parse().map_err(|_| {
        field.error(format!("{} is no IP address", field.path()), "write an IPv4 or IPv6 address, without a port")
    }))
}

fn slice_ports(field: &Cursor<'_>) -> Result<Vec<SlicePort>, ShapeError> {
    let mut ports = Vec::new();
    for port in field.items()? {
        let number = port.field("port")?;
        ports.push(SlicePort {
            name: port.field("name")?.text_or_empty()?,
            port: if number.is_present() { Some(port_number(&number)?) } else { None },
            protocol: protocol(&port)?,
        });
    }
    Ok(ports)
}

fn protocol(port: &Cursor<'_>) -> Result<String, ShapeError> {
    Ok(port.field("protocol")?.text_if_any()?.unwrap_or_else(|| "TCP".to_owned()))
}
