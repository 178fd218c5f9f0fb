//! Keys about the access log, and about what a request is known by.

use edgeward_routing::log_format::{Escape, LogFormat, NGINX, ParseFormatError};

use super::Configuration;
use super::value::{Read, header_name, patterns, switch};

/// What is asked for of lines, in three keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Format {
    text: Option<Box<str>>,
    is_json: bool,
    is_raw: bool,
}

impl Format {
    /// The format, `None` where nothing is asked for, and the variables in it that there are not: what a pipeline reads of the rest
    /// of the line stays where it is.
    ///
    /// # Errors
    ///
    /// The text names no variable.
    pub(super) fn compile(&self) -> Result<(Option<LogFormat>, Vec<String>), ParseFormatError> {
        // In this order (nginx.tmpl, log_format).
        let escape = match (self.is_raw, self.is_json) {
            (true, _) => Escape::None,
            (false, true) => Escape::Json,
            (false, false) => Escape::Default,
        };
        match &self.text {
            None if escape == Escape::Default => Ok((None, Vec::new())),
            text => {
                let (format, unknown) = LogFormat::parse_leniently(text.as_deref().unwrap_or(NGINX), escape)?;
                Ok((Some(format), unknown.into_iter().map(|(name, _)| name).collect()))
            }
        }
    }
}

/// The text is compiled once the escaping is known.
pub(super) fn log_format_upstream(value: &str, configuration: &mut Configuration) -> Read {
    configuration.log_format.text = (!value.is_empty()).then(|| value.into());
    Ok(())
}

pub(super) fn log_format_escape_json(value: &str, configuration: &mut Configuration) -> Read {
    configuration.log_format.is_json = switch(value)?;
    Ok(())
}

pub(super) fn log_format_escape_none(value: &str, configuration: &mut Configuration) -> Read {
    configuration.log_format.is_raw = switch(value)?;
    Ok(())
}

pub(super) fn skip_access_log_urls(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.log.skipped = patterns(value)?;
    Ok(())
}

/// Without the key they are logged, other than in ingress-nginx: what nobody serves is what is looked for first.
pub(super) fn logs_default_backend(value: &str, configuration: &mut Configuration) -> Read {
    configuration.logs_default_backend = switch(value)?;
    Ok(())
}

pub(super) fn logs_auth(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.log.has_auth = switch(value)?;
    Ok(())
}

pub(super) fn generate_request_id(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.makes_request_id = switch(value)?;
    Ok(())
}

pub(super) fn forwarded_host_header(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.forwarded_host = header_name(value)?;
    Ok(())
}

pub(super) fn proxy_add_original_uri_header(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.adds_original_uri = switch(value)?;
    Ok(())
}
