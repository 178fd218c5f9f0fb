#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

/// An endpoint, and connections to it with their far ends.
struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    async fn connection(&self) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(self.address).await.unwrap();
        (near, self.listener.accept().await.unwrap().0)
    }
}

fn port(tcp: &TcpStream) -> u16 {
    tcp.local_addr().unwrap().port()
}

#[tokio::test]
async fn the_connection_that_was_used_last_is_taken_first() {
    let (pool, endpoint, other) = (Pool::new(8, Duration::MAX), Endpoint::new().await, Endpoint::new().await);
    let ((one, _far_one), (two, _far_two)) = (endpoint.connection().await, endpoint.connection().await);
    let (first, second) = (port(&one), port(&two));
    pool.put(endpoint.address, one);
    pool.put(endpoint.address, two);
    assert!(pool.take(other.address, Instant::now()).is_none());
    assert_eq!(pool.take(endpoint.address, Instant::now()).map(|tcp| port(&tcp)), Some(second));
    assert_eq!(pool.take(endpoint.address, Instant::now()).map(|tcp| port(&tcp)), Some(first));
    assert!(pool.take(endpoint.address, Instant::now()).is_none());
}

#[tokio::test]
async fn a_connection_on_which_something_came_is_not_taken() {
    let (pool, endpoint) = (Pool::new(8, Duration::MAX), Endpoint::new().await);
    let (closed, far) = endpoint.connection().await;
    pool.put(endpoint.address, closed);
    drop(far);
    let (talking, mut far) = endpoint.connection().await;
    pool.put(endpoint.address, talking);
    far.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(pool.take(endpoint.address, Instant::now()).is_none());
    assert_eq!(pool.idle().count, 0);
}

#[tokio::test]
async fn above_the_cap_the_oldest_goes() {
    let (pool, endpoint, other) = (Pool::new(2, Duration::MAX), Endpoint::new().await, Endpoint::new().await);
    let mut far_ends = Vec::new();
    // One that has none left at the moment is not the oldest.
    let busy = Endpoint::new().await;
    pool.put(busy.address, busy.connection().await.0);
    pool.take(busy.address, Instant::now());
    for endpoint in [&endpoint, &other, &other] {
        let (near, far) = endpoint.connection().await;
        pool.put(endpoint.address, near);
        far_ends.push(far);
    }
    assert!(pool.take(endpoint.address, Instant::now()).is_none());
    assert!(pool.take(other.address, Instant::now()).is_some() && pool.take(other.address, Instant::now()).is_some());
    let none = Pool::new(0, Duration::MAX);
    none.put(endpoint.address, endpoint.connection().await.0);
    assert!(none.take(endpoint.address, Instant::now()).is_none());
}

#[tokio::test]
async fn what_is_idle_for_too_long_is_closed() {
    let (pool, endpoint) = (Pool::new(8, Duration::from_millis(20)), Endpoint::new().await);
    let (near, _far) = endpoint.connection().await;
    pool.put(endpoint.address, near);
    pool.sweep();
    assert_eq!(pool.idle().count, 1);
    tokio::time::sleep(Duration::from_millis(30)).await;
    pool.sweep();
    let idle = pool.idle();
    assert_eq!((idle.count, idle.connections.len()), (0, 0));
}

#[test]
fn buffers_come_back_empty_and_large() {
    let buffers = Buffers::default();
    let mut buffer = buffers.take();
    buffer.extend_from_slice(b"secret");
    buffers.put(buffer);
    buffers.put(Vec::new());
    buffers.put(Vec::with_capacity(4 * Buffers::SIZE));
    assert_eq!(buffers.free().len(), 1);
    let buffer = buffers.take();
    assert!(buffer.is_empty() && buffer.capacity() >= Buffers::SIZE);
}
