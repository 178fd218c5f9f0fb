//! `metadata`, and the values that every kind has in common.

use std::collections::BTreeMap;

use super::cursor::{Cursor, ShapeError};
use crate::object::{DEFAULT_NAMESPACE, Meta, NamespacedName, PortRef, is_subdomain};

/// The annotation in which `kubectl apply` keeps a second copy of the whole object, values of Secrets included. Nothing
/// here reads it.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether objects of a kind live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Namespace,
    Cluster,
}

/// The object's name: what must be readable to know which object a manifest is about.
pub(super) fn name(object: &Cursor<'_>, scope: Scope) -> Result<NamespacedName, ShapeError> {
    let metadata = object.field("metadata")?;
    let field = metadata.field("name")?;
    let name = match field.text()? {
        Some(name) if !name.is_empty() => name,
        _ if metadata.field("generateName")?.is_present() => {
            return Err(field.error(
                "metadata.generateName has a meaning only where the API server makes a name of it",
                "give the object a fixed metadata.name",
            ));
        }
        _ => return Err(field.missing()),
    };
    if !is_subdomain(name) {
        return Err(field.error(
            "metadata.name is no name that Kubernetes accepts",
            "use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
        ));
    }
    if scope == Scope::Cluster {
        return Ok(NamespacedName::new("", name));
    }
    let field = metadata.field("namespace")?;
    let namespace = field.text()?.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_NAMESPACE);
    if namespace.len() > 63 || namespace.contains('.') || !is_subdomain(namespace) {
        return Err(field.error(
            "metadata.namespace is no name that Kubernetes accepts",
            "use at most 63 lower-case letters, digits and '-', with a letter or digit at both ends",
        ));
    }
    Ok(NamespacedName::new(namespace, name))
}

/// What is kept of `metadata`.
pub(super) fn meta(object: &Cursor<'_>, name: NamespacedName) -> Result<Meta, ShapeError> {
    let metadata = object.field("metadata")?;
    let field = metadata.field("creationTimestamp")?;
    let created = match field.text()? {
        None | Some("") => None,
        Some(text) => match text.parse::<jiff::Timestamp>() {
            Ok(timestamp) => Some(timestamp.as_second()),
            Err(_) => {
                return Err(field.error(
                    "metadata.creationTimestamp is no RFC 3339 time",
                    "write it like 2024-05-01T12:00:00Z, or leave it out",
                ));
            }
        },
    };
    let mut annotations = text_map(&metadata.field("annotations")?)?;
    annotations.remove(LAST_APPLIED);
    Ok(Meta { name, created, annotations })
}

/// A mapping of strings. As in the API server's decoder, null is the empty string.
pub(super) fn text_map(field: &Cursor<'_>) -> Result<BTreeMap<String, String>, ShapeError> {
    field.entries()?.map(|(key, value)| Ok((key.to_owned(), value.text_or_empty()?))).collect()
}

/// A port given as a number or a name. Zero and the empty string mean absent, as for the API server.
pub(super) fn number_or_name(field: &Cursor<'_>) -> Result<Option<PortRef>, ShapeError> {
    use super::yaml::Value;
    match field.value() {
        None => Ok(None),
        Some(Value::Text(text)) => Ok((!text.is_empty()).then(|| PortRef::Name(text.clone()))),
        Some(Value::Integer(_)) => Ok(field.integer::<i32>()?.filter(|number| *number != 0).map(PortRef::Number)),
        Some(other) => Err(field.wrong_type("a port number or a port name", other)),
    }
}

/// A required port number.
pub(super) fn port_number(field: &Cursor<'_>) -> Result<u16, ShapeError> {
    match field.integer::<u16>()? {
        Some(port) if port != 0 => Ok(port),
        Some(_) => Err(field.error(format!("{} is out of range", field.path()), "write a port from 1 to 65535")),
        None => Err(field.missing()),
    }
}
