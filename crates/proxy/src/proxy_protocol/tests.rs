#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use edgeward_routing::settings::ProxyProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::fixture::{Client, Fixture, Options, tls_client};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 443\r\n";
const V1_V6: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 4321 443\r\n";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x10\xe1\x01\xbb";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A header version 2 with a TLV of `length` bytes behind the addresses.
fn v2_with_tlv(length: u16) -> Vec<u8> {
    let mut header = V2.to_vec();
    header[14..16].copy_from_slice(&(12 + 3 + length).to_be_bytes());
    header.push(0xe0);
    header.extend(length.to_be_bytes());
    header.resize(header.len() + usize::from(length), 7);
    header
}

/// Sends `pieces` one by one and returns what was read, and how many bytes were left behind it.
async fn read_from(pieces: &[&[u8]]) -> (Result<Proxied, HeaderError>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    sender.set_nodelay(true).unwrap();
    let (mut tcp, _) = listener.accept().await.unwrap();
    let reading = tokio::spawn(async move {
        let read = read(&mut tcp).await;
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest).await;
        (read, rest.len())
    });
    for piece in pieces {
        let _ = sender.write_all(piece).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(sender);
    reading.await.unwrap()
}

#[tokio::test]
async fn a_header_is_read_to_its_last_byte_and_no_further() {
    let proxied = |source: &str, destination: &str, version| Proxied {
        source: Some(source.parse().unwrap()),
        destination: Some(destination.parse().unwrap()),
        version,
    };
    let nobody = Proxied { source: None, destination: None, version: AddressSource::Peer };
    let tlv = v2_with_tlv(1500);
    let cases: &[(&[u8], Proxied)] = &[
        (V1, proxied("192.0.2.7:4321", "198.51.100.1:443", AddressSource::ProxyV1)),
        (V1_V6, proxied("[2001:db8::7]:4321", "[2001:db8::1]:443", AddressSource::ProxyV1)),
        (V1_UNKNOWN, nobody),
        (V2, proxied("192.0.2.7:4321", "198.51.100.1:443", AddressSource::ProxyV2)),
        (V2_LOCAL, nobody),
        (&tlv, proxied("192.0.2.7:4321", "198.51.100.1:443", AddressSource::ProxyV2)),
    ];
    for (header, expected) in cases {
        let whole = [header, &b"GET /"[..]].concat();
        for step in [1, 5, 16, 600, whole.len()] {
            if step == 1 && whole.len() > 200 {
                continue;
            }
            let pieces: Vec<&[u8]> = whole.chunks(step).collect();
            assert_eq!(read_from(&pieces).await, (Ok(*expected), 5), "{} by {step}", header.escape_ascii());
        }
    }
}

#[tokio::test]
async fn what_is_no_header_is_refused() {
    let long = v2_with_tlv(5000);
    let endless = [b"PROXY TCP4 ", &[b'1'; 200][..]].concat();
    let cases: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP9 192.0.2.7 198.51.100.1 4321 443\r\n",
        b"PROXY TCP4 192.0.2.777 198.51.100.1 4321 443\r\n",
        b"PROXY TCP4 2001:db8::7 198.51.100.1 4321 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 443\rx",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x10\xe1\x01\xbb",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02\xc0\0",
        &V1[..20],
        &V2[..14],
        &endless,
        &long,
    ];
    for header in cases {
        assert_eq!(read_from(&[header]).await.0, Err(HeaderError::Malformed), "{}", header.escape_ascii());
    }
    assert_eq!(read_from(&[]).await.0, Err(HeaderError::Closed));
}

fn trusting(network: &str) -> impl FnOnce(&mut Options) {
    let network = network.parse().unwrap();
    move |options| {
        options.proxy_protocol =
            ProxyProtocol { enabled: true, trusted: vec![network], timeout: Duration::from_millis(300) };
    }
}

#[tokio::test]
async fn the_client_address_comes_from_a_trusted_header() {
    let fixture = Fixture::start(trusting("127.0.0.0/8")).await;
    for (header, address, source) in [(V1, "192.0.2.7:4321", "ProxyV1"), (V2, "192.0.2.7:4321", "ProxyV2")] {
        let mut client = fixture.connect().await;
        client.send([header, b"GET /connection HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
        let body = client.response().await.body;
        assert!(body.starts_with(&format!("{address} {source} None")), "{body}");

        let mut tcp = TcpStream::connect(fixture.https).await.unwrap();
        tcp.write_all(header).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let config = std::sync::Arc::new(tls_client(&[], rustls::ALL_VERSIONS));
        let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
        let body = Client::new(tls).get("/connection").await.body;
        assert!(body.starts_with(&format!("{address} {source} Some")), "{body}");
    }
    let mut client = fixture.connect().await;
    let own = client.io.local_addr().unwrap();
    client.send(V2_LOCAL).await;
    assert!(client.get("/connection").await.body.starts_with(&format!("{own} Peer")));
}

#[tokio::test]
async fn without_a_good_header_there_is_no_connection() {
    let fixture = Fixture::start(trusting("127.0.0.0/8")).await;
    let mut client = fixture.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.rest().await, b"");
    fixture.events.saw("Rejected malformed_proxy_header").await;
    let begun = Instant::now();
    let mut client = fixture.connect().await;
    client.send("PROXY TCP4").await;
    assert_eq!(client.rest().await, b"");
    assert!(begun.elapsed() < Duration::from_secs(3));
    fixture.events.saw("Rejected proxy_header_timeout").await;
    // A health check that connects and leaves is no event.
    let before = fixture.events.all();
    drop(fixture.connect().await);
    fixture.is_empty().await;
    assert_eq!(fixture.events.all(), before);
}

#[tokio::test]
async fn an_untrusted_peer_is_not_heard() {
    let fixture = Fixture::start(trusting("10.0.0.0/8")).await;
    let mut client = fixture.connect().await;
    let _ = client.io.write_all(V1).await;
    assert_eq!(client.rest().await, b"");
    fixture.events.saw("Rejected untrusted_proxy").await;
}

#[test]
fn nobody_is_trusted_by_default() {
    assert!(!ProxyProtocol::default().trusts("127.0.0.1".parse().unwrap()));
    let trusted = vec!["192.0.2.0/24".parse().unwrap()];
    let options = ProxyProtocol { trusted, ..ProxyProtocol::default() };
    assert!(options.trusts("::ffff:192.0.2.1".parse().unwrap()));
}
