//! One request by hand, to see that the answer is the right one: a fast wrong answer is worth nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::origin;
use crate::row::Row;
use crate::site::Site;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest head of a response.
const HEAD: usize = 16 << 10;

/// Asks in the clear. Returns how many bytes the whole response has, head included.
pub(crate) fn plain(address: SocketAddr, site: &Site, row: &Row) -> Result<u64> {
    exchange(connect(address)?, site, row).with_context(|| format!("http://{address}{}", row.path))
}

/// Asks over TLS, checks the certificate and that it is TLS 1.3 with X25519 and AES-256-GCM, as for all the others.
/// Returns how many bytes the whole response has, head included.
pub(crate) fn tls(address: SocketAddr, site: &Site, row: &Row) -> Result<u64> {
    tls_stream(address, site)
        .and_then(|stream| exchange(stream, site, row))
        .with_context(|| format!("https://{address}{}", row.path))
}

/// A connection that has had its answer, and is kept.
pub(crate) trait Open {}

impl Open for TcpStream {}
impl Open for StreamOwned<ClientConnection, TcpStream> {}

/// Opens a connection in the clear, and asks once.
pub(crate) fn open(address: SocketAddr, site: &Site, row: &Row) -> Result<Box<dyn Open>> {
    let mut stream = connect(address)?;
    exchange(&mut stream, site, row)?;
    Ok(Box::new(stream))
}

/// Opens a connection over TLS, and asks once.
pub(crate) fn open_tls(address: SocketAddr, site: &Site, row: &Row) -> Result<Box<dyn Open>> {
    let mut stream = tls_stream(address, site)?;
    exchange(&mut stream, site, row)?;
    Ok(Box::new(stream))
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn tls_stream(address: SocketAddr, site: &Site) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(site.certificate.clone())?;
    // What OpenSSL, which the load generators are built with, offers first.
    let provider = rustls::crypto::CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        ..aws_lc_rs::default_provider()
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(site.host.clone())?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, connect(address)?))
}

/// Sends a request and checks status, origin and length of what comes back.
fn exchange(mut stream: impl Read + Write, site: &Site, row: &Row) -> Result<u64> {
    let Row { path, upload, .. } = *row;
    let connection = if row.closes() { "Connection: close\r\n" } else { "" };
    let (method, length) = match upload {
        0 => ("GET", String::new()),
        length => ("POST", format!("Content-Length: {length}\r\n")),
    };
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {}\r\n{length}{connection}\r\n", site.host)?;
    stream.write_all(&vec![b'a'; upload])?;
    let mut response = Vec::new();
    let mut buffer = vec![0; HEAD];
    let head = loop {
        if let Some(end) = response.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        ensure!(response.len() < HEAD, "the response has no end of its head");
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection was closed before the response");
        response.extend_from_slice(&buffer[..count]);
    };
    let text = String::from_utf8_lossy(&response[..head]).into_owned();
    ensure!(text.starts_with("HTTP/1.1 200 "), "the answer is `{}`", text.lines().next().unwrap_or_default());
    let header = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|at| at.1.trim())
    };
    ensure!(header("x-backend") == Some("origin"), "the answer is not the origin's");
    let expected = origin::body_length(path).context("the origin has no such path")?;
    let length: usize = match header("content-length") {
        Some(length) => length.parse()?,
        None => bail!("the answer does not tell its length"),
    };
    ensure!(length == expected, "the answer has {length} bytes, not {expected}");
    while response.len() < head + expected {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection was closed within the response");
        response.extend_from_slice(&buffer[..count]);
    }
    ensure!(response.len() == head + expected, "there is more behind the answer");
    ensure!(response[head..].iter().all(|byte| *byte == b'a'), "the body is not the origin's");
    Ok(response.len() as u64)
}
