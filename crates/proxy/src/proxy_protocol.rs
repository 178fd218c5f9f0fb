//! PROXY protocol, versions 1 and 2: the client's address, as told by a load balancer in front.

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::connection::AddressSource;

/// Longest header that is read, in bytes. Version 1 has at most 107; what load balancers add to version 2 stays far below.
const MAX_HEADER: usize = 4096;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proxied {
    /// The client; `None` when the load balancer speaks for itself (`LOCAL`, `UNKNOWN`), as in its health checks.
    pub(crate) source: Option<SocketAddr>,
    /// Where the client connected to.
    pub(crate) destination: Option<SocketAddr>,
    /// The version of the header, or [`AddressSource::Peer`] when it says nothing of a client.
    pub(crate) version: AddressSource,
}

/// Why there is no header to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The peer left before its first byte, as health checks do.
    Closed,
    /// The peer may not speak for others.
    Untrusted,
    /// The header is missing, malformed, cut off or too long.
    Malformed,
    /// The header did not come in time.
    Timeout,
}

/// Reads a header, and not one byte more, so that TLS or HTTP can begin behind it.
///
/// # Errors
///
/// See [`HeaderError`]; the time is the caller's to keep.
pub(crate) async fn read(tcp: &mut TcpStream) -> Result<Proxied, HeaderError> {
    let mut header = Vec::new();
    let mut seen = [0; 512];
    loop {
        // A look first: only what belongs to the header may be taken. As long as it is not whole, that is everything.
        let n = tcp.peek(&mut seen).await.map_err(|_| HeaderError::Closed)?;
        if n == 0 {
            return Err(if header.is_empty() { HeaderError::Closed } else { HeaderError::Malformed });
        }
        let before = header.len();
        header.extend_from_slice(&seen[..n]);
        let parsed = parse(&header);
        let whole = parsed.as_ref().ok().map(|(_, length)| *length);
        let taken = whole.map_or(n, |length| length.saturating_sub(before));
        tcp.read_exact(&mut seen[..taken]).await.map_err(|_| HeaderError::Closed)?;
        match parsed {
            Ok((proxied, _)) => return Ok(proxied),
            Err(Error::BufferTooShort) if header.len() < MAX_HEADER => {}
            Err(_) => return Err(HeaderError::Malformed),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<(Proxied, usize), Error> {
    // TLVs are not used, and skipping them saves the copy.
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, length) = ProxyHeader::parse(bytes, config)?;
    let proxied = match header.proxied_address() {
        Some(address) => Proxied {
            source: Some(address.source),
            destination: Some(address.destination),
            version: if bytes.starts_with(b"PROXY") { AddressSource::ProxyV1 } else { AddressSource::ProxyV2 },
        },
        None => Proxied { source: None, destination: None, version: AddressSource::Peer },
    };
    Ok((proxied, length))
}

#[cfg(test)]
mod tests;
