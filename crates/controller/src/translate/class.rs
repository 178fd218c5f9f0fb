//! Which Ingresses are ours, and in which order they count.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use edgeward_routing::origin::Origin;

use super::guard::Guards;
use super::options::{EDGEWARD_CONTROLLER, Options};
use crate::annotation::{self, IngressSettings};
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{CLASS_ANNOTATION, Ingress, Kind, NamespacedName};

/// An Ingress that is served, or one that a value drops and that guards something.
pub(super) struct Owned<'a> {
    pub(super) ingress: &'a Ingress,
    /// The whole object.
    pub(super) origin: Origin,
    /// What its annotations ask for.
    pub(super) settings: IngressSettings,
    /// What guards its routes.
    pub(super) guards: Guards,
}

impl Owned<'_> {
    /// The namespace that it is of.
    pub(super) fn namespace(&self) -> Arc<str> {
        Arc::clone(&self.ingress.meta.name.namespace)
    }

    /// Whether it is not served because a value of it is none.
    pub(super) fn is_dropped(&self) -> bool {
        self.settings.is_dropped
    }

    /// Whether it adds no route of its own, but an alternative to those of others.
    pub(super) fn is_canary(&self) -> bool {
        self.settings.canary.is_canary
    }
}

/// Those of some Ingresses that are ours, those first that win where two want the same. Of those that a value drops there is
/// what they guard.
pub(super) fn owned<'a>(
    ingresses: impl Iterator<Item = &'a Ingress>,
    index: &Index,
    options: &Options,
    reader: &mut annotation::Reader<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Owned<'a>> {
    let mut ingresses: Vec<&Ingress> =
        ingresses.filter(|ingress| is_ours(ingress, index, options, diagnostics)).collect();
    ingresses.sort_by(|a, b| precedence(a, b, options));
    ingresses
        .into_iter()
        .map(|ingress| {
            let origin = ingress.meta.origin(Kind::Ingress);
            let settings = reader.ingress(&ingress.meta.annotations, &origin, diagnostics);
            let settings = if settings.is_dropped { settings.dropped() } else { settings };
            Owned { ingress, origin, settings, guards: Guards::default() }
        })
        .collect()
}

/// The names of `before`, in order of precedence, with those of `part` replaced by `served`.
pub(super) fn merged(
    before: &[NamespacedName],
    part: &BTreeSet<NamespacedName>,
    served: &[&Ingress],
    index: &Index,
    options: &Options,
) -> Vec<NamespacedName> {
    let mut names: Vec<_> = before.iter().filter(|name| !part.contains(name)).cloned().collect();
    for new in served {
        let comes_before =
            |name: &NamespacedName| index.ingress(name).is_some_and(|known| precedence(known, new, options).is_lt());
        let at = names.partition_point(comes_before);
        names.insert(at, new.meta.name.clone());
    }
    names
}

/// The oldest first, those without a time last. Of the same second, ingress-nginx takes the one whose `namespace/name`
/// sorts last (store.go sortIngressSlice); the Gateway API's rule, taken under `Strict`, is first in the alphabet.
pub(super) fn precedence(a: &Ingress, b: &Ingress, options: &Options) -> Ordering {
    let age = |ingress: &Ingress| (ingress.meta.created.is_none(), ingress.meta.created);
    age(a).cmp(&age(b)).then_with(|| {
        let by_name = text(a).cmp(text(b));
        if options.is_strict() { by_name } else { by_name.reverse() }
    })
}

/// `namespace/name` as one text with the slash, in which `a-b/c` sorts before `a/b`.
fn text(ingress: &Ingress) -> impl Iterator<Item = u8> {
    let NamespacedName { namespace, name } = &ingress.meta.name;
    namespace.bytes().chain([b'/']).chain(name.bytes())
}

/// Class ownership (ingress-nginx store.go GetIngressClass): `spec.ingressClassName` counts before the annotation.
fn is_ours(ingress: &Ingress, index: &Index, options: &Options, diagnostics: &mut Vec<Diagnostic>) -> bool {
    if !options.namespace_selector.selects_all() {
        let labels = index.labels_of_namespace(&ingress.meta.name.namespace);
        if !labels.is_some_and(|labels| options.namespace_selector.matches(labels)) {
            return false;
        }
    }
    let mut say = |severity, code, field: String, message: String, mend: String| {
        let origin = ingress.meta.origin(Kind::Ingress).at(field);
        diagnostics.push(Diagnostic::new(severity, code, origin, message, mend));
    };
    if let Some(name) = &ingress.class_name {
        let field = "spec.ingressClassName".to_owned();
        let Some(class) = index.class(name) else {
            // Where IngressClasses may not be read, the name alone decides too.
            let is_by_name = !options.class_objects_required || index.is_refused(Kind::IngressClass);
            if is_by_name && *name == options.ingress_class {
                return true;
            }
            let severity = if *name == options.ingress_class { Severity::Warning } else { Severity::Info };
            let message = format!("there is no IngressClass `{name}`: the Ingress is not served");
            let mend = format!("create it with `spec.controller: {}`", options.controller_class);
            say(severity, "ClassNotFound", field, message, mend);
            return false;
        };
        let is_ours = class.controller == options.controller_class
            || class.controller == EDGEWARD_CONTROLLER
            || (options.ingress_class_by_name && *name == options.ingress_class);
        if !is_ours {
            let message = format!("class `{name}` belongs to the controller `{}`: not served here", class.controller);
            let mend =
                format!("nothing to do, unless it is meant for Edgeward: name a class of `{EDGEWARD_CONTROLLER}`");
            say(Severity::Info, "ForeignClass", field, message, mend);
        }
        return is_ours;
    }
    if let Some(name) = ingress.meta.annotations.get(CLASS_ANNOTATION) {
        let is_ours = *name == options.ingress_class;
        if !is_ours {
            let message = format!("class `{name}` is not `{}`: not served here", options.ingress_class);
            let mend = format!("nothing to do, unless it is meant for Edgeward: write `{}`", options.ingress_class);
            say(Severity::Info, "ForeignClass", annotation::field(CLASS_ANNOTATION), message, mend);
        }
        return is_ours;
    }
    if !options.watch_ingress_without_class {
        let message = "the Ingress names no class: not served here".to_owned();
        let mend = format!("set `spec.ingressClassName: {}`", options.ingress_class);
        say(Severity::Info, "NoClass", "spec".to_owned(), message, mend);
    }
    options.watch_ingress_without_class
}
