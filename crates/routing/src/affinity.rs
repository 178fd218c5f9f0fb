//! Session affinity: a cookie that keeps a client with one endpoint (ingress-nginx balancer/sticky.lua; row 30 of its
//! semantics).
//!
//! The cookie holds a key and the identity of a backend. Which endpoint a key means depends on the endpoints alone, so that
//! every proxy understands the cookies of every other, after a restart too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use md5::{Digest, Md5};

use crate::decide::RequestHead;

/// How clients of a backend stay with one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// How keys name endpoints.
    pub mode: AffinityMode,
    /// The cookie that keeps them.
    pub cookie: Arc<SessionCookie>,
    /// The [`identity`] of the backend in its cookies.
    pub identity: Box<str>,
}

/// How keys name endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AffinityMode {
    /// The hash of a key picks: some clients move when endpoints come and go. Every text is a key.
    #[default]
    Balanced,
    /// A key is [the name](endpoint_name) of an endpoint: clients stay for as long as it is there.
    Persistent,
}

/// A session cookie (RFC 6265).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookie {
    /// Its name: letters, digits, blanks and `-._~/:`.
    pub name: Box<str>,
    /// `Expires`, in seconds from now.
    pub expires: Option<i64>,
    /// `Max-Age`, in seconds.
    pub max_age: Option<i64>,
    /// `Domain`: visible ASCII without `;`.
    pub domain: Option<Box<str>>,
    /// `Path`: visible ASCII without `;`. The path of the route without it.
    pub path: Option<Box<str>>,
    /// Whether it is `Secure` over plain HTTP too; over TLS it always is.
    pub is_secure: bool,
    /// `SameSite`.
    pub same_site: Option<SameSite>,
    /// Whether clients that cannot read `SameSite=None` are not told so.
    pub spares_old_clients: bool,
    /// Whether a client gets another endpoint when its own fails; else it is sent to its own again and again.
    pub changes_on_failure: bool,
}

impl SessionCookie {
    /// The name unless another one is asked for.
    pub const NAME: &'static str = "INGRESSCOOKIE";
}

impl Default for SessionCookie {
    fn default() -> Self {
        Self {
            name: Self::NAME.into(),
            expires: None,
            max_age: None,
            domain: None,
            path: None,
            is_secure: false,
            same_site: None,
            spares_old_clients: false,
            changes_on_failure: false,
        }
    }
}

/// The values of `SameSite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// `None`.
    None,
    /// `Lax`.
    Lax,
    /// `Strict`.
    Strict,
}

impl SameSite {
    /// The value as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Lax => "Lax",
            Self::Strict => "Strict",
        }
    }
}

/// `Expires` reaches a hundred years far: a date needs a year of four digits.
const FARTHEST: i64 = 100 * 365 * 86_400;

impl Affinity {
    /// The key that a request brings; `None` for a request without the cookie.
    pub fn key<'h>(&self, head: &'h impl RequestHead) -> Option<&'h [u8]> {
        self.parts(head)?.next()
    }

    /// Whether a request brings the cookie of this backend.
    pub fn is_own(&self, head: &impl RequestHead) -> bool {
        self.parts(head).and_then(|mut parts| parts.nth(1)) == Some(self.identity.as_bytes())
    }

    /// What is between the bars of the last cookie of the name, whose case counts (lua-resty-cookie).
    fn parts<'h>(&self, head: &'h impl RequestHead) -> Option<impl Iterator<Item = &'h [u8]>> {
        let mut pairs = head.header_values("cookie").flat_map(|value| value.split(|b| *b == b';')).rev();
        let value = pairs.find_map(|pair| {
            let (name, value) = pair.split_at(pair.iter().position(|b| *b == b'=')?);
            (name.trim_ascii() == self.cookie.name.as_bytes()).then(|| value[1..].trim_ascii())
        })?;
        let value = value.split(|b| matches!(b, b' ' | b'\t')).next()?;
        Some(value.split(|b| *b == b'|').filter(|part| !part.is_empty()))
    }

    /// The `Set-Cookie` that gives a client a key. `path` is that of the route, as its Ingress has it.
    pub fn set_cookie(
        &self,
        key: &str,
        path: &str,
        is_tls: bool,
        user_agent: Option<&[u8]>,
        now: SystemTime,
    ) -> Vec<u8> {
        let cookie = &*self.cookie;
        let path = cookie.path.as_deref().unwrap_or(path);
        // Room for everything that is nearly always there: every new client is given one.
        let mut out = String::with_capacity(cookie.name.len() + key.len() + self.identity.len() + path.len() + 96);
        for part in [&*cookie.name, "=", key, "|", &self.identity] {
            out.push_str(part);
        }
        if let Some(seconds) = cookie.expires {
            let distance = Duration::from_secs(seconds.unsigned_abs().min(FARTHEST.unsigned_abs()));
            let at = if seconds < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
            let at = at.unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
            out.push_str("; Expires=");
            out.push_str(&httpdate::fmt_http_date(at));
        }
        if let Some(seconds) = cookie.max_age {
            out.push_str("; Max-Age=");
            out.push_str(&seconds.to_string());
        }
        if let Some(domain) = &cookie.domain {
            out.push_str("; Domain=");
            out.push_str(domain);
        }
        // A path of an Ingress is not made for a cookie.
        if !path.contains(|c: char| c == ';' || c.is_control()) {
            out.push_str("; Path=");
            out.push_str(path);
        }
        if cookie.is_secure || is_tls {
            out.push_str("; Secure");
        }
        out.push_str("; HttpOnly");
        let is_spared = |same_site| {
            cookie.spares_old_clients && same_site == SameSite::None && user_agent.is_some_and(misreads_same_site_none)
        };
        if let Some(same_site) = cookie.same_site.filter(|same_site| !is_spared(*same_site)) {
            out.push_str("; SameSite=");
            out.push_str(same_site.as_str());
        }
        out.into_bytes()
    }
}

/// Whether a browser takes `SameSite=None` for something else, or refuses the cookie (ingress-nginx util/same_site.lua, after
/// chromium.org's list of incompatible clients).
fn misreads_same_site_none(user_agent: &[u8]) -> bool {
    let has = |text: &str| user_agent.windows(text.len()).any(|part| part == text.as_bytes());
    ["Chrome/4", "Chrome/5", "Chrome/6", "CPU iPhone OS 12", "iPad; CPU OS 12"].into_iter().any(has)
        || ["Macintosh", "Intel Mac OS X 10_14", "Safari"].into_iter().all(has) && !has("Chrome")
}

/// The identity of a backend in cookies, from its name (ingress-nginx balancer/sticky.lua; recorded: c261).
pub fn identity(backend: &str) -> Box<str> {
    hexadecimal(&md5(&[hexadecimal(&md5(&[backend.as_bytes()])).as_bytes(), backend.as_bytes()])).into()
}

/// A name for an endpoint that does not show its address: the MD5 of the backend's name and the address, as ingress-nginx
/// has it (util/nodemap.lua; recorded: c262). It protects nothing.
pub fn endpoint_name(backend: &str, address: SocketAddr) -> [u8; 16] {
    md5(&[backend.as_bytes(), address.to_string().as_bytes()])
}

/// A key that no client has had, for [`AffinityMode::Balanced`].
pub fn random_key(now: SystemTime) -> String {
    let time = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (time.as_secs(), time.subsec_millis());
    // Without formatting, which takes five times as long: every new client has one.
    let [mut first, mut second, mut third, mut fourth] = [itoa::Buffer::new(); 4];
    let seconds = first.format(seconds);
    // With zeros in front.
    let milliseconds = &second.format(1000 + milliseconds)[1..];
    [seconds, milliseconds, third.format(fastrand::u32(..)), fourth.format(fastrand::u32(..1_000_000))].join(".")
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8; 16]) -> String {
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
        text
    })
}

/// Bytes from lower-case hexadecimal digits; `None` for anything else.
pub fn from_hexadecimal(text: &[u8]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if text.len() != 32 || text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
