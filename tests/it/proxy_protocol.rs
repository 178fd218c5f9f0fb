//! PROXY protocol v1 and v2, believed from named networks only.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use edgeward_tests::client::{Connection, Request, connect};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::site::Site;

const HOST: &str = "pp.test";
const TRUSTED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

async fn start() -> (Site, Edgeward) {
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site
        .launch()
        .argument("--use-proxy-protocol")
        .argument("--proxy-protocol-trusted=127.0.0.2/32")
        .argument("--proxy-protocol-timeout=1")
        .start()
        .await;
    (site, edgeward)
}

/// A version 2 header: command 1 is PROXY, 0 is LOCAL.
fn version_2(command: u8, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.push(0x20 | command);
    let mut addresses = Vec::new();
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.push(0x11);
            addresses.extend(source.octets());
            addresses.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes.push(0x21);
            addresses.extend(source.octets());
            addresses.extend(destination.octets());
        }
        _ => panic!("addresses of one family"),
    }
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    bytes.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    bytes.extend(addresses);
    bytes
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Sends `header` and a request behind it; the client address that the backend was told, if it was reached.
async fn client_seen(site: &Site, mut stream: TcpStream, header: &[&[u8]], hello: Option<&Hello>) -> Option<String> {
    for part in header {
        // A proxy that refuses the header closes, perhaps before all of it is sent.
        let _ = stream.write_all(part).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut connection = match hello {
        Some(hello) => Connection::handshake(stream, hello).await.ok()?,
        None => Connection::over(stream),
    };
    let answer = connection.try_exchange(&Request::get(HOST, "/")).await.ok()?;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let got = site.recording.last()?;
    Some(got.header("x-real-ip")?.to_owned())
}

#[tokio::test]
async fn both_versions_name_the_client_on_http_and_https() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start().await;
    let four = (address("203.0.113.7:1234"), address("192.0.2.1:80"));
    let six = (address("[2001:db8::7]:1234"), address("[2001:db8::1]:80"));
    let one = b"PROXY TCP4 203.0.113.7 192.0.2.1 1234 80\r\n".to_vec();
    let one_v6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 1234 80\r\n".to_vec();
    let two = version_2(1, four.0, four.1);
    let table: &[(&str, Vec<&[u8]>, &str)] = &[
        ("version 1", vec![&one], "203.0.113.7"),
        ("version 1, IPv6", vec![&one_v6], "2001:db8::7"),
        ("version 1, unknown", vec![b"PROXY UNKNOWN\r\n"], "127.0.0.2"),
        ("version 1 in pieces", vec![&one[..3], &one[3..20], &one[20..]], "203.0.113.7"),
        ("version 2", vec![&two], "203.0.113.7"),
        ("version 2 in pieces", vec![&two[..5], &two[5..15], &two[15..]], "203.0.113.7"),
    ];
    let two_v6 = version_2(1, six.0, six.1);
    let local = version_2(0, four.0, four.1);
    let more: &[(&str, Vec<&[u8]>, &str)] =
        &[("version 2, IPv6", vec![&two_v6], "2001:db8::7"), ("version 2, LOCAL", vec![&local], "127.0.0.2")];
    for (what, header, client) in table.iter().chain(more) {
        let stream = connect(edgeward.http, Some(TRUSTED)).await.unwrap();
        assert_eq!(client_seen(&site, stream, header, None).await.as_deref(), Some(*client), "{what}, HTTP");
        let stream = connect(edgeward.https, Some(TRUSTED)).await.unwrap();
        let seen = client_seen(&site, stream, header, Some(&Hello::name(HOST))).await;
        assert_eq!(seen.as_deref(), Some(*client), "{what}, HTTPS");
    }
}

#[tokio::test]
async fn a_connection_from_elsewhere_or_with_a_bad_header_is_closed() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start().await;
    let good: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 1234 80\r\n";
    let mut long = b"PROXY TCP4 ".to_vec();
    long.extend(vec![b'1'; 500]);
    let mut bad_version = version_2(1, address("1.2.3.4:5"), address("1.2.3.4:6"));
    bad_version[12] = 0x31;
    let table: &[(&str, IpAddr, &[u8])] = &[
        ("a stranger with a header", STRANGER, good),
        ("a stranger without one", STRANGER, b""),
        ("no header", TRUSTED, b""),
        ("an address that is none", TRUSTED, b"PROXY TCP4 999.0.113.7 192.0.2.1 1234 80\r\n"),
        ("a family that is none", TRUSTED, b"PROXY TCP9 203.0.113.7 192.0.2.1 1234 80\r\n"),
        ("a header without an end", TRUSTED, &long),
        ("version 3", TRUSTED, &bad_version),
    ];
    for (what, source, header) in table {
        let stream = connect(edgeward.http, Some(*source)).await.unwrap();
        assert_eq!(client_seen(&site, stream, &[header], None).await, None, "{what}");
    }
    assert!(site.recording.take().is_empty());

    let stream = connect(edgeward.http, Some(TRUSTED)).await.unwrap();
    let mut connection = Connection::over(stream);
    connection.send("PROXY TCP4 203.").await;
    assert!(connection.is_closed_within(Duration::from_secs(4)).await, "an unfinished header is waited for");
}
