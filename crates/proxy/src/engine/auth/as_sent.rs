//! A request head with the target that the client wrote.

use edgeward_routing::decide::RequestHead;

/// A head whose target may have been encoded before the engine got it. The way back from a sign-in page is escaped as a
/// whole: what was encoded by then would be encoded twice.
pub(super) struct AsSent<'h, H> {
    pub(super) head: &'h H,
    /// The target that the client wrote, where that was another one.
    pub(super) target: Option<Box<[u8]>>,
}

impl<H: RequestHead> RequestHead for AsSent<'_, H> {
    fn method(&self) -> &str {
        self.head.method()
    }

    fn target(&self) -> &str {
        self.head.target()
    }

    fn sent_target(&self) -> Option<&[u8]> {
        self.target.as_deref()
    }

    fn authority(&self) -> Option<&str> {
        self.head.authority()
    }

    fn requires_authority(&self) -> bool {
        self.head.requires_authority()
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.head.headers()
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.head.header_values(name)
    }
}
