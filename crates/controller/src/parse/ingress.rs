//! Ingress, in its present and its removed API versions, and IngressClass.

use super::cursor::{Cursor, ShapeError};
use super::meta::{meta, number_or_name};
use crate::object::{
    Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, LegacyVersion, NamespacedName, PortRef,
};

/// An Ingress, and the places that hold a field of the other API version, where it has no effect.
pub(super) fn ingress(
    object: &Cursor<'_>,
    name: NamespacedName,
    legacy: Option<LegacyVersion>,
) -> Result<(Ingress, Vec<ShapeError>), ShapeError> {
    let mut reader = Reader { legacy, misplaced: Vec::new() };
    let spec = object.field("spec")?;
    let default_backend = reader.default_backend(&spec)?;
    let mut rules = Vec::new();
    for rule in spec.field("rules")?.items()? {
        rules.push(reader.rule(&rule)?);
    }
    let mut tls = Vec::new();
    for entry in spec.field("tls")?.items()? {
        let hosts = entry.field("hosts")?.items()?.map(|host| host.text_or_empty()).collect::<Result<_, _>>()?;
        tls.push(IngressTls { hosts, secret_name: entry.field("secretName")?.text_if_any()? });
    }
    let ingress = Ingress {
        meta: meta(object, name)?,
        legacy,
        class_name: spec.field("ingressClassName")?.text_if_any()?,
        default_backend,
        rules,
        tls,
    };
    Ok((ingress, reader.misplaced))
}

/// An IngressClass; both of its API versions have the same fields.
pub(super) fn ingress_class(object: &Cursor<'_>, name: NamespacedName) -> Result<IngressClass, ShapeError> {
    let controller = object.field("spec")?.field("controller")?.text_or_empty()?;
    Ok(IngressClass { meta: meta(object, name)?, controller })
}

/// Reads one Ingress in the field names of its API version.
struct Reader {
    legacy: Option<LegacyVersion>,
    misplaced: Vec<ShapeError>,
}

impl Reader {
    fn default_backend(&mut self, spec: &Cursor<'_>) -> Result<Option<IngressBackend>, ShapeError> {
        let (name, other) = match self.legacy {
            None => ("defaultBackend", "backend"),
            Some(_) => ("backend", "defaultBackend"),
        };
        self.note_misplaced(&spec.field(other)?, name);
        let backend = spec.field(name)?;
        backend.is_present().then(|| self.backend(&backend)).transpose()
    }

    fn rule(&mut self, rule: &Cursor<'_>) -> Result<IngressRule, ShapeError> {
        let http = rule.field("http")?;
        let mut paths = Vec::new();
        for path in http.field("paths")?.items()? {
            paths.push(IngressPath {
                path: path.field("path")?.text_or_empty()?,
                path_type: path.field("pathType")?.text_if_any()?,
                backend: self.backend(&path.field("backend")?)?,
            });
        }
        Ok(IngressRule { host: rule.field("host")?.text_or_empty()?, paths: http.is_present().then_some(paths) })
    }

    fn backend(&mut self, backend: &Cursor<'_>) -> Result<IngressBackend, ShapeError> {
        let service = match self.legacy {
            None => {
                self.note_misplaced(&backend.field("serviceName")?, "service.name");
                self.note_misplaced(&backend.field("servicePort")?, "service.port");
                Self::service(backend)?
            }
            Some(_) => {
                self.note_misplaced(&backend.field("service")?, "serviceName and servicePort");
                Self::legacy_service(backend)?
            }
        };
        if let Some(service) = service {
            return Ok(service);
        }
        let resource = backend.field("resource")?;
        if resource.is_present() {
            let kind = resource.field("kind")?.text_or_empty()?;
            let name = resource.field("name")?.text_or_empty()?;
            return Ok(IngressBackend::Resource { kind, name });
        }
        Ok(IngressBackend::Missing)
    }

    fn service(backend: &Cursor<'_>) -> Result<Option<IngressBackend>, ShapeError> {
        let service = backend.field("service")?;
        let Some(name) = service.field("name")?.text_if_any()? else { return Ok(None) };
        let port = service.field("port")?;
        // The API server allows only one of the two; ingress-nginx looks at the number first.
        let number = port.field("number")?.integer::<i32>()?.filter(|number| *number != 0).map(PortRef::Number);
        let by_name = port.field("name")?.text_if_any()?.map(PortRef::Name);
        let port = number.or(by_name).unwrap_or(PortRef::Missing);
        Ok(Some(IngressBackend::Service { name, port }))
    }

    fn legacy_service(backend: &Cursor<'_>) -> Result<Option<IngressBackend>, ShapeError> {
        let Some(name) = backend.field("serviceName")?.text_if_any()? else { return Ok(None) };
        let port = number_or_name(&backend.field("servicePort")?)?.unwrap_or(PortRef::Missing);
        Ok(Some(IngressBackend::Service { name, port }))
    }

    /// A field of the other API version is an unknown field here, and the most likely one to be written by mistake.
    fn note_misplaced(&mut self, field: &Cursor<'_>, instead: &str) {
        if field.is_present() {
            let path = field.path();
            self.misplaced.push(field.error(
                format!("{path} is a field of another apiVersion and has no effect in this one"),
                format!("write {instead} in its place"),
            ));
        }
    }
}
