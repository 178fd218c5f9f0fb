#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tokio::net::TcpListener;

use super::*;

const POOL: UpstreamPool = UpstreamPool { connections: 8, idle: Duration::from_secs(60), requests: None, age: None };
const TIME: Duration = Duration::from_secs(5);

/// An endpoint that takes so many streams on a connection.
async fn endpoint(streams: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut builder = h2::server::Builder::new();
                let handshake = builder.max_concurrent_streams(streams).handshake::<_, Bytes>(tcp);
                let mut connection = handshake.await.unwrap();
                while connection.accept().await.is_some() {}
            });
        }
    });
    address
}

fn links() -> Arc<Links> {
    Arc::default()
}

fn terms(pool: &UpstreamPool) -> Terms<'_> {
    Terms { pool, streams: 10 }
}

fn count(links: &Links, address: SocketAddr) -> usize {
    links.state().places.get(&address).map_or(0, |place| place.links.len())
}

#[tokio::test]
async fn requests_that_come_together_share_the_connection_that_one_of_them_opens() {
    let (links, address) = (links(), endpoint(100).await);
    assert!(links.take(address, terms(&POOL), Instant::now()).is_none());
    let slots = futures_util::future::join_all((0..10).map(|_| links.open(address, terms(&POOL), TIME))).await;
    let slots: Vec<_> = slots.into_iter().map(Result::unwrap).collect();
    assert_eq!(slots.iter().filter(|slot| slot.is_first).count(), 1);
    assert_eq!(count(&links, address), 1);
    // That is all of it.
    assert!(links.take(address, terms(&POOL), Instant::now()).is_none());
    drop(slots);
    assert!(links.take(address, terms(&POOL), Instant::now()).is_some());
}

#[tokio::test]
async fn an_endpoint_has_no_more_streams_than_it_takes() {
    let (links, address) = (links(), endpoint(2).await);
    let slots = futures_util::future::join_all((0..6).map(|_| links.open(address, terms(&POOL), TIME))).await;
    assert!(slots.iter().all(Result::is_ok));
    assert!(count(&links, address) >= 3, "{}", count(&links, address));
    drop(slots);
    // What came to nothing is not waited for.
    links.sweep();
    assert!(links.state().places[&address].opening.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_takes_no_streams_is_not_connected_to_over_and_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            *counted.lock().unwrap() += 1;
            tokio::spawn(async move {
                let handshake = h2::server::Builder::new().max_concurrent_streams(0).handshake::<_, Bytes>(tcp);
                let mut connection = handshake.await.unwrap();
                while connection.accept().await.is_some() {}
            });
        }
    });
    let links = links();
    let asking = (0..10).map(|_| links.open(address, terms(&POOL), TIME));
    let opened = futures_util::future::join_all(asking).await;
    assert!(opened.into_iter().all(|slot| slot.err() == Some(Reason::ConnectFailed)));
    assert_eq!((*connections.lock().unwrap(), count(&links, address)), (1, 0));
}

#[tokio::test]
async fn a_connection_serves_so_many_requests_and_is_idle_for_so_long() {
    let (links, address) = (links(), endpoint(100).await);
    let few = UpstreamPool { requests: Some(2), ..POOL };
    drop(links.open(address, terms(&few), TIME).await.unwrap());
    drop(links.take(address, terms(&few), Instant::now()).unwrap());
    assert!(links.take(address, terms(&few), Instant::now()).is_none());
    links.sweep();
    assert_eq!(count(&links, address), 0);

    drop(links.open(address, terms(&POOL), TIME).await.unwrap());
    let later = Instant::now() + POOL.idle;
    assert!(links.take(address, terms(&POOL), later).is_none());
    assert!(links.take(address, terms(&POOL), Instant::now()).is_some());
}

#[tokio::test]
async fn no_more_are_idle_than_are_kept() {
    let (links, address) = (links(), endpoint(1).await);
    let pool = UpstreamPool { connections: 2, ..POOL };
    let slots = futures_util::future::join_all((0..5).map(|_| links.open(address, terms(&pool), TIME))).await;
    links.sweep();
    assert!(count(&links, address) >= 5, "none of them is idle");
    drop(slots);
    links.sweep();
    assert_eq!(count(&links, address), 2);
    // None is kept for another request.
    let none = UpstreamPool { connections: 0, ..POOL };
    drop(links.open(address, terms(&none), TIME).await.unwrap());
    links.sweep();
    assert_eq!(count(&links, address), 0);
}

#[tokio::test]
async fn a_connection_with_many_streams_given_up_takes_no_more() {
    let (links, address) = (links(), endpoint(100).await);
    let slot = links.open(address, terms(&POOL), TIME).await.unwrap();
    (0..GIVEN_UP).for_each(|_| slot.give_up());
    assert!(links.take(address, terms(&POOL), Instant::now()).is_none());
}

#[tokio::test]
async fn a_connection_on_which_nothing_gets_on_takes_no_more_requests_meanwhile() {
    let (links, address) = (links(), endpoint(100).await);
    let slot = links.open(address, terms(&POOL), TIME).await.unwrap();
    let other = links.take(address, terms(&POOL), Instant::now()).unwrap();
    let is_free = |later| links.take(address, terms(&POOL), Instant::now() + later).is_some();
    slot.set_waiting(true);
    assert!(is_free(STUCK / 2) && !is_free(STUCK));
    other.set_waiting(true);
    tokio::time::sleep(STUCK).await;
    assert!(!is_free(Duration::ZERO));
    other.set_waiting(false);
    assert!(is_free(STUCK / 2) && !is_free(STUCK), "the other one got on");
    slot.set_waiting(false);
    assert!(is_free(STUCK));
}

#[tokio::test]
async fn what_speaks_no_http_2_cannot_be_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = async {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.writable().await.unwrap();
        tcp.try_write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        tcp
    };
    let links = links();
    let (opened, _tcp) = tokio::join!(links.open(address, terms(&POOL), TIME), answering);
    assert_eq!(opened.err(), Some(Reason::ConnectFailed));
}

#[tokio::test]
async fn an_endpoint_may_wait_for_a_request_before_it_says_anything() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let links = links();
    let opened = links.open(address, terms(&POOL), TELLING / 2).await;
    assert_eq!(opened.err(), Some(Reason::ConnectTimeout));
    // What was begun for it goes on for the next one.
    let slot = links.open(address, terms(&POOL), TIME).await.unwrap();
    let (response, _) = slot.sender().send_request(http::Request::new(()), true).unwrap();
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(&mut tcp).await.unwrap();
    let serving = async {
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(http::Response::new(()), true).unwrap();
        let _ = connection.accept().await;
    };
    tokio::select! {
        response = response => assert_eq!(response.unwrap().status(), 200),
        () = serving => panic!("the connection ended"),
    }
}
