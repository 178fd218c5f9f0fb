//! The text of a manifest file to objects.
//!
//! Two kinds of mistakes are kept apart. A text that is not YAML is a [`SyntaxError`]: nothing in the file can be trusted.
//! An object of the wrong shape is a diagnostic and a [`Failure`]: it costs that object and no other, and names what it
//! would have been, so that a source can keep the last good version.

mod cursor;
mod data;
pub(crate) mod document;
mod emit;
mod ingress;
mod meta;
mod modern;
mod service;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

use std::collections::BTreeMap;

use edgeward_routing::origin::Origin;

use self::cursor::{Cursor, ShapeError};
use self::document::{Form, Item, Recognition, recognise};
pub(crate) use self::meta::LAST_APPLIED;
use self::meta::Scope;
pub(crate) use self::service::{endpoints_name, endpoints_of_slice};
use self::yaml::{Node, Unusual};
pub use self::yaml::{Position, SyntaxError};
use crate::diagnostic::{Diagnostic, FileLocation, Severity};
use crate::object::{Kind, NamespacedName, Object, ObjectRef, SERVICE_NAME_LABEL};

/// What a text holds.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The readable objects in the order of the text.
    pub objects: Vec<Placed>,
    /// Everything to say about the others, and about how some of these are written.
    pub diagnostics: Vec<Diagnostic>,
    /// The objects that are there but cannot be read.
    pub failures: Vec<Failure>,
    /// How many objects of kinds that are not watched were skipped, by `apiVersion Kind`.
    pub skipped: BTreeMap<String, usize>,
}

/// An object and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The object.
    pub object: Object,
    /// Its first character.
    pub at: Position,
}

/// An object that could not be read, as far as its identity is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where it starts.
    pub at: Position,
    kind: Option<Kind>,
    name: Option<NamespacedName>,
}

impl Failure {
    /// Whether it says which object it is.
    pub fn is_exact(&self) -> bool {
        self.kind.is_some() && self.name.is_some()
    }

    /// How many of these have the same identity, as far as it is known.
    pub fn count_in(&self, failures: &[Self]) -> usize {
        failures.iter().filter(|other| (self.kind, &self.name) == (other.kind, &other.name)).count()
    }

    /// Whether this may be the unreadable new version of an object. What is not known about the failure may be anything.
    pub fn may_be(&self, reference: &ObjectRef) -> bool {
        let name_fits = |name: &NamespacedName| {
            let own = endpoints_of_slice(&reference.name.name).unwrap_or(&reference.name.name);
            reference.name.namespace == name.namespace && own == &*name.name
        };
        self.kind.is_none_or(|kind| kind == reference.kind) && self.name.as_ref().is_none_or(name_fits)
    }
}

/// Reads a text. `file` is its name in the locations of diagnostics.
///
/// # Errors
///
/// The text is not YAML; see [`SyntaxError`].
pub fn parse(file: &str, text: &str) -> Result<Parsed, SyntaxError> {
    read_all(file, yaml::block_documents(text))
        .or_else(|Unusual| read_all(file, yaml::plain_documents(text)))
        .or_else(|Unusual| read_all(file, yaml::full_documents(text)?.into_iter().map(Ok)))
}

fn read_all<E>(file: &str, mut documents: impl Iterator<Item = Result<Node, E>>) -> Result<Parsed, E> {
    let mut reading = Reading { file, parsed: Parsed::default() };
    // A tree is several times the size of its text, and not needed any more for the next document.
    documents.try_for_each(|document| document.map(|document| reading.document(&document)))?;
    Ok(reading.parsed)
}

struct Reading<'a> {
    file: &'a str,
    parsed: Parsed,
}

impl Reading<'_> {
    fn document(&mut self, document: &Node) {
        for item in document::items(std::slice::from_ref(document)) {
            self.item(&item);
        }
    }

    fn item(&mut self, item: &Item<'_>) {
        let (Some(api_version), Some(kind)) = (item.api_version, item.kind) else {
            return self.not_an_object(item);
        };
        match recognise(api_version, kind) {
            Recognition::Current(form) => self.object(item, form, None),
            Recognition::Removed(form, release) => self.object(item, form, Some((api_version, release))),
            Recognition::UnknownVersion(form) => {
                self.skip(api_version, kind);
                self.report(
                    Severity::Warning,
                    "UnknownApiVersion",
                    None,
                    item.node.at,
                    format!("{} is not known in apiVersion {api_version:?}, so the object is skipped", form.kind()),
                    format!("write apiVersion: {}", form.api_version()),
                );
            }
            Recognition::Foreign => self.skip(api_version, kind),
        }
    }

    /// A document without a type. Whether it was meant as an object shows in whether it has any part of one.
    fn not_an_object(&mut self, item: &Item<'_>) {
        let looks_like_one =
            ["apiVersion", "kind", "metadata", "spec"].iter().any(|key| item.node.entry(key).is_some());
        let severity = if looks_like_one { Severity::Error } else { Severity::Warning };
        let missing = match (item.api_version, item.kind) {
            (None, None) => "apiVersion and kind",
            (None, Some(_)) => "apiVersion",
            (Some(_), _) => "kind",
        };
        if looks_like_one {
            self.parsed.failures.push(Failure { at: item.node.at, kind: None, name: None });
        }
        self.report(
            severity,
            "NotAnObject",
            None,
            item.node.at,
            format!("the document is no Kubernetes object: it has no {missing}"),
            format!("add {missing}, or keep files that are no manifests in another directory"),
        );
    }

    fn skip(&mut self, api_version: &str, kind: &str) {
        *self.parsed.skipped.entry(printable(&format!("{api_version} {kind}"))).or_default() += 1;
    }

    fn object(&mut self, item: &Item<'_>, form: Form, removed: Option<(&str, &str)>) {
        let root = Cursor::root(item.node);
        let scope = if form == Form::IngressClass { Scope::Cluster } else { Scope::Namespace };
        let name = match meta::name(&root, scope) {
            Ok(name) => name,
            Err(error) => {
                self.fail(item, form, None);
                let message = format!("{} without a usable name: {}", form.kind(), printable(&error.message));
                return self.report(Severity::Error, "InvalidField", None, error.at, message, error.mend);
            }
        };
        let origin = Origin::object(form.kind(), &name.namespace, &name.name);
        match read(&root, form, &name) {
            Ok((objects, remarks)) => {
                if let Some((api_version, release)) = removed {
                    self.removed_version(item, form, &origin, api_version, release);
                }
                for (code, severity, error) in remarks {
                    self.shape_error(severity, code, &origin, error);
                }
                self.parsed.objects.extend(objects.into_iter().map(|object| Placed { object, at: item.node.at }));
            }
            Err(error) => {
                self.fail(item, form, Some(name));
                self.shape_error(Severity::Error, "InvalidField", &origin, error);
            }
        }
    }

    fn fail(&mut self, item: &Item<'_>, form: Form, name: Option<NamespacedName>) {
        self.parsed.failures.push(Failure { at: item.node.at, kind: Some(watched_as(form)), name });
    }

    fn removed_version(&mut self, item: &Item<'_>, form: Form, origin: &Origin, api_version: &str, release: &str) {
        let at = item.node.entry("apiVersion").map_or(item.node.at, |entry| entry.node.at);
        let mend = match form {
            Form::Ingress(_) => format!("write it as\n{}", modern::modern_yaml(item.node)),
            _ => format!("write apiVersion: {}", form.api_version()),
        };
        self.report(
            Severity::Warning,
            "RemovedApiVersion",
            Some(origin.at("apiVersion")),
            at,
            format!("apiVersion {api_version} was removed in Kubernetes {release}; the object is converted and served"),
            mend,
        );
    }

    fn shape_error(&mut self, severity: Severity, code: &'static str, origin: &Origin, error: ShapeError) {
        let origin = origin.at(printable(&error.field));
        self.report(severity, code, Some(origin), error.at, printable(&error.message), error.mend);
    }

    fn report(
        &mut self,
        severity: Severity,
        code: &'static str,
        origin: Option<Origin>,
        at: Position,
        message: String,
        mend: String,
    ) {
        let location = Some(FileLocation { file: self.file.to_owned(), line: at.line, column: at.column });
        self.parsed.diagnostics.push(Diagnostic { severity, code, origin, location, message, mend });
    }
}

/// The objects of one manifest, and what is wrong with parts of it that do not spoil the whole.
type Read = (Vec<Object>, Vec<(&'static str, Severity, ShapeError)>);

fn read(root: &Cursor<'_>, form: Form, name: &NamespacedName) -> Result<Read, ShapeError> {
    let remarks = |code, severity, errors: Vec<ShapeError>| {
        errors.into_iter().map(|error| (code, severity, error)).collect::<Vec<_>>()
    };
    let one = |object| Ok((vec![object], Vec::new()));
    match form {
        Form::Ingress(legacy) => {
            let (ingress, misplaced) = ingress::ingress(root, name.clone(), legacy)?;
            Ok((vec![Object::Ingress(ingress.into())], remarks("MisplacedField", Severity::Error, misplaced)))
        }
        Form::IngressClass => one(Object::IngressClass(ingress::ingress_class(root, name.clone())?)),
        Form::Service => one(Object::Service(service::service(root, name.clone())?)),
        Form::EndpointSlice => {
            let (slice, unusable) = service::endpoint_slice(root, name.clone())?;
            let mut remarks = remarks("UnusableAddress", Severity::Error, unusable);
            if slice.service.is_none() {
                let metadata = root.field("metadata")?;
                let error = metadata.field("labels")?.error(
                    format!("the EndpointSlice has no label {SERVICE_NAME_LABEL}, so no Service has its endpoints"),
                    format!("add the label {SERVICE_NAME_LABEL} with the name of the Service"),
                );
                remarks.push(("SliceWithoutService", Severity::Warning, error));
            }
            Ok((vec![Object::EndpointSlice(slice)], remarks))
        }
        Form::Endpoints => {
            let (slices, unusable) = service::endpoints(root, name)?;
            let slices = slices.into_iter().map(Object::EndpointSlice).collect();
            Ok((slices, remarks("UnusableAddress", Severity::Error, unusable)))
        }
        Form::Secret => one(Object::Secret(data::secret(root, name.clone())?)),
        Form::ConfigMap => {
            let (map, errors) = data::config_map(root, name.clone())?;
            Ok((vec![Object::ConfigMap(map)], remarks("InvalidField", Severity::Error, errors)))
        }
    }
}

/// The kind that a manifest's objects are watched as.
pub(crate) fn watched_as(form: Form) -> Kind {
    match form {
        Form::Ingress(_) => Kind::Ingress,
        Form::IngressClass => Kind::IngressClass,
        Form::Service => Kind::Service,
        Form::EndpointSlice | Form::Endpoints => Kind::EndpointSlice,
        Form::Secret => Kind::Secret,
        Form::ConfigMap => Kind::ConfigMap,
    }
}

/// Text of the file for a message: it must not move the cursor of the terminal that shows it.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect()
}
