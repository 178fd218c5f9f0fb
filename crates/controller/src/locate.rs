//! Where an object's field stands in the text of a file.
//!
//! Diagnostics name a field by its path in the present API version. In an Ingress of a removed version the same thing has
//! another name, and in a mistaken one it may not be there at all: the nearest thing that exists is pointed at.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use edgeward_routing::origin::Origin;

use crate::object::DEFAULT_NAMESPACE;
use crate::parse::document::{self, Recognition, recognise};
use crate::parse::yaml::{self, Entry, Node, Value};
use crate::parse::{Position, endpoints_of_slice};

/// Where a field stands in a text: the value when it is a scalar, the key when it is a list, a mapping, empty, or one that
/// users name (annotations, labels, data), the nearest ancestor when it is absent. `None` when the text is not YAML or
/// does not hold the object.
pub fn locate(text: &str, origin: &Origin) -> Option<Position> {
    locate_all(text, &[origin]).pop().flatten()
}

/// The same for many fields, reading the text once.
pub(crate) fn locate_all(text: &str, origins: &[&Origin]) -> Vec<Option<Position>> {
    let Ok(documents) = yaml::documents(text) else { return vec![None; origins.len()] };
    let mut objects = HashMap::new();
    for item in document::items(&documents) {
        if let Some(identity) = identity_of_item(&item) {
            // Of two definitions the first one counts.
            objects.entry(identity).or_insert(item.node);
        }
    }
    origins
        .iter()
        .map(|origin| objects.get(&identity_of_origin(origin)).map(|node| walk(node, &origin.field)))
        .collect()
}

/// Kind as the manifest has it, namespace (empty for cluster-scoped kinds) and name.
type Identity<'a> = (&'a str, &'a str, &'a str);

fn identity_of_item<'a>(item: &document::Item<'a>) -> Option<Identity<'a>> {
    let form = match recognise(item.api_version?, item.kind?) {
        Recognition::Current(form) | Recognition::Removed(form, _) => form,
        Recognition::UnknownVersion(_) | Recognition::Foreign => return None,
    };
    let metadata = item.node.child("metadata")?;
    let namespace = match form {
        document::Form::IngressClass => "",
        _ => metadata.text("namespace").filter(|text| !text.is_empty()).unwrap_or(DEFAULT_NAMESPACE),
    };
    Some((form.kind(), namespace, metadata.text("name")?))
}

fn identity_of_origin(origin: &Origin) -> Identity<'_> {
    match endpoints_of_slice(&origin.name) {
        Some(name) => ("Endpoints", &origin.namespace, name),
        None => (origin.kind, &origin.namespace, &origin.name),
    }
}

/// Follows a field path as far as it leads.
fn walk(object: &Node, field: &str) -> Position {
    let mut node = object;
    let mut at = object.at;
    let mut rest = field;
    while !rest.is_empty() {
        let step = Step::split(rest);
        match &node.value {
            Value::Mapping(_) => {
                let Some((entry, after)) = entry(node, rest, &step) else { return at };
                node = &entry.node;
                at = if step.bracketed || !node.is_scalar() || node.value == Value::Null {
                    entry.key_at
                } else {
                    node.at
                };
                rest = after;
            }
            Value::Sequence(nodes) => {
                let Some(item) = step.name.parse::<usize>().ok().and_then(|index| nodes.get(index)) else { return at };
                node = item;
                at = item.at;
                rest = step.after;
            }
            _ => return at,
        }
    }
    at
}

/// The entry that the next step of a path means, and what is left of the path after it.
fn entry<'a>(node: &'a Node, rest: &'a str, step: &Step<'a>) -> Option<(&'a Entry, &'a str)> {
    if let Some(entry) = node.entry(step.name) {
        return Some((entry, step.after));
    }
    // A key with dots in it, written without brackets.
    if let Some(entry) = node.entry(rest) {
        return Some((entry, ""));
    }
    // What the removed API versions call the same thing.
    match step.name {
        "defaultBackend" => node.entry("backend").map(|entry| (entry, step.after)),
        "service" if step.after.starts_with("port") => node.entry("servicePort").map(|entry| (entry, "")),
        "service" => node.entry("serviceName").map(|entry| (entry, "")),
        _ => None,
    }
}

/// One step of a field path: `name`, `[3]` or `[a.key/with.dots]`.
struct Step<'a> {
    name: &'a str,
    bracketed: bool,
    after: &'a str,
}

impl<'a> Step<'a> {
    fn split(path: &'a str) -> Self {
        let (name, bracketed, after) = match path.strip_prefix('[') {
            Some(inner) => {
                let (name, after) = inner.split_once(']').unwrap_or((inner, ""));
                (name, true, after)
            }
            None => {
                let (name, after) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
                (name, false, after)
            }
        };
        Self { name, bracketed, after: after.strip_prefix('.').unwrap_or(after) }
    }
}
