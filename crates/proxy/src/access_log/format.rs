//! Formats of the access log: parsed once, with every mistake named, into a list of pieces to write.

use std::fmt;
use std::str::FromStr;

use super::entry::{Entry, Line};
use super::escape::Escape;
use super::variable::Variable;
use crate::record::RequestRecord;

/// ingress-nginx's default `log-format-upstream`; parsers in log pipelines depend on every byte of it.
const NGINX: &str = concat!(
    r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "#,
    "$request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr ",
    "$upstream_response_length $upstream_response_time $upstream_status $req_id",
);

/// One JSON object per line. Keys are nginx's names; lists over tries are strings, as in nginx.
const JSON: &str = concat!(
    r#"{"time_iso8601":"$time_iso8601","remote_addr":"$remote_addr","remote_user":"$remote_user","#,
    r#""request":"$request","request_method":"$request_method","request_uri":"$request_uri","host":"$host","#,
    r#""server_protocol":"$server_protocol","scheme":"$scheme","status":$status,"body_bytes_sent":$body_bytes_sent,"#,
    r#""request_length":$request_length,"request_time":$request_time,"http_referer":"$http_referer","#,
    r#""http_user_agent":"$http_user_agent","proxy_upstream_name":"$proxy_upstream_name","#,
    r#""upstream_addr":"$upstream_addr","upstream_status":"$upstream_status","#,
    r#""upstream_response_time":"$upstream_response_time","upstream_response_length":"$upstream_response_length","#,
    r#""req_id":"$req_id","reason":"$edgeward_reason","client_ip_source":"$edgeward_client_ip_source","#,
    r#""tls_version":"$ssl_protocol","namespace":"$namespace","ingress":"$ingress_name","service":"$service_name"}"#,
);

/// What a line of the access log looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLogFormat {
    /// As ingress-nginx writes it by default.
    #[default]
    Nginx,
    /// One JSON object per line.
    Json,
    /// A format of the user's.
    Custom(Template),
    /// No access log.
    Off,
}

/// Why the text of a format does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFormatError {
    /// The text names no variable, so that every line would be the same.
    #[error(
        "the access log format `{0}` is none of `nginx`, `json` and `off`, and names no variable such as `$status`"
    )]
    NoVariable(String),
    /// A variable that does not exist.
    #[error("the access log format names the unknown variable `${name}` at byte {at}")]
    UnknownVariable {
        /// The name, without `$`.
        name: String,
        /// Where its `$` is, counted from 0.
        at: usize,
    },
    /// A `$` without a name behind it, or a `${` without its `}`.
    #[error("the access log format has a `$` at byte {0} that begins no variable: write `$name` or `${{name}}`")]
    BadVariable(usize),
}

impl FromStr for AccessLogFormat {
    type Err = ParseFormatError;

    /// Parses `nginx`, `json`, `off` or a format as nginx's `log_format` takes it. One that looks like a JSON object is
    /// escaped for JSON.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nginx" => Ok(Self::Nginx),
            "json" => Ok(Self::Json),
            "off" => Ok(Self::Off),
            _ => {
                let escape = if text.trim_start().starts_with('{') { Escape::Json } else { Escape::Default };
                Template::parse(text, escape).map(Self::Custom)
            }
        }
    }
}

impl fmt::Display for AccessLogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nginx => "nginx",
            Self::Json => "json",
            Self::Off => "off",
            Self::Custom(template) => &template.text,
        })
    }
}

impl AccessLogFormat {
    /// The compiled form; `None` when nothing is to be logged.
    pub(super) fn template(&self) -> Option<Template> {
        let (text, escape) = match self {
            Self::Off => return None,
            Self::Custom(template) => return Some(template.clone()),
            Self::Nginx => (NGINX, Escape::Default),
            Self::Json => (JSON, Escape::Json),
        };
        Some(Template::parse(text, escape).expect("the built-in formats name only variables that exist"))
    }
}

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    pieces: Box<[Piece]>,
    escape: Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Variable(Variable),
}

impl Template {
    /// Compiles a format: text with `$name` or `${name}`.
    ///
    /// # Errors
    /// When it names a variable that does not exist, or none at all.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, ParseFormatError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            let at = text.len() - rest.len() + dollar;
            if dollar > 0 {
                pieces.push(Piece::Literal(rest[..dollar].into()));
            }
            let (name, behind) = split_name(&rest[dollar + 1..]).ok_or(ParseFormatError::BadVariable(at))?;
            let variable =
                Variable::parse(name).ok_or_else(|| ParseFormatError::UnknownVariable { name: name.to_owned(), at })?;
            pieces.push(Piece::Variable(variable));
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        if !pieces.iter().any(|piece| matches!(piece, Piece::Variable(_))) {
            return Err(ParseFormatError::NoVariable(text.to_owned()));
        }
        Ok(Self { text: text.into(), pieces: pieces.into(), escape })
    }

    /// Appends the line of a request, without a line break.
    pub(super) fn write(&self, record: &RequestRecord<'_>, out: &mut Vec<u8>) {
        let entry = Entry::new(record);
        let mut line = Line::new(out, self.escape);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => line.plain(text),
                Piece::Variable(variable) => variable.write(&entry, &mut line),
            }
        }
    }
}

/// Splits what follows a `$` into the name and the rest.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => text.split_at(text.find(|c: char| !is_name(c)).unwrap_or(text.len())),
    };
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, rest))
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
