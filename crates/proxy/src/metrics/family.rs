//! The families of request metrics (ingress-nginx internal/ingress/metric/collectors/socket.go).

use std::str::FromStr;

/// What every name of ingress-nginx begins with.
const PREFIX: &str = "nginx_ingress_controller_";

/// A family of request metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Counter of requests.
    Requests,
    /// Time from the request head to the end of the response.
    RequestDuration,
    /// Time of the last try at an endpoint, from its begin to the end of its response.
    ResponseDuration,
    /// Time to a usable connection of the last try.
    ConnectDuration,
    /// Time to the response head of the last try.
    HeaderDuration,
    /// Bytes of the request, head and body.
    RequestSize,
    /// Bytes of the response, head and body.
    ResponseSize,
    /// The same as [`ResponseSize`](Self::ResponseSize) in other buckets; deprecated by ingress-nginx.
    BytesSent,
}

/// The unit and the buckets of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Nanoseconds, told as seconds, in `time_buckets`.
    Time,
    /// Bytes in `length_buckets`.
    Length,
    /// Bytes in `size_buckets`.
    Size,
}

/// The name of no family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no request metric; there are {names}", names = names())]
pub struct UnknownFamilyError(String);

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Requests,
        Self::RequestDuration,
        Self::ResponseDuration,
        Self::ConnectDuration,
        Self::HeaderDuration,
        Self::RequestSize,
        Self::ResponseSize,
        Self::BytesSent,
    ];

    /// Those that ingress-nginx's dashboards read; the rest doubles the number of series.
    pub const DEFAULT: [Self; 5] =
        [Self::Requests, Self::RequestDuration, Self::ResponseDuration, Self::RequestSize, Self::ResponseSize];

    /// The full name of the metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "nginx_ingress_controller_requests",
            Self::RequestDuration => "nginx_ingress_controller_request_duration_seconds",
            Self::ResponseDuration => "nginx_ingress_controller_response_duration_seconds",
            Self::ConnectDuration => "nginx_ingress_controller_connect_duration_seconds",
            Self::HeaderDuration => "nginx_ingress_controller_header_duration_seconds",
            Self::RequestSize => "nginx_ingress_controller_request_size",
            Self::ResponseSize => "nginx_ingress_controller_response_size",
            Self::BytesSent => "nginx_ingress_controller_bytes_sent",
        }
    }

    /// What it counts, in a sentence.
    pub(super) const fn help(self) -> &'static str {
        match self {
            Self::Requests => "Requests of clients",
            Self::RequestDuration => "Seconds from the request head to the end of the response",
            Self::ResponseDuration => "Seconds that the endpoint took to respond in full",
            Self::ConnectDuration => "Seconds to a usable connection to the endpoint",
            Self::HeaderDuration => "Seconds to the response head of the endpoint",
            Self::RequestSize => "Bytes of the request, head and body",
            Self::ResponseSize => "Bytes of the response, head and body",
            Self::BytesSent => "Deprecated: bytes of the response, head and body",
        }
    }

    /// `None` for the counter.
    pub(super) const fn scale(self) -> Option<Scale> {
        match self {
            Self::Requests => None,
            Self::RequestDuration | Self::ResponseDuration | Self::ConnectDuration | Self::HeaderDuration => {
                Some(Scale::Time)
            }
            Self::RequestSize | Self::ResponseSize => Some(Scale::Length),
            Self::BytesSent => Some(Scale::Size),
        }
    }
}

impl FromStr for Family {
    type Err = UnknownFamilyError;

    /// Takes the name with or without `nginx_ingress_controller_` in front.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let short = text.strip_prefix(PREFIX).unwrap_or(text);
        let found = Self::ALL.into_iter().find(|family| family.name().strip_prefix(PREFIX) == Some(short));
        found.ok_or_else(|| UnknownFamilyError(text.to_owned()))
    }
}

fn names() -> String {
    Family::ALL.map(|family| family.name().trim_start_matches(PREFIX)).join(", ")
}
