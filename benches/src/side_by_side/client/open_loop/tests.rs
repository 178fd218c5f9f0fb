use std::net::TcpListener;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn requests_are_due_evenly_and_none_is_left_out_behind_a_pause() {
    let mut schedule = Schedule::new(1000, Duration::from_millis(10));
    assert_eq!(schedule.due(Duration::ZERO), Some(Duration::ZERO));
    assert_eq!(schedule.due(MILLISECOND / 2), None);
    let after_a_pause: Vec<_> = std::iter::from_fn(|| schedule.due(MILLISECOND * 4)).collect();
    assert_eq!(after_a_pause, [1, 2, 3, 4].map(|n| MILLISECOND * n));
    let rest: Vec<_> = std::iter::from_fn(|| schedule.due(Duration::from_secs(1))).collect();
    assert_eq!(rest.last(), Some(&(MILLISECOND * 9)), "nothing is due at the end");
}

#[test]
fn a_rate_that_does_not_divide_a_second_is_kept() {
    let mut schedule = Schedule::new(3, Duration::from_secs(100));
    let all: Vec<_> = std::iter::from_fn(|| schedule.due(Duration::from_secs(100))).collect();
    assert_eq!(all.len(), 300);
    assert_eq!(all[299], Duration::from_nanos(99_666_666_666));
}

/// Answers request by request over one connection at a time; the `pause_at`-th one late.
fn server(answer: &'static str, pause_at: usize, pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let mut count = 0;
        while let Ok((mut stream, _)) = listener.accept() {
            let mut buffer = [0; 1024];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                count += 1;
                if count == pause_at {
                    std::thread::sleep(pause);
                }
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn run(to: SocketAddr) -> Outcome {
    let load = OpenLoop { to, request: b"GET / HTTP/1.1\r\n\r\n".to_vec(), body: 1, connections: 1, rate: 100 };
    let time = Time { warm_up: Duration::from_millis(100), measured: Duration::from_millis(1000) };
    let mut begun = 0;
    let outcome = load.run(time, || begun += 1).expect("it runs");
    assert_eq!(begun, 1);
    outcome
}

const RIGHT: &str = "HTTP/1.1 200 OK\r\nX-Backend: origin\r\nContent-Length: 1\r\n\r\na";

#[test]
fn what_had_to_wait_for_a_slow_answer_has_waited_from_its_own_time() {
    // Requests 0 to 9 are the warm-up. While the 50th is paused for 300 ms, 30 more become due.
    let outcome = run(server(RIGHT, 50, Duration::from_millis(300)));
    assert_eq!((outcome.requests, outcome.failures), (100, 0));
    let latency = outcome.latency.expect("it is measured");
    assert!(latency.p50 < Duration::from_millis(100), "{latency:?}");
    assert!(latency.p99 > Duration::from_millis(250), "one late answer makes 29 late: {latency:?}");
}

#[test]
fn every_wrong_answer_is_a_failure() {
    let outcome = run(server("HTTP/1.1 502 Bad Gateway\r\n\r\n", 0, Duration::ZERO));
    assert_eq!((outcome.requests, outcome.failures), (0, 100));
}
