//! What a line of the access log looks like.

use std::fmt;
use std::str::FromStr;

use edgeward_routing::log_format::{Escape, LogFormat, NGINX, ParseFormatError, Piece};

use super::entry::{Entry, Line};
use super::variable;
use crate::record::RequestRecord;

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
    Custom(LogFormat),
    /// No access log.
    Off,
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
                LogFormat::parse(text, escape).map(Self::Custom)
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
            Self::Custom(format) => format.text(),
        })
    }
}

impl AccessLogFormat {
    /// The compiled form; `None` when nothing is to be logged.
    pub(super) fn compiled(&self) -> Option<LogFormat> {
        let (text, escape) = match self {
            Self::Off => return None,
            Self::Custom(format) => return Some(format.clone()),
            Self::Nginx => (NGINX, Escape::Default),
            Self::Json => (JSON, Escape::Json),
        };
        Some(LogFormat::parse(text, escape).expect("the built-in formats name only variables that exist"))
    }
}

/// Appends what a format comes to for a request: its line, without a line break.
pub(crate) fn write(format: &LogFormat, record: &RequestRecord<'_>, out: &mut Vec<u8>) {
    let entry = Entry::new(record);
    let mut line = Line::new(out, format.escape());
    for piece in format.pieces() {
        match piece {
            Piece::Literal(text) => line.plain(text),
            Piece::Variable(variable) => variable::write(variable, &entry, &mut line),
        }
    }
}
