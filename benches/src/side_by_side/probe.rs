//! One request by hand, to see that the answer is the right one: a fast wrong answer is worth nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned, WantsVerifier,
};

use crate::client::echo;
use crate::row::{Group, Protocol, Request};
use crate::site::Target;
use crate::{answer, grpc, origin};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks once. Over TLS it checks the certificate as well, and that it is TLS 1.3 with the group of the request and AES-256-GCM, as for
/// all the others. Returns how many bytes the whole response has, head included.
pub(crate) fn ask(target: &Target<'_>) -> Result<u64> {
    let Target { address, host, request, .. } = target;
    match request.protocol {
        Protocol::Http => {}
        Protocol::Grpc => return grpc::call(target),
        Protocol::WebSocket => return echo::ask(target),
    }
    let answered = if request.tls {
        tls_stream(target).and_then(|stream| exchange(stream, host, request))
    } else {
        connect(*address).and_then(|stream| exchange(stream, host, request))
    };
    let scheme = if request.tls { "https" } else { "http" };
    answered.with_context(|| format!("{scheme}://{address}{} for {host}", request.path))
}

/// Whether a question failed because nothing that the client offers in its handshake is good enough.
pub(crate) fn is_refusal(error: &anyhow::Error) -> bool {
    let refusal = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
    let errors = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    errors.filter_map(|error| error.get_ref()?.downcast_ref()).any(|cause: &rustls::Error| *cause == refusal)
}

/// Whether a page answers 200, whatever else it says.
pub(crate) fn is_ok(address: SocketAddr, path: &str) -> Result<()> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    ensure!(response.starts_with("HTTP/1.1 200 "), "http://{address}{path} says `{response}`");
    Ok(())
}

/// A connection that has had its answer, and is kept.
pub(crate) trait Open {}

impl Open for TcpStream {}
impl Open for StreamOwned<ClientConnection, TcpStream> {}

/// Opens a connection, and asks once.
pub(crate) fn open(target: &Target<'_>) -> Result<Box<dyn Open>> {
    if target.request.tls {
        let mut stream = tls_stream(target)?;
        exchange(&mut stream, &target.host, &target.request)?;
        return Ok(Box::new(stream));
    }
    let mut stream = connect(target.address)?;
    exchange(&mut stream, &target.host, &target.request)?;
    Ok(Box::new(stream))
}

/// What all TLS clients of this program offer, and nothing else: this group, and of ciphers what OpenSSL, which the load
/// generators are built with, offers first.
pub(crate) fn tls_config(group: Group) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let provider = rustls::crypto::CryptoProvider {
        kx_groups: vec![match group {
            Group::X25519 => aws_lc_rs::kx_group::X25519,
            Group::Hybrid => aws_lc_rs::kx_group::X25519MLKEM768,
        }],
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        ..aws_lc_rs::default_provider()
    };
    Ok(ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&rustls::version::TLS13])?)
}

/// A configuration that takes the certificate of that host and no other.
pub(crate) fn trusting_config(target: &Target<'_>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(target.certificate.clone())?;
    Ok(tls_config(target.request.group)?.with_root_certificates(roots).with_no_client_auth())
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    // A request that follows a handshake must not wait for its acknowledgement.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn tls_stream(target: &Target<'_>) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(target.host.clone())?;
    let connection = ClientConnection::new(Arc::new(trusting_config(target)?), name)?;
    Ok(StreamOwned::new(connection, connect(target.address)?))
}

/// Sends a request and checks what comes back. Returns its length.
fn exchange(mut stream: impl Read + Write, host: &str, request: &Request) -> Result<u64> {
    stream.write_all(&head(host, request))?;
    stream.write_all(&vec![b'a'; request.upload])?;
    let body = origin::body_length(request.path).context("the origin has no such path")?;
    let mut response = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection was closed before the response was whole");
        response.extend_from_slice(&buffer[..count]);
        if let Some(length) = answer::check(&response, body)? {
            return Ok(length as u64);
        }
    }
}

/// The head of a request.
pub(crate) fn head(host: &str, request: &Request) -> Vec<u8> {
    let connection = if request.closes { "Connection: close\r\n" } else { "" };
    let (method, length) = match request.upload {
        0 => ("GET", String::new()),
        length => ("POST", format!("Content-Length: {length}\r\n")),
    };
    format!("{method} {} HTTP/1.1\r\nHost: {host}\r\n{length}{connection}\r\n", request.path).into_bytes()
}
