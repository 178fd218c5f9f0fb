//! Keys about the compression of responses.

use std::sync::Arc;

use edgeward_routing::policy::Expression;
use edgeward_routing::settings::{Compression, MediaTypes, Terms};

use super::Configuration;
use super::value::{Read, switch};

/// What is asked for, in several keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    uses_gzip: bool,
    uses_brotli: bool,
    gzip: Terms,
    brotli: Terms,
    no_gzip: Option<Expression>,
}

/// What is compressed unless a key says otherwise (config.go, `gzipTypes`).
const GZIP_TYPES: &str = "application/atom+xml application/javascript application/x-javascript application/json \
     application/rss+xml application/vnd.ms-fontobject application/x-font-ttf application/x-web-app-manifest+json \
     application/xhtml+xml application/xml font/opentype image/svg+xml image/x-icon text/css text/javascript text/plain \
     text/x-component";

/// The same for Brotli (config.go, `brotliTypes`).
const BROTLI_ALONE: &str = "application/xml+rss";

impl Default for Asked {
    fn default() -> Self {
        let types = |text: &str| MediaTypes::parse(text).unwrap_or(MediaTypes::These(Box::default()));
        Self {
            uses_gzip: false,
            uses_brotli: false,
            gzip: Terms { level: 1, min_length: 256, types: types(GZIP_TYPES) },
            brotli: Terms { level: 4, min_length: 20, types: types(&format!("{BROTLI_ALONE} {GZIP_TYPES}")) },
            no_gzip: None,
        }
    }
}

impl Asked {
    /// What it comes to.
    pub(super) fn compression(&self) -> Option<Arc<Compression>> {
        let compression = Compression {
            gzip: self.uses_gzip.then(|| self.gzip.clone()),
            brotli: self.uses_brotli.then(|| self.brotli.clone()),
            no_gzip: self.no_gzip.clone(),
        };
        (self.uses_gzip || self.uses_brotli).then(|| Arc::new(compression))
    }
}

pub(super) fn use_gzip(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.uses_gzip = switch(value)?;
    Ok(())
}

pub(super) fn enable_brotli(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.uses_brotli = switch(value)?;
    Ok(())
}

pub(super) fn gzip_level(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.gzip.level = level(value, 1, 9)?;
    Ok(())
}

pub(super) fn brotli_level(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.brotli.level = level(value, 0, 11)?;
    Ok(())
}

fn level(value: &str, least: u8, most: u8) -> Result<u8, String> {
    let level = value.trim().parse().ok().filter(|level| (least..=most).contains(level));
    level.ok_or_else(|| format!("a whole number from {least} to {most}"))
}

pub(super) fn gzip_min_length(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.gzip.min_length = bytes(value)?;
    Ok(())
}

pub(super) fn brotli_min_length(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.brotli.min_length = bytes(value)?;
    Ok(())
}

fn bytes(value: &str) -> Result<u64, String> {
    value.trim().parse().map_err(|_| "a whole number of bytes".to_owned())
}

pub(super) fn gzip_types(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.gzip.types = types(value)?;
    Ok(())
}

pub(super) fn brotli_types(value: &str, configuration: &mut Configuration) -> Read {
    configuration.compression.brotli.types = types(value)?;
    Ok(())
}

fn types(value: &str) -> Result<MediaTypes, String> {
    MediaTypes::parse(value).ok_or_else(|| "media types with blanks between them, or `*` for all".to_owned())
}

/// nginx knows one word that is none of the text (ngx_http_gzip_disable).
pub(super) fn gzip_disable(value: &str, configuration: &mut Configuration) -> Read {
    let pattern = if value.trim() == "msie6" { r"MSIE [4-6]\." } else { value };
    let pattern = (!value.is_empty()).then(|| Expression::caseless(pattern)).transpose();
    configuration.compression.no_gzip =
        pattern.map_err(|_| "a regular expression without look-around and back-references, or `msie6`".to_owned())?;
    Ok(())
}
