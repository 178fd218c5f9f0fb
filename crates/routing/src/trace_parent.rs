//! The place of a request in a trace, as the field `traceparent` tells it (W3C Trace Context).

use crate::decide::RequestHead;

/// The name of the field.
pub const TRACEPARENT: &str = "traceparent";

/// Length of the field in version 00, and of what later versions begin with.
const LENGTH: usize = 55;

/// A span, and the trace that it is in. Neither identity is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: u128,
    /// The span.
    pub span_id: u64,
    /// Whether who began the trace records it.
    pub is_sampled: bool,
}

impl TraceParent {
    /// What a client says; `None` where it says nothing, or nothing that is well-formed: then a trace begins anew (section
    /// 4.3 of the recommendation). Of two fields none counts.
    pub fn of(head: &impl RequestHead) -> Option<Self> {
        let mut values = head.header_values(TRACEPARENT);
        let value = values.next()?;
        if values.next().is_some() { None } else { Self::parse(value) }
    }

    /// Reads the value of the field. Of a later version than 00 the part counts that this one has too.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (head, behind) = value.trim_ascii().split_at_checked(LENGTH)?;
        let mut parts = head.split(|byte| *byte == b'-');
        let mut number = |digits| hexadecimal(parts.next()?, digits);
        let (version, trace_id, span_id, flags) = (number(2)?, number(32)?, number(16)?, number(2)?);
        let is_whole = match version {
            0 => behind.is_empty(),
            0xff => false,
            _ => behind.is_empty() || behind.starts_with(b"-"),
        };
        let span_id = u64::try_from(span_id).ok()?;
        (is_whole && trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
    }

    /// The value of the field.
    pub fn text(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }
}

/// A number of so many hexadecimal digits, of which letters are in lower case.
fn hexadecimal(text: &[u8], digits: usize) -> Option<u128> {
    if text.len() != digits || text.iter().any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
    const SPAN: u64 = 0xb7ad_6b71_6920_3331;

    #[test]
    fn what_is_well_formed_is_read() {
        let table = [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false),
            (" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\t", true),
            // Flags that are not known do not matter.
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03", true),
            // A later version may say more.
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings", true),
        ];
        for (text, is_sampled) in table {
            let expected = TraceParent { trace_id: TRACE, span_id: SPAN, is_sampled };
            assert_eq!(TraceParent::parse(text.as_bytes()), Some(expected), "{text}");
        }
        let parent = TraceParent { trace_id: 1, span_id: 2, is_sampled: true };
        assert_eq!(TraceParent::parse(parent.text().as_bytes()), Some(parent));
    }

    #[test]
    fn what_is_not_begins_a_new_trace() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0X",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-001",
            "00-0af7651916cd43dd8448eb211c80319c0-b7ad6b716920333-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-001",
            "00-0af7651916cd43dd8448eb211c80319.-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "0-00af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "FE-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ".0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what-the-future-brings",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01what",
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }
}
