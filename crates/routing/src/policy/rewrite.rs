//! What the application gets instead of the path that the client asked for.

use regex::bytes::{Captures, Regex};

use crate::decide::RequestHead;
use crate::forward::Forwarded;
use crate::path::{PathRegex, query_of};
use crate::pattern::{Parsed, PatternError};
use crate::template::{ParseTemplateError, Template};

/// Text in which `$1` to `$9` stand for what groups of a regular expression took, and other `$name`s for nginx variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement(Box<[Piece]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Group(u8),
    Variable(Template),
}

impl std::str::FromStr for Replacement {
    type Err = ParseTemplateError;

    /// Parses it as nginx does (ngx_http_script_compile): the number of a group is one digit.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                pieces.push(Piece::Literal(rest[..at].into()));
            }
            let name = &rest[at + 1..];
            let (piece, length) = match name.bytes().next() {
                Some(digit @ b'1'..=b'9') => (Piece::Group(digit - b'0'), 1),
                _ => {
                    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
                    (Piece::Variable(rest[at..=at + end].parse()?), end)
                }
            };
            pieces.push(piece);
            rest = &name[length..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        Ok(Self(pieces.into()))
    }
}

impl Replacement {
    fn has_groups(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Group(_)))
    }

    /// Whether nginx answers with a redirect to it (ngx_http_rewrite).
    fn is_redirect(&self) -> bool {
        match self.0.first() {
            Some(Piece::Literal(text)) => text.starts_with("http://") || text.starts_with("https://"),
            Some(Piece::Variable(template)) => template.to_string() == "$scheme",
            Some(Piece::Group(_)) | None => false,
        }
    }

    /// The text for a request. What groups took goes through `copy`.
    fn text(
        &self,
        captures: Option<&Captures<'_>>,
        forwarded: &Forwarded,
        head: &impl RequestHead,
        copy: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                // A group that is not there, or took nothing, is empty.
                Piece::Group(number) => {
                    let group = captures.and_then(|captures| captures.get(usize::from(*number)));
                    copy(group.map_or(&[], |group| group.as_bytes()), &mut out);
                }
                Piece::Variable(template) => template.write(forwarded, head, "", &mut out),
            }
        }
        out
    }
}

impl std::fmt::Display for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(text),
            Piece::Group(number) => write!(f, "${number}"),
            Piece::Variable(template) => template.fmt(f),
        })
    }
}

/// Which paths of a route are rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewriteFrom {
    /// All of them: they are plain text, and have no groups.
    Everything,
    /// Those in which this regular expression takes something, wherever that is (nginx's `rewrite "(?i)TEXT"`).
    Anywhere(Box<str>),
    /// Those that begin with this text and a slash (ingress-nginx location.go: the second location of a Prefix, whose target is
    /// its own text).
    Below(Box<str>),
}

/// `rewrite-target`, for one path (ingress-nginx template.go buildProxyPass).
#[derive(Debug)]
pub struct Rewrite {
    from: RewriteFrom,
    /// `None` where it takes every path of the route, and nobody asks for what groups took.
    regex: Option<Regex>,
    target: Replacement,
    prefix: Option<Replacement>,
}

impl PartialEq for Rewrite {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.from, &other.target, other.prefix.as_ref())
    }
}

impl Eq for Rewrite {}

/// What becomes of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewritten {
    /// The endpoint gets another target.
    Target {
        /// The target: visible ASCII, without dot segments in its path.
        target: Box<str>,
        /// The value of `X-Forwarded-Prefix`: printable ASCII.
        prefix: Option<Box<[u8]>>,
    },
    /// The client is sent there: visible ASCII.
    Redirect(String),
    /// The path that comes out would be empty (nginx: 500).
    Empty,
    /// The path that comes out has dot segments, or could be read as another host: it is not what was routed and authorised.
    Escaping,
}

impl Rewrite {
    /// Compiles a rewrite.
    ///
    /// # Errors
    ///
    /// The text of `from` is no regular expression that can be matched in linear time.
    pub fn new(from: RewriteFrom, target: Replacement, prefix: Option<Replacement>) -> Result<Self, PatternError> {
        let has_groups = target.has_groups() || prefix.as_ref().is_some_and(Replacement::has_groups);
        let parsed = match &from {
            // The pattern of the route is the same text, so that it takes something in every path of the route.
            RewriteFrom::Anywhere(text) => has_groups.then(|| Parsed::new("", text, "")),
            RewriteFrom::Below(text) => Some(Parsed::new("^", text, PathRegex::behind(text, true))),
            RewriteFrom::Everything => None,
        };
        let regex = parsed.transpose()?.map(|parsed| parsed.compile()).transpose()?;
        Ok(Self { from, regex, target, prefix })
    }

    /// Whether it is what these come to.
    pub fn is(&self, from: &RewriteFrom, target: &Replacement, prefix: Option<&Replacement>) -> bool {
        (&self.from, &self.target, self.prefix.as_ref()) == (from, target, prefix)
    }

    /// The text that it puts in place of a path.
    pub fn target(&self) -> &Replacement {
        &self.target
    }

    /// The text of `X-Forwarded-Prefix`.
    pub fn prefix(&self) -> Option<&Replacement> {
        self.prefix.as_ref()
    }

    /// Rewrites the normalised path of a request to the route; `None` where it stays as it is.
    ///
    /// What comes out is escaped anew, with the query of the request behind it. nginx would send on `..` that a group took from
    /// within a segment, as in `/x../y` of `/x(.*)`; here such a path goes nowhere.
    pub fn apply(&self, path: &[u8], forwarded: &Forwarded, head: &impl RequestHead) -> Option<Rewritten> {
        let captures = match &self.regex {
            Some(regex) => Some(regex.captures(path)?),
            None => None,
        };
        let query = query_of(head.target());
        if self.target.is_redirect() {
            let text = self.target.text(captures.as_ref(), forwarded, head, escape_in_location);
            let mut location = visible(&text);
            push_query(&mut location, query);
            return Some(Rewritten::Redirect(location));
        }
        let path = self.target.text(captures.as_ref(), forwarded, head, |group, out| out.extend_from_slice(group));
        if path.is_empty() {
            return Some(Rewritten::Empty);
        }
        // A target that does not begin with a slash goes on as it is (recorded: c042), as long as it is no other form of target.
        let is_other_form = path[0] != b'/' && path.iter().any(|byte| b":@*".contains(byte));
        if is_other_form || has_dot_segment(&path) {
            return Some(Rewritten::Escaping);
        }
        let mut target = escaped(&path);
        push_query(&mut target, query);
        let prefix = self.prefix.as_ref().map(|prefix| {
            let text = prefix.text(captures.as_ref(), forwarded, head, |group, out| out.extend_from_slice(group));
            printable(&text).into_bytes().into()
        });
        Some(Rewritten::Target { target: target.into(), prefix })
    }
}

/// Whether a segment is one of dots to some server: to those too that take a backslash for a slash, and parameters (`..;`) off.
fn has_dot_segment(path: &[u8]) -> bool {
    let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
    segments.any(|segment| matches!(segment.split(|byte| *byte == b';').next(), Some(b"." | b"..")))
}

fn push_query(target: &mut String, query: &str) {
    if !query.is_empty() {
        target.push('?');
        target.push_str(&visible(query.as_bytes()));
    }
}

/// A path as it goes to an endpoint: what nginx escapes in every one that it has rewritten (ngx_escape_uri NGX_ESCAPE_URI).
fn escaped(path: &[u8]) -> String {
    let is_escaped =
        |byte: u8| matches!(byte, b'%' | b'?' | b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}');
    with_escapes(path, |byte| is_escaped(byte) || !byte.is_ascii_graphic())
}

/// What a group took, for a `Location`.
fn escape_in_location(group: &[u8], out: &mut Vec<u8>) {
    let text = with_escapes(group, |byte| b"%?#".contains(&byte) || !byte.is_ascii_graphic());
    out.extend_from_slice(text.as_bytes());
}

/// The text with everything percent-encoded that is not visible ASCII.
pub(super) fn visible(text: &[u8]) -> String {
    with_escapes(text, |byte| !byte.is_ascii_graphic())
}

fn printable(text: &[u8]) -> String {
    with_escapes(text, |byte| byte != b' ' && !byte.is_ascii_graphic())
}

/// The text with those bytes percent-encoded that `is_escaped` names, among them all that are not ASCII.
fn with_escapes(text: &[u8], is_escaped: impl Fn(u8) -> bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    // Nearly every text stays as it is.
    if let Some(plain) = std::str::from_utf8(text).ok().filter(|text| !text.bytes().any(&is_escaped)) {
        return plain.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for &byte in text {
        if is_escaped(byte) {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)] as char);
            out.push(HEX[usize::from(byte & 15)] as char);
        } else {
            out.push(byte as char);
        }
    }
    out
}

#[cfg(test)]
mod tests;
