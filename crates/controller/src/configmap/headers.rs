//! The ConfigMaps with header fields that the options name: `add-headers` and `proxy-set-headers`.

use edgeward_routing::origin::Origin;
use edgeward_routing::policy::HeaderFields;
use edgeward_routing::template::{ParseTemplateError, Template};

use super::Configuration;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{ConfigMap, Kind, NamespacedName};

/// The keys of the options that name another ConfigMap.
const NAMING: [&str; 2] = ["add-headers", "proxy-set-headers"];

/// The ConfigMaps that the options name: a change of one is a change of the options.
pub(crate) fn named(index: &Index, options: &NamespacedName) -> impl Iterator<Item = NamespacedName> {
    let map = index.config_map(options).or_else(|| index.vanished_config_map(options));
    map.into_iter().flat_map(|map| NAMING.iter().filter_map(|key| name(map.data.get(*key)?)))
}

/// `namespace/name`.
pub(super) fn name(value: &str) -> Option<NamespacedName> {
    let (namespace, name) = value.trim().split_once('/')?;
    let is_whole = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
    is_whole.then(|| NamespacedName::new(namespace, name))
}

/// Reads them into the settings. A field that cannot be sent is left out, and said. That of a request goes without it then: what
/// the client says in its place is not what the endpoint is meant to believe.
pub(super) fn read(index: &Index, configuration: &mut Configuration, diagnostics: &mut Vec<Diagnostic>) {
    for (key, value, origin) in fields(index, configuration.add_headers.as_ref(), diagnostics) {
        // Nothing here stands in for a variable, which a response has no request to take from.
        let set = match value.contains('$') {
            true => Err("variables are not put into headers of responses".to_owned()),
            false => configuration.settings.response_headers.set(key, value).map_err(|error| error.to_string()),
        };
        if let Err(error) = set {
            left_out(key, &error, origin, diagnostics);
        }
    }
    for (key, value, origin) in fields(index, configuration.set_headers.as_ref(), diagnostics) {
        let name = match HeaderFields::name(key) {
            Ok(name) => name,
            Err(error) => {
                left_out(key, &error.to_string(), origin, diagnostics);
                continue;
            }
        };
        let template = upstream_value(value).unwrap_or_else(|error| {
            left_out(key, &error, origin, diagnostics);
            None
        });
        // No request goes without this one, and the client's own is not what it says without it.
        if template.is_some() || value.is_empty() || *name != *"host" {
            configuration.settings.upstream_headers.push((name, template));
        }
    }
}

fn upstream_value(value: &str) -> Result<Option<Template>, String> {
    if !HeaderFields::is_value(value) {
        return Err("the value has characters that no header may have".to_owned());
    }
    match value.trim() {
        "" => Ok(None),
        value => value.parse().map(Some).map_err(|error: ParseTemplateError| error.to_string()),
    }
}

fn left_out(key: &str, error: &str, origin: Origin, diagnostics: &mut Vec<Diagnostic>) {
    let message = format!("header `{key}` is left out: {error}");
    diagnostics.push(Diagnostic::new(Severity::Error, "HeaderInvalid", origin, message, "correct it, or remove it"));
}

/// The fields of a ConfigMap that the options name, each with its place.
fn fields<'i>(
    index: &'i Index,
    name: Option<&NamespacedName>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(&'i str, &'i str, Origin)> {
    let Some(name) = name else { return Vec::new() };
    let origin = Origin::object(Kind::ConfigMap.name(), &name.namespace, &name.name);
    let Some(ConfigMap { data, .. }) = index.config_map(name) else {
        let message = "the ConfigMap with header fields does not exist or cannot be read: there are none";
        let mend = "create it, or correct the option that names it; a cluster needs `--watch-config-maps`";
        diagnostics.push(Diagnostic::new(Severity::Error, "ConfigMapNotFound", origin, message, mend));
        return Vec::new();
    };
    data.iter().map(|(key, value)| (key.as_str(), value.as_str(), origin.at(format!("data[{key}]")))).collect()
}
