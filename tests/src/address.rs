//! Loopback addresses and ports that no other test uses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// The port that every backend listens on, as pods do: backends differ by address.
pub const POD_PORT: u16 = 8080;

/// Ports below the range from which the kernel picks the local ports of clients, so that a load test cannot take a port
/// between the moment it was found free and the moment the binary binds it.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
static NEXT_POD: AtomicU32 = AtomicU32::new(1);

/// A TCP port of 127.0.0.1 that is free and was not handed out before by this process.
///
/// # Panics
///
/// When no port of the range is free.
pub fn free_port() -> u16 {
    let range = LAST_PORT - FIRST_PORT;
    // Two runs of the tests at the same time start at different places.
    let start = u16::try_from(std::process::id() % 48).unwrap_or(0) * 250;
    for _ in 0..range {
        let port = FIRST_PORT + (start + NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % range;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST_PORT} and {LAST_PORT}")
}

/// An address of 127.0.0.0/8 of its own for one backend: the pod IP of the tests.
pub fn pod() -> SocketAddr {
    let [_, high, middle, low] = NEXT_POD.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    // 127.201 belongs to the recorded cases, 127.0 to the proxy.
    let net = 64 + u8::try_from(std::process::id() % 64).unwrap_or(0) + high;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, net, middle, low)), POD_PORT)
}
