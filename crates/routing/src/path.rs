//! Paths of requests, and path patterns of rules.

mod regex;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use self::regex::PathRegex;

/// The rule side of a path. A newcomer from nginx would call it a location.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPattern {
    /// The normalised path is exactly this text, case-sensitive.
    Exact(Box<str>),
    /// The normalised path starts with these elements, case-sensitive, element by element: `/foo` takes `/foo`, `/foo/`
    /// and `/foo/bar` but not `/foobar` (networking.k8s.io/v1 HTTPIngressPath). Kept as written: what a trailing slash
    /// means depends on [`TrailingSlash`].
    Prefix(Box<str>),
    /// The normalised path begins with what this regular expression takes, whatever its case.
    Regex(Arc<PathRegex>),
}

/// What a trailing slash in a path pattern means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrailingSlash {
    /// As nginx has it: Prefix `/my/` takes only what is below it, and a request for `/my` that nothing else takes
    /// exactly is redirected to `/my/` with 301 (ngx_http_core_find_static_location, auto_redirect).
    #[default]
    Redirect,
    /// As the Ingress specification has it: a Prefix ignores its trailing slash, an Exact does not redirect.
    Ignore,
}

/// Why a path pattern does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePathError {
    /// It does not start with `/`.
    #[error("does not start with `/`")]
    NotAbsolute,
    /// It holds a control character.
    #[error("holds a control character at byte {0}")]
    Control(usize),
}

impl PathPattern {
    /// Checks the text of an Ingress path: absolute, no control characters. It is compared with decoded paths, so `%` in
    /// it is a plain character (oracle c022, c023).
    pub fn check(text: &str) -> Result<(), ParsePathError> {
        if !text.starts_with('/') {
            return Err(ParsePathError::NotAbsolute);
        }
        match text.bytes().position(|b| b < 0x20 || b == 0x7f) {
            Some(at) => Err(ParsePathError::Control(at)),
            None => Ok(()),
        }
    }

    /// The text that a rule must have to take the requests that `text` looks like: requests are decoded and normalised
    /// before they are compared with rules, so that one with an escape, or with an empty or a dot segment, is never equal
    /// to a rule that is written like it. Equal to `text` for nearly all rules.
    ///
    /// # Errors
    ///
    /// No request looks like `text`: it is refused before rules are asked.
    pub fn normalized(text: &str) -> Result<Cow<'_, str>, BadPath> {
        Ok(match normalize(text.as_bytes())? {
            Cow::Borrowed(_) => text.into(),
            // What no rule can hold, as control characters or Latin-1, stays as it is written.
            Cow::Owned(bytes) => {
                let form = String::from_utf8(bytes).ok().filter(|form| Self::check(form).is_ok());
                form.map_or(text.into(), Cow::Owned)
            }
        })
    }

    /// The path as written in the rule.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) => path,
            Self::Regex(regex) => regex.text(),
        }
    }
}

impl fmt::Display for PathPattern {
    /// `Prefix /foo`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => write!(f, "Exact {path}"),
            Self::Prefix(path) => write!(f, "Prefix {path}"),
            Self::Regex(regex) => regex.fmt(f),
        }
    }
}

/// The path of a request as rules, guards and logs see it: decoded, dot segments resolved, repeated slashes merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizedPath<'a>(Cow<'a, [u8]>);

/// Why a request target has no path to route on. The answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Neither origin-form nor absolute-form (RFC 9112 section 3.2).
    #[error("the request target has no path")]
    NoPath,
    /// `%` without two hexadecimal digits.
    #[error("the path has a bad percent-encoding")]
    BadEncoding,
    /// A NUL, raw or encoded.
    #[error("the path has a NUL")]
    Nul,
    /// `..` above the root.
    #[error("the path leaves the root")]
    AboveRoot,
    /// A dot segment that is one to some servers and none to others, or a parameter that does not end in one place for all.
    #[error("the path has a dot segment that not all servers take for one, or a parameter without a certain end")]
    Ambiguous,
}

impl<'a> NormalizedPath<'a> {
    /// Normalises the path of a request target as nginx does (ngx_http_parse_complex_uri with merge_slashes): percent
    /// decoding (once, `%2F` included), `.` and `..` segments (encoded ones too), `//` to `/`; the query and a fragment
    /// are cut off.
    ///
    /// # Errors
    ///
    /// The target has no path, or none that everybody reads alike. nginx passes on [what is ambiguous](BadPath::Ambiguous): a
    /// guard and the application behind it would look at different paths.
    pub fn parse(target: &'a str) -> Result<Self, BadPath> {
        Ok(Self(normalize(path_of(target)?.as_bytes())?))
    }

    /// The path. It starts with `/`; it may hold any byte but NUL, for it is decoded.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as servers have it that take the parameters (`;...`) off segments, as servlet containers do, and a backslash for a
    /// slash; `None` where that is the same. No segment becomes one of dots by it, and whether parameters are taken off before the
    /// path is decoded or after makes no difference: both would be [ambiguous](BadPath::Ambiguous).
    pub(crate) fn without_parameters(&self) -> Option<Vec<u8>> {
        let bytes = self.as_bytes();
        if !bytes.iter().any(|byte| matches!(byte, b';' | b'\\')) {
            return None;
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut is_parameter = false;
        for &byte in bytes {
            match byte {
                b'/' | b'\\' => {
                    is_parameter = false;
                    if out.last() != Some(&b'/') {
                        out.push(b'/');
                    }
                }
                b';' => is_parameter = true,
                _ if is_parameter => {}
                byte => out.push(byte),
            }
        }
        Some(out)
    }
}

/// The path part of a request target, raw.
pub fn path_of(target: &str) -> Result<&str, BadPath> {
    let target = if target.starts_with('/') {
        target
    } else {
        // Absolute-form; `OPTIONS *` has no path to route on but `/` stands for it (RFC 9110 section 7.1).
        if target == "*" {
            return Ok("/");
        }
        let (scheme, rest) = target.split_once("://").ok_or(BadPath::NoPath)?;
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
            return Err(BadPath::NoPath);
        }
        match rest.find(['/', '?', '#']) {
            Some(at) if rest.as_bytes()[at] == b'/' => &rest[at..],
            _ => return Ok("/"),
        }
    };
    Ok(&target[..target.find(['?', '#']).unwrap_or(target.len())])
}

/// A request target without scheme and authority: nginx's `$request_uri`.
pub(crate) fn origin_form(target: &str) -> &str {
    if target.starts_with('/') {
        return target;
    }
    target.split_once("://").and_then(|(_, rest)| rest.find(['/', '?', '#']).map(|at| &rest[at..])).unwrap_or("/")
}

/// The query of a request target, without `?` and fragment; empty for none.
pub fn query_of(target: &str) -> &str {
    let target = target.find('#').map_or(target, |end| &target[..end]);
    target.split_once('?').map_or("", |(_, query)| query)
}

fn normalize(raw: &[u8]) -> Result<Cow<'_, [u8]>, BadPath> {
    if is_plain(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    if is_ambiguous(raw)? {
        return Err(BadPath::Ambiguous);
    }
    let mut out: Vec<u8> = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let (byte, width) = decode(raw, at)?;
        at += width;
        if byte == 0 {
            return Err(BadPath::Nul);
        }
        if byte == b'/' {
            close_segment(&mut out)?;
        } else {
            out.push(byte);
        }
    }
    // A dot segment at the end resolves like one followed by a slash: `/a/..` is `/`.
    if out.ends_with(b"/.") || out.ends_with(b"/..") {
        close_segment(&mut out)?;
    }
    Ok(Cow::Owned(out))
}

/// Whether servers disagree on where the dot segments lead: beside backslashes and encoded slashes, which separate segments for
/// some, with empty segments, which some merge, and with parameters (`..;`), which some take off. Or on where a parameter ends:
/// at a slash as it is written (a servlet container takes parameters off before it decodes), at an encoded one, at a backslash.
fn is_ambiguous(raw: &[u8]) -> Result<bool, BadPath> {
    let (mut has_dots, mut has_parent, mut has_other_separator, mut has_empty) = (false, false, false, false);
    let (mut at, mut dots, mut others, mut has_parameter) = (1, 0, 0, false);
    // Since the last slash that is written as one.
    let (mut parameter_before, mut backslash_before) = (false, false);
    while at <= raw.len() {
        let is_end = at == raw.len();
        // The end is that of a segment too.
        let (byte, width) = if is_end { (b'/', 1) } else { decode(raw, at)? };
        at += width;
        match byte {
            b'/' | b'\\' => {
                if others == 0 && matches!(dots, 1 | 2) {
                    if has_parameter {
                        return Ok(true);
                    }
                    has_dots = true;
                    has_parent |= dots == 2;
                }
                let is_other = byte == b'\\' || width > 1;
                if is_other && parameter_before {
                    return Ok(true);
                }
                has_other_separator |= is_other;
                parameter_before &= is_other;
                backslash_before = is_other && (backslash_before || byte == b'\\');
                // An empty name is empty whatever its parameters.
                has_empty |= dots + others == 0 && !is_end;
                (dots, others, has_parameter) = (0, 0, false);
            }
            b';' if backslash_before => return Ok(true),
            b';' => (has_parameter, parameter_before) = (true, true),
            _ if has_parameter => {}
            b'.' => dots += 1,
            _ => others += 1,
        }
    }
    Ok((has_dots && has_other_separator) || (has_parent && has_empty))
}

/// Whether normalising would change nothing: no escape, no backslash, no empty segment, no segment that starts with a dot.
fn is_plain(raw: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in raw {
        match byte {
            b'%' | b'\\' | 0 => return false,
            b'/' | b'.' if previous == b'/' => return false,
            _ => previous = byte,
        }
    }
    true
}

fn decode(raw: &[u8], at: usize) -> Result<(u8, usize), BadPath> {
    if raw[at] != b'%' {
        return Ok((raw[at], 1));
    }
    let digit = |i: usize| raw.get(i).and_then(|b| (*b as char).to_digit(16)).ok_or(BadPath::BadEncoding);
    let value = digit(at + 1)? * 16 + digit(at + 2)?;
    Ok((u8::try_from(value).map_err(|_| BadPath::BadEncoding)?, 3))
}

/// Ends the segment at the end of `out` with a slash, resolving it if it is a dot segment.
fn close_segment(out: &mut Vec<u8>) -> Result<(), BadPath> {
    if out.ends_with(b"/..") {
        out.truncate(out.len() - 3);
        let parent = out.iter().rposition(|b| *b == b'/').ok_or(BadPath::AboveRoot)?;
        out.truncate(parent + 1);
    } else if out.ends_with(b"/.") {
        out.pop();
    } else if out.last() != Some(&b'/') {
        out.push(b'/');
    }
    Ok(())
}

#[cfg(test)]
mod tests;
