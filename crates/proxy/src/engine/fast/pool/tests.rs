#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

const SETTINGS: UpstreamPool =
    UpstreamPool { connections: 8, idle: Duration::from_secs(60), requests: None, age: None };

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
    let (pool, endpoint, other) = (Pool::default(), Endpoint::new().await, Endpoint::new().await);
    let ((one, _far_one), (two, _far_two)) = (endpoint.connection().await, endpoint.connection().await);
    let (first, second) = (port(&one), port(&two));
    pool.put(endpoint.address, Kept::new(one), &SETTINGS);
    pool.put(endpoint.address, Kept::new(two), &SETTINGS);
    assert!(pool.take(other.address, Instant::now()).is_none());
    assert_eq!(pool.take(endpoint.address, Instant::now()).map(|kept| port(&kept.tcp)), Some(second));
    assert_eq!(pool.take(endpoint.address, Instant::now()).map(|kept| port(&kept.tcp)), Some(first));
    assert!(pool.take(endpoint.address, Instant::now()).is_none());
}

#[tokio::test]
async fn a_connection_on_which_something_came_is_not_taken() {
    let (pool, endpoint) = (Pool::default(), Endpoint::new().await);
    let (closed, far) = endpoint.connection().await;
    pool.put(endpoint.address, Kept::new(closed), &SETTINGS);
    drop(far);
    let (talking, mut far) = endpoint.connection().await;
    pool.put(endpoint.address, Kept::new(talking), &SETTINGS);
    far.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(pool.take(endpoint.address, Instant::now()).is_none());
    assert_eq!(pool.idle().count, 0);
}

#[tokio::test]
async fn above_the_cap_the_oldest_goes() {
    const TWO: UpstreamPool = UpstreamPool { connections: 2, ..SETTINGS };
    let (pool, endpoint, other) = (Pool::default(), Endpoint::new().await, Endpoint::new().await);
    let mut far_ends = Vec::new();
    // One that has none left at the moment is not the oldest.
    let busy = Endpoint::new().await;
    pool.put(busy.address, Kept::new(busy.connection().await.0), &TWO);
    pool.take(busy.address, Instant::now());
    for endpoint in [&endpoint, &other, &other] {
        let (near, far) = endpoint.connection().await;
        pool.put(endpoint.address, Kept::new(near), &TWO);
        far_ends.push(far);
    }
    assert!(pool.take(endpoint.address, Instant::now()).is_none());
    assert!(pool.take(other.address, Instant::now()).is_some() && pool.take(other.address, Instant::now()).is_some());
    let none = UpstreamPool { connections: 0, ..UpstreamPool::default() };
    pool.put(endpoint.address, Kept::new(endpoint.connection().await.0), &none);
    assert!(pool.take(endpoint.address, Instant::now()).is_none());
}

#[tokio::test]
async fn what_is_idle_for_too_long_is_closed() {
    let (pool, endpoint) = (Pool::default(), Endpoint::new().await);
    let (near, _far) = endpoint.connection().await;
    pool.put(endpoint.address, Kept::new(near), &UpstreamPool { idle: Duration::from_millis(20), ..SETTINGS });
    pool.sweep();
    assert_eq!(pool.idle().count, 1);
    tokio::time::sleep(Duration::from_millis(30)).await;
    pool.sweep();
    let idle = pool.idle();
    assert_eq!((idle.count, idle.connections.len()), (0, 0));
}

#[tokio::test]
async fn a_connection_that_has_served_enough_is_not_kept() {
    let (pool, endpoint) = (Pool::default(), Endpoint::new().await);
    let (near, _far) = endpoint.connection().await;
    let twice = UpstreamPool { requests: Some(2), ..SETTINGS };
    pool.put(endpoint.address, Kept::new(near), &twice);
    let kept = pool.take(endpoint.address, Instant::now()).unwrap();
    pool.put(endpoint.address, kept, &twice);
    assert!(pool.take(endpoint.address, Instant::now()).is_none(), "it has served two");
    let (near, _far) = endpoint.connection().await;
    pool.put(endpoint.address, Kept::new(near), &UpstreamPool { age: Some(Duration::ZERO), ..SETTINGS });
    assert!(pool.take(endpoint.address, Instant::now()).is_none(), "it is too old");
}

#[test]
fn buffers_come_back_empty_and_large() {
    let buffers = Buffers::default();
    let mut buffer = buffers.take();
    buffer.extend_from_slice(b"secret");
    buffers.put(buffer);
    buffers.put(Vec::new());
    buffers.put(Vec::with_capacity(4 * Buffers::SIZE));
    assert_eq!(buffers.0.free().len(), 1);
    let buffer = buffers.take();
    assert!(buffer.is_empty() && buffer.capacity() >= Buffers::SIZE);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_given_back_serves_the_next_task() {
    let deadlines = Deadlines::default();
    for seconds in [10, 30, 5] {
        let mut deadline = deadlines.take();
        assert!(!deadline.is_set());
        let begun = tokio::time::Instant::now();
        let time = Duration::from_secs(seconds);
        let waiting = tokio::spawn(async move {
            deadline.set((begun + time).into());
            std::future::poll_fn(|cx| deadline.poll(cx)).await;
            deadline.set((begun + 10 * time).into());
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(deadline.poll(cx))).await.is_pending());
            deadline
        });
        deadlines.put(waiting.await.unwrap());
        assert_eq!(begun.elapsed(), time);
    }
    assert_eq!(deadlines.0.free().len(), 1);
}
