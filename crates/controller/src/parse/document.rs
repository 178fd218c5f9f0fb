//! The objects in a tree of documents: lists unrolled, API versions recognised.

use super::yaml::{Node, Value};
use crate::object::LegacyVersion;

/// Something that stands where an object should: a document, or an item of a list.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) node: &'a Node,
    pub(crate) api_version: Option<&'a str>,
    pub(crate) kind: Option<&'a str>,
}

/// Every item of the documents in order, those of lists in place of the list.
pub(crate) fn items(documents: &[Node]) -> Vec<Item<'_>> {
    let mut items = Vec::with_capacity(documents.len());
    for document in documents {
        unroll(document, None, &mut items);
    }
    items
}

/// `inherited` is what the items of a typed list are: what a list call returns leaves it out of each.
fn unroll<'a>(node: &'a Node, inherited: Option<(&'a str, &'a str)>, items: &mut Vec<Item<'a>>) {
    let api_version = node.text("apiVersion").or(inherited.map(|(api_version, _)| api_version));
    let kind = node.text("kind").or(inherited.map(|(_, kind)| kind));
    // The depth of the recursion is bounded by that of the tree.
    match (kind, node.child("items").map(|node| &node.value)) {
        (Some("List"), Some(Value::Sequence(nodes))) => {
            nodes.iter().filter(|node| node.value != Value::Null).for_each(|node| unroll(node, None, items));
        }
        (Some("List"), None | Some(Value::Null)) => {}
        (Some(kind), Some(Value::Sequence(nodes))) if kind.len() > 4 && kind.ends_with("List") => {
            let inherited = api_version.zip(kind.strip_suffix("List"));
            nodes.iter().filter(|node| node.value != Value::Null).for_each(|node| unroll(node, inherited, items));
        }
        _ => items.push(Item { node, api_version, kind }),
    }
}

/// What a manifest is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Ingress(Option<LegacyVersion>),
    IngressClass,
    Service,
    EndpointSlice,
    Endpoints,
    Secret,
    ConfigMap,
}

impl Form {
    /// The kind's name in manifests.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Ingress(_) => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// The `apiVersion` that the kind has today.
    pub(crate) const fn api_version(self) -> &'static str {
        match self {
            Self::Ingress(_) | Self::IngressClass => "networking.k8s.io/v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::Service | Self::Endpoints | Self::Secret | Self::ConfigMap => "v1",
        }
    }
}

/// What `apiVersion` and `kind` say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// Read as this.
    Current(Form),
    /// Read as this, though the API version was removed from Kubernetes in this release.
    Removed(Form, &'static str),
    /// One of our kinds in an API version of Kubernetes that does not have it.
    UnknownVersion(Form),
    /// Somebody else's kind.
    Foreign,
}

/// Looks an object's type up.
pub(crate) fn recognise(api_version: &str, kind: &str) -> Recognition {
    use Recognition::{Current, Foreign, Removed, UnknownVersion};
    let form = match kind {
        "Ingress" => Form::Ingress(None),
        "IngressClass" => Form::IngressClass,
        "Service" => Form::Service,
        "EndpointSlice" => Form::EndpointSlice,
        "Endpoints" => Form::Endpoints,
        "Secret" => Form::Secret,
        "ConfigMap" => Form::ConfigMap,
        _ => return Foreign,
    };
    if api_version == form.api_version() {
        return Current(form);
    }
    match (form, api_version) {
        (Form::Ingress(_), "extensions/v1beta1") => {
            Removed(Form::Ingress(Some(LegacyVersion::ExtensionsV1beta1)), "1.22")
        }
        (Form::Ingress(_), "networking.k8s.io/v1beta1") => {
            Removed(Form::Ingress(Some(LegacyVersion::NetworkingV1beta1)), "1.22")
        }
        (Form::IngressClass, "networking.k8s.io/v1beta1") => Removed(form, "1.22"),
        (Form::EndpointSlice, "discovery.k8s.io/v1beta1") => Removed(form, "1.25"),
        // Other projects have kinds of these names as well, in groups with a domain of their own.
        _ => match api_version.split_once('/') {
            Some((group, _)) if group.contains('.') && !group.ends_with(".k8s.io") => Foreign,
            _ => UnknownVersion(form),
        },
    }
}
