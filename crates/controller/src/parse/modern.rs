//! The `networking.k8s.io/v1` form of an Ingress that is written in a removed API version.

use super::emit::emit;
use super::yaml::{Entry, Node, Position, Value};
use crate::object::CLASS_ANNOTATION;

/// What the API server adds to an object; it has no place in a manifest.
const SERVER_METADATA: [&str; 6] =
    ["managedFields", "uid", "resourceVersion", "generation", "selfLink", "creationTimestamp"];

/// The modern form as YAML. Everything that the API versions have in common is kept as it is.
pub(super) fn modern_yaml(legacy: &Node) -> String {
    let mut object = legacy.clone();
    set(&mut object, "apiVersion", text("networking.k8s.io/v1"));
    remove(&mut object, "status");
    let mut class = None;
    if let Some(metadata) = child_mut(&mut object, "metadata") {
        for name in SERVER_METADATA {
            remove(metadata, name);
        }
        if let Some(annotations) = child_mut(metadata, "annotations") {
            remove(annotations, "kubectl.kubernetes.io/last-applied-configuration");
            class = remove(annotations, CLASS_ANNOTATION);
            if matches!(&annotations.value, Value::Mapping(entries) if entries.is_empty()) {
                remove(metadata, "annotations");
            }
        }
    }
    if let Some(spec) = child_mut(&mut object, "spec") {
        modernise_spec(spec, class);
    }
    emit(&object)
}

fn modernise_spec(spec: &mut Node, class: Option<Node>) {
    if let Some(class) = class
        && spec.entry("ingressClassName").is_none()
        && let Value::Mapping(entries) = &mut spec.value
    {
        entries.insert(0, entry("ingressClassName", class));
    }
    if let Value::Mapping(entries) = &mut spec.value {
        for entry in entries.iter_mut().filter(|entry| entry.key == "backend") {
            entry.key = "defaultBackend".to_owned();
            modernise_backend(&mut entry.node);
        }
    }
    let rules = child_mut(spec, "rules").map_or(&mut [][..], elements_mut);
    let paths = rules
        .iter_mut()
        .filter_map(|rule| child_mut(rule, "http"))
        .filter_map(|http| child_mut(http, "paths"))
        .flat_map(elements_mut);
    for path in paths {
        // The removed versions took an absent pathType for this one; the present one demands it.
        if path.text("pathType").is_none() {
            remove(path, "pathType");
            if let Value::Mapping(entries) = &mut path.value {
                let after_path = entries.iter().position(|entry| entry.key == "path").map_or(0, |index| index + 1);
                entries.insert(after_path, entry("pathType", text("ImplementationSpecific")));
            }
        }
        if let Some(backend) = child_mut(path, "backend") {
            modernise_backend(backend);
        }
    }
}

fn modernise_backend(backend: &mut Node) {
    let name = remove(backend, "serviceName");
    let port = remove(backend, "servicePort");
    let Value::Mapping(entries) = &mut backend.value else { return };
    let mut service = Vec::new();
    service.extend(name.map(|name| entry("name", name)));
    if let Some(port) = port {
        let field = match &port.value {
            // A port name needs a letter, so digits in quotes were always meant as the number.
            Value::Text(digits) => match digits.parse::<u16>() {
                Ok(number) => entry("number", value(Value::Integer(number.into()))),
                Err(_) => entry("name", port),
            },
            _ => entry("number", port),
        };
        service.push(entry("port", value(Value::Mapping(vec![field]))));
    }
    if !service.is_empty() {
        entries.insert(0, entry("service", value(Value::Mapping(service))));
    }
}

fn value(value: Value) -> Node {
    Node { at: Position::START, value }
}

fn text(text: &str) -> Node {
    value(Value::Text(text.to_owned()))
}

fn entry(key: &str, node: Node) -> Entry {
    Entry { key: key.to_owned(), key_at: Position::START, node }
}

fn child_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Mapping(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node),
        _ => None,
    }
}

fn elements_mut(node: &mut Node) -> &mut [Node] {
    match &mut node.value {
        Value::Sequence(nodes) => nodes,
        _ => &mut [],
    }
}

fn remove(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Mapping(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|entry| entry.key == key)?;
    Some(entries.remove(index).node)
}

fn set(node: &mut Node, key: &str, new: Node) {
    match child_mut(node, key) {
        Some(old) => *old = new,
        None => {
            if let Value::Mapping(entries) = &mut node.value {
                entries.insert(0, entry(key, new));
            }
        }
    }
}
