//! A load generator for TLS handshakes that says which kind they were: wrk resumes whenever it can, and does not tell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme, StreamOwned};

const TIMEOUT: Duration = Duration::from_secs(10);

/// What there is to do.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Handshakes {
    /// Whom to connect to.
    #[arg(long)]
    to: SocketAddr,
    /// The server name, and the host asked for.
    #[arg(long)]
    host: String,
    /// The path asked for.
    #[arg(long)]
    path: String,
    /// For how long.
    #[arg(long)]
    seconds: u32,
    /// Connections at a time.
    #[arg(long)]
    threads: u32,
    /// Whether sessions are resumed; all but the first of each thread must be then, and none must be else.
    #[arg(long)]
    resumed: bool,
}

/// What one thread did.
#[derive(Debug, Default)]
struct Count {
    requests: u64,
    bytes: u64,
    failures: u64,
}

/// Makes connections for as long as it was told: a handshake, a request, a response and the close. Prints what wrk's script
/// prints.
pub(crate) fn run(load: &Handshakes) -> Result<()> {
    let config = Arc::new(config()?);
    let began = Instant::now();
    let end = began + Duration::from_secs(u64::from(load.seconds));
    let counts: Vec<Result<Count>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..load.threads)
            .map(|_| {
                let mut config = ClientConfig::clone(&config);
                // Sessions of its own, so that how many are full is known.
                config.resumption =
                    if load.resumed { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
                scope.spawn(move || connect_until(load, &Arc::new(config), end))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    let mut sum = Count::default();
    for count in counts {
        let count = count?;
        sum.requests += count.requests;
        sum.bytes += count.bytes;
        sum.failures += count.failures;
    }
    let text = format!("summary {} {} {} {}\n", began.elapsed().as_micros(), sum.requests, sum.bytes, sum.failures);
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn config() -> Result<ClientConfig> {
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        ..aws_lc_rs::default_provider()
    };
    let config =
        ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(Trusting)).with_no_client_auth())
}

fn connect_until(load: &Handshakes, config: &Arc<ClientConfig>, end: Instant) -> Result<Count> {
    let mut count = Count::default();
    let mut is_first = true;
    while Instant::now() < end {
        match exchange(load, config) {
            Ok((kind, bytes)) => {
                let expected = if load.resumed && !is_first { HandshakeKind::Resumed } else { HandshakeKind::Full };
                if kind == expected {
                    count.requests += 1;
                    count.bytes += bytes;
                } else {
                    count.failures += 1;
                }
            }
            Err(_) => count.failures += 1,
        }
        ensure!(count.requests > 0 || count.failures < 10, "no connection succeeds");
        is_first = false;
    }
    Ok(count)
}

/// One connection. Returns what kind of handshake it had, and how many bytes the response has.
fn exchange(load: &Handshakes, config: &Arc<ClientConfig>) -> Result<(HandshakeKind, u64)> {
    let tcp = TcpStream::connect_timeout(&load.to, TIMEOUT)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(TIMEOUT))?;
    let name = ServerName::try_from(load.host.clone())?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, tcp);
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", load.path, load.host);
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::with_capacity(1024);
    stream.read_to_end(&mut response)?;
    ensure!(response.starts_with(b"HTTP/1.1 200 "), "the answer is no 200");
    let kind = stream.conn.handshake_kind().context("the handshake did not end")?;
    Ok((kind, response.len() as u64))
}

/// Believes every certificate: what a client does is not measured here, and the probe looks at the certificate.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
