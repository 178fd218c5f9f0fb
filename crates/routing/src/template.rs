//! Text with nginx variables (`$request_uri`), parsed once.

use std::fmt;

use crate::decide::RequestHead;
use crate::forward::Forwarded;
use crate::host::Host;
use crate::path::{NormalizedPath, origin_form, query_of};
use crate::policy::basic_auth::Credentials;
use crate::policy::digest_auth::Answer;

/// A variable that a template may name. The names are nginx's (ngx_http_variables.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// `$host`: the request's host, lower case, without the port.
    Host,
    /// `$http_host`: the `Host` header as sent.
    HttpHost,
    /// `$request_uri`: the raw request target.
    RequestUri,
    /// `$uri`: the normalised path.
    Uri,
    /// `$args` or `$query_string`: the query without `?`.
    Args,
    /// `$remote_addr` or `$binary_remote_addr`: the client's address.
    RemoteAddr,
    /// `$scheme`: `http` or `https`.
    Scheme,
    /// `$request_method`.
    RequestMethod,
    /// `$escaped_request_uri`: the request target, as sent, percent-encoded as a part of a URL.
    EscapedRequestUri,
    /// `$best_http_host`: the host with its port, as the upstream gets it.
    BestHttpHost,
    /// `$request_id` or `$req_id`: the identity of the request.
    RequestId,
    /// `$remote_user`: who the client says to be with a password, right or wrong.
    RemoteUser,
    /// `$server_port` or `$pass_server_port`: the port, as the upstream gets it.
    ServerPort,
}

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text as it is.
    Literal(Box<str>),
    /// A variable of the request.
    Variable(Variable),
    /// `$http_NAME`: a request header, its name lower case with `-`.
    Header(Box<str>),
    /// `$cookie_NAME`.
    Cookie(Box<str>),
    /// `$arg_NAME`: a query parameter, not decoded.
    Arg(Box<str>),
}

/// Parsed text. It holds only variables that exist: an unknown one is a parse error, never empty text at run time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Template {
    /// The pieces, in order.
    pub parts: Vec<Part>,
}

/// Why a template does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTemplateError {
    /// The variable is not one that Edgeward knows.
    #[error("unknown variable ${0}")]
    UnknownVariable(String),
    /// `$` without a name behind it, or `${` without `}`.
    #[error("`$` at byte {0} is not followed by a variable name")]
    NoName(usize),
    /// The text is empty.
    #[error("the text is empty")]
    Empty,
}

impl std::str::FromStr for Template {
    type Err = ParseTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ParseTemplateError::Empty);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                parts.push(Part::Literal(rest[..at].into()));
            }
            let offset = text.len() - rest.len() + at;
            let after = &rest[at + 1..];
            let (name, behind) = if let Some(braced) = after.strip_prefix('{') {
                let end = braced.find('}').ok_or(ParseTemplateError::NoName(offset))?;
                (&braced[..end], &braced[end + 1..])
            } else {
                let end = after.find(|c: char| !is_name_char(c)).unwrap_or(after.len());
                after.split_at(end)
            };
            if name.is_empty() || name.contains(|c: char| !is_name_char(c)) {
                return Err(ParseTemplateError::NoName(offset));
            }
            parts.push(parse_variable(name).ok_or_else(|| ParseTemplateError::UnknownVariable(name.to_owned()))?);
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self { parts })
    }
}

/// What the name of a variable is made of, in braces too (ngx_http_script_compile).
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn parse_variable(name: &str) -> Option<Part> {
    Some(Part::Variable(match name {
        "host" => Variable::Host,
        "http_host" => Variable::HttpHost,
        "request_uri" => Variable::RequestUri,
        "uri" | "document_uri" => Variable::Uri,
        "args" | "query_string" => Variable::Args,
        "remote_addr" | "binary_remote_addr" | "the_real_ip" => Variable::RemoteAddr,
        "scheme" | "pass_access_scheme" => Variable::Scheme,
        "request_method" => Variable::RequestMethod,
        "escaped_request_uri" => Variable::EscapedRequestUri,
        "best_http_host" => Variable::BestHttpHost,
        "request_id" | "req_id" => Variable::RequestId,
        "remote_user" => Variable::RemoteUser,
        "server_port" | "pass_server_port" | "pass_port" => Variable::ServerPort,
        _ => {
            return if let Some(header) = name.strip_prefix("http_").filter(|n| !n.is_empty()) {
                Some(Part::Header(header.to_ascii_lowercase().replace('_', "-").into()))
            } else if let Some(cookie) = name.strip_prefix("cookie_").filter(|n| !n.is_empty()) {
                Some(Part::Cookie(cookie.into()))
            } else {
                name.strip_prefix("arg_").filter(|n| !n.is_empty()).map(|arg| Part::Arg(arg.into()))
            };
        }
    }))
}

impl fmt::Display for Template {
    /// Text that parses to the same template.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            let name = match part {
                Part::Literal(text) => {
                    f.write_str(text)?;
                    continue;
                }
                Part::Variable(variable) => variable.name().into(),
                Part::Header(name) => format!("http_{}", name.replace('-', "_")),
                Part::Cookie(name) => format!("cookie_{name}"),
                Part::Arg(name) => format!("arg_{name}"),
            };
            // Braces only where the text behind would read as more of the name.
            match self.parts.get(at + 1) {
                Some(Part::Literal(next)) if next.starts_with(is_name_char) => write!(f, "${{{name}}}")?,
                _ => write!(f, "${name}")?,
            }
        }
        Ok(())
    }
}

impl Variable {
    /// The name, without `$`; of several the one that says most plainly what it is.
    const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::HttpHost => "http_host",
            Self::RequestUri => "request_uri",
            Self::Uri => "uri",
            Self::Args => "args",
            Self::RemoteAddr => "remote_addr",
            Self::Scheme => "scheme",
            Self::RequestMethod => "request_method",
            Self::EscapedRequestUri => "escaped_request_uri",
            Self::BestHttpHost => "best_http_host",
            Self::RequestId => "request_id",
            Self::RemoteUser => "remote_user",
            Self::ServerPort => "server_port",
        }
    }
}

impl Template {
    /// The text for a request as the value of a header field: without control characters, which a decoded path or user may
    /// hold, and of which some would end the field.
    pub fn field_value(&self, forwarded: &Forwarded, head: &impl RequestHead, request_id: &str) -> Vec<u8> {
        let mut value = Vec::new();
        self.write(forwarded, head, request_id, &mut value);
        value.retain(|byte| *byte == b'\t' || !byte.is_ascii_control());
        value
    }

    /// Appends the text for a request to `out`. It may hold any byte, as what is told apart by it needs.
    pub fn write(&self, forwarded: &Forwarded, head: &impl RequestHead, request_id: &str, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(Variable::RequestId) => out.extend_from_slice(request_id.as_bytes()),
                Part::Variable(variable) => write_variable(*variable, forwarded, head, out),
                Part::Header(name) => out.extend_from_slice(head.header(name).unwrap_or_default()),
                Part::Cookie(name) => out.extend_from_slice(cookie(head, name).unwrap_or_default()),
                Part::Arg(name) => out.extend_from_slice(argument(head.target(), name).unwrap_or_default().as_bytes()),
            }
        }
    }
}

fn write_variable(variable: Variable, forwarded: &Forwarded, head: &impl RequestHead, out: &mut Vec<u8>) {
    match variable {
        Variable::Host => {
            if let Some(host) = head.authority().and_then(Host::normalize) {
                out.extend_from_slice(host.as_str().as_bytes());
            }
        }
        Variable::HttpHost => out.extend_from_slice(head.authority().unwrap_or_default().as_bytes()),
        Variable::RequestUri => out.extend_from_slice(origin_form(head.target()).as_bytes()),
        Variable::Uri => {
            if let Ok(path) = NormalizedPath::parse(head.target()) {
                out.extend_from_slice(path.as_bytes());
            }
        }
        Variable::Args => {
            out.extend_from_slice(query_of(head.target()).as_bytes());
        }
        Variable::RemoteAddr => out.extend_from_slice(forwarded.client.to_string().as_bytes()),
        Variable::Scheme => out.extend_from_slice(&forwarded.scheme),
        Variable::RequestMethod => out.extend_from_slice(head.method().as_bytes()),
        Variable::EscapedRequestUri => {
            escape(head.sent_target().unwrap_or_else(|| origin_form(head.target()).as_bytes()), out);
        }
        Variable::BestHttpHost => out.extend_from_slice(&forwarded.host),
        // Whoever calls this has it.
        Variable::RequestId => {}
        Variable::RemoteUser => {
            if let Some(credentials) = Credentials::of(head) {
                out.extend_from_slice(credentials.user());
            } else if let Some(answer) = Answer::of(head) {
                out.extend_from_slice(answer.user());
            }
        }
        Variable::ServerPort => out.extend_from_slice(&forwarded.port),
    }
}

/// Percent-encodes everything that is not unreserved (RFC 3986 section 2.3; nginx NGX_ESCAPE_URI_COMPONENT).
fn escape(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The value of the first cookie of a name (RFC 6265 section 5.4 writes them as `a=1; b=2`); nginx compares names without
/// case (ngx_http_parse_multi_header_lines).
pub(crate) fn cookie<'a>(head: &'a impl RequestHead, name: &str) -> Option<&'a [u8]> {
    head.header_values("cookie").flat_map(|value| value.split(|b| *b == b';')).find_map(|pair| {
        let (key, value) = pair.split_at(pair.iter().position(|b| *b == b'=')?);
        key.trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| value[1..].trim_ascii())
    })
}

/// The value of the first query parameter of a name, not decoded; nginx compares names without case.
fn argument<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    query_of(target).split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[cfg(test)]
mod tests;
