//! Sizes, buffers and speeds of bodies.

use edgeward_routing::policy::BodySize;

use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Bodies",
    doc: "Sizes, buffers and speeds of bodies. But for requests whose length is not declared they are streamed in both directions, through \
          buffers that size themselves.",
    annotations: &[
        Annotation::moot(
            "client-body-buffer-size",
            Scope::Route,
            |value, _| match is_size(value) {
                true => Ok(()),
                false if value.trim().is_empty() => Err(invalid(SIZE)),
                false => Err(Rejection::Drops(SIZE.to_owned())),
            },
            "How much of the body of a request is in memory is not to be chosen: it is streamed, or held as `proxy-request-buffering` says, \
             and no file is written.",
        ),
        Annotation::honoured(
            "limit-rate",
            Scope::Route,
            |value, settings| {
                settings.body.rate = Some(kilobytes(value)?);
                Ok(())
            },
            "Kilobytes per second that each response is sent with; `0` is without a limit.",
        ),
        Annotation::honoured(
            "limit-rate-after",
            Scope::Route,
            |value, settings| {
                settings.body.rate_after = Some(kilobytes(value)?);
                Ok(())
            },
            "Kilobytes of a response after which that limit holds.",
        ),
        Annotation::honoured(
            "proxy-body-size",
            Scope::Route,
            body_size,
            "Largest request body, such as `8m`; `0` is without a limit. Larger ones are answered 413.",
        ),
        Annotation::moot(
            "proxy-buffer-size",
            Scope::Route,
            |value, _| if is_size(value) && !is_zero(value) { Ok(()) } else { Err(invalid(SIZE)) },
            "The head of a response may have up to 128 KiB, whatever is asked for.",
        ),
        Annotation::moot(
            "proxy-buffering",
            Scope::Route,
            on_or_off,
            "Responses are streamed, as with `off`: what a slow client has not taken stays with its endpoint.",
        ),
        Annotation::moot(
            "proxy-buffers-number",
            Scope::Route,
            // 0 breaks the whole configuration of the original (recorded: c390).
            |value, _| match value.parse::<i64>() {
                Ok(1..) => Ok(()),
                Ok(_) | Err(_) => Err(invalid("a whole number of at least 1")),
            },
            "Buffers size themselves.",
        ),
        Annotation::moot(
            "proxy-busy-buffers-size",
            Scope::Route,
            size,
            "Buffers size themselves.",
        ),
        Annotation::moot(
            "proxy-max-temp-file-size",
            Scope::Route,
            size,
            "No file is written, as with `0`.",
        ),
        Annotation::honoured(
            "proxy-request-buffering",
            Scope::Route,
            |value, settings| {
                settings.streams_request = Some(match value.trim() {
                    "on" => false,
                    "off" => true,
                    _ => return Err(invalid(ON)),
                });
                Ok(())
            },
            "`off` streams the body of a request to an endpoint as it comes. With `on`, the default, one whose length is not \
             declared (in chunks, or in HTTP/2) is read before an endpoint is chosen, which gets its length, without trailers.",
        )
        .differing(
            "A body with a declared length is streamed all the same. So is one in chunks from 1 MiB on, or where all that are being \
             read fill 32 MiB (each takes twice its length), and every one to endpoints in TLS or in HTTP/2, or with \
             `--fast-path=false`: in chunks.",
        )
        .but_for(&["off"]),
    ],
};

/// Speeds that an Ingress asks for. `None` is: what the ConfigMap says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BodySettings {
    /// `limit-rate` in bytes per second; 0 is without a limit.
    pub rate: Option<u64>,
    /// `limit-rate-after` in bytes.
    pub rate_after: Option<u64>,
}

fn body_size(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let size = BodySize::parse(value.trim());
    let size =
        size.ok_or_else(|| invalid("a number of bytes with an optional `k`, `m` or `g`, or `0` for no limit"))?;
    settings.body_size = Some(size);
    Ok(())
}

const ON: &str = "`on` or `off`";

const SIZE: &str = "a number of bytes with an optional `k`, `m` or `g`";

/// Whether this is a size (parser/validators.go SizeRegex).
fn is_size(value: &str) -> bool {
    let text: String = value.chars().filter(|c| *c != ' ').collect();
    let digits = text.strip_suffix(['b', 'k', 'm', 'g', 'B', 'K', 'M', 'G']).unwrap_or(&text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_zero(size: &str) -> bool {
    !size.bytes().any(|b| (b'1'..=b'9').contains(&b))
}

fn size(value: &str, _: &mut IngressSettings) -> Result<(), Rejection> {
    if is_size(value) { Ok(()) } else { Err(invalid(SIZE)) }
}

fn on_or_off(value: &str, _: &mut IngressSettings) -> Result<(), Rejection> {
    if matches!(value.trim(), "on" | "off") { Ok(()) } else { Err(invalid(ON)) }
}

fn kilobytes(value: &str) -> Result<u64, Rejection> {
    parse_kilobytes(value).ok_or_else(|| invalid("a whole number of kilobytes"))
}

/// A number of kilobytes in bytes, as Go's strconv.Atoi reads it; a negative one is none (template.go buildRateLimit).
pub(crate) fn parse_kilobytes(value: &str) -> Option<u64> {
    let number = value.parse::<i64>().ok()?;
    Some(u64::try_from(number).unwrap_or(0).saturating_mul(1024))
}
