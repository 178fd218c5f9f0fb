//! A load generator for TLS handshakes that says which kind they were: wrk resumes whenever it can, and does not tell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme, StreamOwned};

use super::{Outcome, Time};
use crate::probe;
use crate::site::Target;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What there is to do.
#[derive(Debug)]
pub(crate) struct Handshakes {
    to: SocketAddr,
    host: String,
    path: &'static str,
    threads: u32,
    /// Whether sessions are resumed; all but the first of each thread must be then, and none must be else.
    resumed: bool,
    config: Arc<ClientConfig>,
}

impl Handshakes {
    pub(crate) fn new(target: &Target<'_>, threads: u32, resumed: bool) -> Result<Self> {
        let config =
            probe::tls_config(target.request.group)?.dangerous().with_custom_certificate_verifier(Arc::new(Trusting));
        Ok(Self {
            to: target.address,
            host: target.host.clone(),
            path: target.request.path,
            threads,
            resumed,
            config: Arc::new(config.with_no_client_auth()),
        })
    }

    /// Makes connections for as long as it is told: a handshake, a request, a response and the close.
    pub(crate) fn run(&self, time: Time, begin: impl FnOnce()) -> Result<Outcome> {
        let start = Instant::now() + time.warm_up;
        let end = start + time.measured;
        let counts: Vec<Result<Outcome>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.threads).map(|_| scope.spawn(move || self.connect_until(start, end))).collect();
            std::thread::sleep(time.warm_up);
            begin();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
        });
        let mut sum = Outcome::new(start.elapsed());
        for count in counts {
            let count = count?;
            sum.requests += count.requests;
            sum.failures += count.failures;
            sum.bytes = sum.bytes.zip(count.bytes).map(|(sum, more)| sum + more);
        }
        Ok(sum)
    }

    /// One thread's connections. What began before `start` is not counted.
    fn connect_until(&self, start: Instant, end: Instant) -> Result<Outcome> {
        let mut config = ClientConfig::clone(&self.config);
        // Sessions of its own, so that how many are full is known.
        config.resumption = if self.resumed { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
        let config = Arc::new(config);
        let mut count = Outcome { bytes: Some(0), ..Outcome::new(Duration::ZERO) };
        let mut is_first = true;
        let mut failures = 0;
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(count);
            }
            let expected = if self.resumed && !is_first { HandshakeKind::Resumed } else { HandshakeKind::Full };
            let right = self.exchange(&config).ok().filter(|(kind, _)| *kind == expected);
            failures = if right.is_some() { 0 } else { failures + 1 };
            ensure!(failures < 10, "no connection succeeds");
            is_first = false;
            match right {
                _ if now < start => {}
                Some((_, bytes)) => {
                    count.requests += 1;
                    count.bytes = count.bytes.map(|sum| sum + bytes);
                }
                None => count.failures += 1,
            }
        }
    }

    /// One connection. Returns what kind of handshake it had, and how many bytes the response has.
    fn exchange(&self, config: &Arc<ClientConfig>) -> Result<(HandshakeKind, u64)> {
        let tcp = TcpStream::connect_timeout(&self.to, TIMEOUT)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(TIMEOUT))?;
        let name = ServerName::try_from(self.host.clone())?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, tcp);
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.host);
        stream.write_all(request.as_bytes())?;
        let mut response = Vec::with_capacity(1024);
        stream.read_to_end(&mut response)?;
        ensure!(response.starts_with(b"HTTP/1.1 200 "), "the answer is no 200");
        let kind = stream.conn.handshake_kind().context("the handshake did not end")?;
        Ok((kind, response.len() as u64))
    }
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
