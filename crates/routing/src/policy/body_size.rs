//! `proxy-body-size`: the largest request body that a route takes. Larger ones are answered 413.

/// The largest request body in bytes; `None` is without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodySize(pub Option<u64>);

impl Default for BodySize {
    /// 1 MiB (ingress-nginx config.go `proxy-body-size: 1m`).
    fn default() -> Self {
        Self(Some(1 << 20))
    }
}

impl BodySize {
    /// Whether a body of `bytes` is within the limit.
    pub fn allows(self, bytes: u64) -> bool {
        self.0.is_none_or(|limit| bytes <= limit)
    }

    /// Parses an nginx size: digits with an optional `k`, `m` or `g` (ngx_parse_offset); `0` is without a limit.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = match text.as_bytes().last()? {
            b'k' | b'K' => (&text[..text.len() - 1], 1u64 << 10),
            b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
            b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
            _ => (text, 1),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let bytes = digits.parse::<u64>().ok()?.checked_mul(unit)?;
        Some(Self((bytes != 0).then_some(bytes)))
    }
}
