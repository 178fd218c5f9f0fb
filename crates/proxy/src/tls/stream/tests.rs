#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write as _;
use std::time::Duration;

use edgeward_routing::certificate::CertificateTable;
use edgeward_routing::{Publisher, Snapshot};
use rustls::client::ClientConnection;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::fixture::{PATIENCE, certificate, tls_client};
use crate::tls::ServerConfigs;

/// A client that looks at what comes over the wire.
struct Client {
    tcp: TcpStream,
    tls: ClientConnection,
    /// What has come, and how much of it has been looked at.
    wire: Vec<u8>,
    seen: usize,
}

/// A record of TLS: what it says that it is, and how long it is without its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    kind: u8,
    length: usize,
}

const APPLICATION_DATA: u8 = 23;

impl Client {
    /// The next record. Not taken up yet.
    async fn record(&mut self) -> Record {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let [kind, _, _, high, low, ..] = self.wire[self.seen..] {
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    if self.wire.len() >= self.seen + 5 + length {
                        let mut record = &self.wire[self.seen..self.seen + 5 + length];
                        self.seen += record.len();
                        while !record.is_empty() {
                            self.tls.read_tls(&mut record).unwrap();
                            self.tls.process_new_packets().unwrap();
                        }
                        return Record { kind, length };
                    }
                }
                assert!(self.tcp.read_buf(&mut self.wire).await.unwrap() > 0, "an early end");
            }
        })
        .await
        .unwrap()
    }

    /// Sends what TLS has to say.
    async fn send(&mut self) {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).unwrap();
        }
        tokio::io::AsyncWriteExt::write_all(&mut self.tcp, &out).await.unwrap();
    }

    /// Whether nothing has come that was not looked at.
    async fn hears_nothing(&mut self) -> bool {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut space = [0; 1];
        self.wire.len() == self.seen && self.tcp.try_read(&mut space).is_err()
    }

    /// The lengths of the records that `bytes` of data come in, without what TLS 1.2 adds.
    async fn sizes(&mut self, mut bytes: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        let mut plain = [0; 16 * 1024];
        while bytes > 0 {
            let record = self.record().await;
            assert_eq!(record.kind, APPLICATION_DATA);
            sizes.push(record.length - 24);
            bytes -= io::Read::read(&mut self.tls.reader(), &mut plain).unwrap();
        }
        sizes
    }
}

/// Both ends of a connection after the handshake, to which the client has joined `request`.
async fn connected(version: &'static rustls::SupportedProtocolVersion, request: &[u8]) -> (Box<TlsStream>, Client) {
    let default = Some(certificate(&["localhost"]));
    let certificates = Arc::new(CertificateTable { default, ..Default::default() });
    let publisher = Publisher::new(Snapshot { certificates, ..Snapshot::empty(Default::default()) });
    let config = ServerConfigs::new(publisher.reader()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut tcp_of_server, _) = listener.accept().await.unwrap();
    let accepted = tokio::spawn(async move {
        let hello = Hello::read(&mut tcp_of_server, true).await?;
        assert!(hello.bytes.starts_with(&[22, 3, 1]), "what is passed on begins with a record of the handshake");
        TlsStream::accept(tcp_of_server, hello, &config, &config.snapshot()).await
    });
    let tls = ClientConnection::new(tls_client(&[], &[version]).into(), "localhost".try_into().unwrap()).unwrap();
    let mut client = Client { tcp, tls, wire: Vec::new(), seen: 0 };
    client.send().await;
    loop {
        client.record().await;
        if !client.tls.is_handshaking() {
            break;
        }
        // In TLS 1.2 the server has the last word, which it says with its answer.
        if client.tls.wants_write() {
            client.send().await;
            if version.version == rustls::ProtocolVersion::TLSv1_2 {
                break;
            }
        }
    }
    client.tls.writer().write_all(request).unwrap();
    client.send().await;
    (accepted.await.unwrap().unwrap(), client)
}

async fn read(stream: &mut TlsStream, space: &mut [u8]) -> io::Result<usize> {
    let mut out = ReadBuf::new(space);
    std::future::poll_fn(|cx| stream.poll_read(cx, &mut out)).await?;
    Ok(out.filled().len())
}

async fn write_all(stream: &mut TlsStream, slices: &[&[u8]]) {
    let length: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut written = 0;
    while written < length {
        let mut bufs: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = &mut bufs[..];
        IoSlice::advance_slices(&mut rest, written);
        written += std::future::poll_fn(|cx| stream.poll_write(cx, rest)).await.unwrap();
    }
    std::future::poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
}

#[tokio::test]
async fn a_ticket_waits_for_the_response_to_a_request_that_is_there() {
    let (mut stream, mut client) = connected(&rustls::version::TLS13, b"request").await;
    assert!(client.hears_nothing().await);
    assert_eq!(read(&mut stream, &mut [0; 100]).await.unwrap(), 7);
    assert!(client.hears_nothing().await);
    write_all(&mut stream, &[b"response"]).await;
    let (ticket, response) = (client.record().await, client.record().await);
    assert!(client.hears_nothing().await);
    assert!(ticket.length > 100 && response.length < 50, "{ticket:?} {response:?}");
}

#[tokio::test]
async fn a_ticket_waits_for_a_response_that_is_under_way() {
    let (mut stream, mut client) = connected(&rustls::version::TLS13, b"request").await;
    assert_eq!(read(&mut stream, &mut [0; 100]).await.unwrap(), 7);
    let watch = |cx: &mut Context<'_>| {
        let mut space = [0; 100];
        Poll::Ready(stream.poll_read_silently(cx, &mut ReadBuf::new(&mut space)).is_pending())
    };
    assert!(std::future::poll_fn(watch).await);
    assert!(client.hears_nothing().await);
    write_all(&mut stream, &[b"response"]).await;
    assert!(client.record().await.length > 100);
}

#[tokio::test]
async fn a_ticket_goes_out_when_there_is_nothing_to_read() {
    let (mut stream, mut client) = connected(&rustls::version::TLS13, b"").await;
    assert!(client.hears_nothing().await);
    let reading = tokio::spawn(async move { read(&mut stream, &mut [0; 100]).await });
    assert!(client.record().await.length > 100);
    drop(client);
    assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn the_end_is_said_in_tls_and_in_tcp() {
    let (mut stream, mut client) = connected(&rustls::version::TLS13, b"request").await;
    assert_eq!(read(&mut stream, &mut [0; 100]).await.unwrap(), 7);
    write_all(&mut stream, &[b"response"]).await;
    std::future::poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap();
    for _ in ["ticket", "response", "end"] {
        client.record().await;
    }
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut client.tls.reader(), &mut plain).unwrap();
    assert_eq!(plain, b"response");
    assert_eq!(client.tcp.read(&mut [0; 1]).await.unwrap(), 0);

    client.tls.send_close_notify();
    client.send().await;
    assert_eq!(read(&mut stream, &mut [0; 100]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_end_of_tls_goes_with_the_last_bytes() {
    let (mut stream, mut client) = connected(&rustls::version::TLS13, b"request").await;
    assert_eq!(read(&mut stream, &mut [0; 100]).await.unwrap(), 7);
    write_all(&mut stream, &[b"more "]).await;
    stream.hold();
    write_all(&mut stream, &[b"last ", b"words"]).await;
    drop(stream);
    for _ in ["ticket", "more", "last words", "end"] {
        client.record().await;
    }
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut client.tls.reader(), &mut plain).unwrap();
    assert_eq!(plain, b"more last words");
    assert_eq!(client.tcp.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_came_before_an_error_is_read_first() {
    let (mut stream, mut client) = connected(&rustls::version::TLS13, b"request").await;
    tokio::io::AsyncWriteExt::write_all(&mut client.tcp, &[APPLICATION_DATA, 3, 3, 0, 20]).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client.tcp, &[0; 20]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(read(&mut stream, &mut [0; 100]).await.unwrap(), 7);
    assert_eq!(read(&mut stream, &mut [0; 100]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn records_are_small_at_first_and_after_a_pause() {
    const SMALL: usize = 1369;
    const FULL: usize = 16 * 1024;
    let (mut stream, mut client) = connected(&rustls::version::TLS12, b"").await;
    let page = vec![b'x'; 12 * SMALL + 2 * FULL];
    let expected = [vec![SMALL; 12], vec![FULL; 2]].concat();

    let mut begin = true;
    for pause in [Duration::ZERO, Duration::from_millis(1100)] {
        tokio::time::sleep(pause).await;
        let (head, body) = page.split_at(200);
        write_all(&mut stream, &[head, b"", body]).await;
        if std::mem::take(&mut begin) {
            // The ticket, and the end of the handshake.
            while client.tls.is_handshaking() {
                client.record().await;
            }
        }
        assert_eq!(client.sizes(page.len()).await, expected);
        write_all(&mut stream, &[&page[..FULL]]).await;
        assert_eq!(client.sizes(FULL).await, [FULL], "no pause");
    }
}

#[tokio::test]
async fn short_responses_are_one_record_each() {
    let (mut stream, mut client) = connected(&rustls::version::TLS12, b"").await;
    write_all(&mut stream, &[b"head", b"body"]).await;
    while client.tls.is_handshaking() {
        client.record().await;
    }
    assert_eq!(client.sizes(8).await, [8]);
    write_all(&mut stream, &[&[b'x'; 1000], &[b'y'; 369]]).await;
    assert_eq!(client.sizes(1369).await, [1369]);
    // More slices than a small record is made of.
    write_all(&mut stream, &[b"a", b"b", b"c", b"d", b"e"]).await;
    assert_eq!(client.sizes(5).await, [4, 1]);
}

#[tokio::test]
async fn bytes_arrive_in_order_however_they_are_sliced() {
    let (mut stream, mut client) = connected(&rustls::version::TLS12, b"").await;
    let text: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = text.clone();
    let writing = tokio::spawn(async move {
        let mut rest = &text[..];
        for size in [1, 1368, 1369, 1370, 0, 16_384, 100_000, usize::MAX] {
            let (now, later) = rest.split_at(size.min(rest.len()));
            let (head, body) = now.split_at(now.len() / 3);
            write_all(&mut stream, &[head, body]).await;
            rest = later;
        }
        stream
    });
    while client.tls.is_handshaking() {
        client.record().await;
    }
    let mut got = Vec::new();
    while got.len() < expected.len() {
        client.record().await;
        let mut plain = [0; 16 * 1024];
        let n = io::Read::read(&mut client.tls.reader(), &mut plain).unwrap();
        got.extend_from_slice(&plain[..n]);
    }
    assert!(got == expected);
    drop(writing.await.unwrap());
}
