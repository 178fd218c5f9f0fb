//! Secret and ConfigMap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::cursor::{Cursor, ShapeError};
use super::meta::{meta, text_map};
use crate::object::{ConfigMap, Meta, NamespacedName, Secret};

/// A Secret: `data` decoded, with `stringData` over it. No error shows a value.
pub(super) fn secret(object: &Cursor<'_>, name: NamespacedName) -> Result<Secret, ShapeError> {
    let mut data = BTreeMap::new();
    for (key, value) in object.field("data")?.entries()? {
        let mut encoded = value.text_or_empty()?;
        // A block scalar brings line breaks along, which the API server's decoder passes over too.
        encoded.retain(|character| !matches!(character, '\n' | '\r'));
        let decoded = STANDARD.decode(encoded).map_err(|_| {
            value.error(
                format!("{} is not valid base64", value.path()),
                "encode the value with base64 -w0, or give it as it is under stringData",
            )
        })?;
        data.insert(key.to_owned(), decoded);
    }
    for (key, value) in text_map(&object.field("stringData")?)? {
        data.insert(key, value.into_bytes());
    }
    Ok(Secret { meta: meta(object, name)?, data: Arc::new(data) })
}

/// A ConfigMap, and what is wrong in it: a value that is no string costs its own key, and metadata none.
pub(super) fn config_map(
    object: &Cursor<'_>,
    name: NamespacedName,
) -> Result<(ConfigMap, Vec<ShapeError>), ShapeError> {
    let mut errors = Vec::new();
    let meta = meta(object, name.clone()).unwrap_or_else(|error| {
        errors.push(error);
        Meta { name, created: None, annotations: BTreeMap::new() }
    });
    let mut map = ConfigMap { meta, data: BTreeMap::new(), unreadable: BTreeSet::new() };
    for (key, value) in object.field("data")?.entries()? {
        match value.text_or_empty() {
            Ok(text) => {
                map.data.insert(key.to_owned(), text);
            }
            Err(error) => {
                map.unreadable.insert(key.to_owned());
                errors.push(error);
            }
        }
    }
    Ok((map, errors))
}
