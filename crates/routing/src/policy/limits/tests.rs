#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::Ipv4Addr;

use super::*;

const CLIENT: &str = "10.201.100.1";

fn limits(per_second: Option<Rate>, per_minute: Option<Rate>, connections: Option<u32>) -> Limits {
    let zone = Arc::new(Zone::new("default/web"));
    Limits { zone, per_second, per_minute, connections, exempt: NetworkSet::default() }
}

/// What becomes of requests of a client at these milliseconds: `1` for one that is taken, `0` for one that is not.
fn taken(limits: &Limits, client: &str, times: &[u64]) -> String {
    let admit = |at: &u64| limits.admit(client.parse().unwrap(), Duration::from_millis(*at));
    times.iter().map(|at| if admit(at).is_ok() { '1' } else { '0' }).collect()
}

#[test]
fn a_rate_is_the_leaky_bucket_of_nginx() {
    let second = |requests, burst| limits(Some(Rate::per_second(requests, burst)), None, None);
    let minute = |requests, burst| limits(None, Some(Rate::per_minute(requests, burst)), None);
    for (what, limits, times, expected) in [
        // c212 and c214: the first fills nothing, then the burst.
        ("1 + 2", second(1, 2), vec![0; 10], "1110000000"),
        ("12 a minute + 12", minute(12, 12), vec![0; 20], "11111111111110000000"),
        ("no burst", second(1, 0), vec![0, 0, 999, 1000, 1001], "10010"),
        // Half a request has leaked after half a second, and who is refused pays nothing.
        ("1 + 1", second(1, 1), vec![0, 0, 0, 500, 999, 1000, 1000, 2000, 9000, 9000, 9000], "11000101110"),
        ("10 + 1", second(10, 1), vec![0, 0, 0, 50, 100, 150, 200, 200], "11001010"),
        // 7 a minute are 116 thousandths a second.
        ("7 a minute", minute(7, 0), vec![0, 8_571, 8_620, 8_621, 17_242], "10011"),
        ("a clock that goes back", second(1, 1), vec![5000, 4000, 4000, 5999, 6000], "11001"),
    ] {
        assert_eq!(taken(&limits, CLIENT, &times), expected, "{what}");
    }
}

#[test]
fn a_request_that_one_rate_refuses_does_not_count_for_the_other() {
    let both =
        |second, minute| limits(Some(Rate::per_second(second, second)), Some(Rate::per_minute(minute, minute)), None);
    assert_eq!(taken(&both(1, 60), CLIENT, &[0, 0, 0, 0, 1000, 1000, 2000]), "1100101");
    assert_eq!(taken(&both(100, 2), CLIENT, &[0, 0, 0, 0, 1000, 30_304, 30_304]), "1110010");
    let limits = both(1, 3);
    // The minute is full, so that the second stays empty however often is asked.
    assert_eq!(taken(&limits, CLIENT, &[0, 1000, 2000, 3000, 4000, 4000, 4000]), "1111000");
    assert!(limits.zone.per_second.has_room(
        Client::from(CLIENT.parse::<IpAddr>().unwrap()),
        4000,
        &Rate::per_second(1, 0)
    ));
}

#[test]
fn clients_do_not_share_and_an_address_is_the_same_in_both_writings() {
    let limits = limits(Some(Rate::per_second(1, 0)), None, Some(1));
    for (client, expected) in [
        ("10.0.0.1", "10"),
        ("10.0.0.2", "10"),
        ("::ffff:10.0.0.1", "00"),
        ("2001:db8::1", "10"),
        ("2001:db8::2", "10"),
    ] {
        assert_eq!(taken(&limits, client, &[0, 0]), expected, "{client}");
    }
}

#[test]
fn exempt_clients_are_not_counted() {
    let exempt = ["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()].into_iter().collect();
    let limits = Limits { exempt, ..limits(Some(Rate::per_second(1, 0)), None, Some(1)) };
    assert_eq!(taken(&limits, "10.0.0.1", &[0, 0, 0]), "111");
    assert_eq!(limits.zone.per_second.clients() + limits.zone.under_way.clients(), 0);
    assert_eq!(taken(&limits, "11.0.0.1", &[0, 0, 0]), "100");
}

#[test]
fn connections_count_for_as_long_as_their_requests_live() {
    let limits = limits(None, None, Some(2));
    let admit = |client: &str| limits.admit(client.parse().unwrap(), Duration::ZERO);
    let first = admit(CLIENT).unwrap();
    let second = admit(CLIENT).unwrap();
    assert_eq!(admit(CLIENT).unwrap_err(), Over::Connections);
    let other = admit("10.0.0.9").unwrap();
    drop(first);
    let third = admit(CLIENT).unwrap();
    assert_eq!(admit(CLIENT).unwrap_err(), Over::Connections);
    drop((second, third, other));
    assert_eq!(limits.zone.under_way.clients(), 0);
    // Nobody holds a place because of a rate.
    let none = Limits { connections: Some(0), ..limits.clone() };
    assert_eq!(none.admit(CLIENT.parse().unwrap(), Duration::ZERO).unwrap_err(), Over::Connections);
}

#[test]
fn the_memory_of_a_zone_is_bounded_and_the_oldest_go_first() {
    let limits = limits(Some(Rate::per_second(1, 100_000)), None, None);
    let client = |number: u32| IpAddr::from(Ipv4Addr::from(number));
    for number in 0..200_000 {
        assert!(limits.admit(client(number), Duration::from_millis(1)).is_ok());
    }
    let known = limits.zone.per_second.clients();
    assert!((40_000..=80_000).contains(&known), "{known}");
    // What the newest have taken is still known, what the oldest have is not.
    let tight = Limits { per_second: Some(Rate::per_second(1, 0)), ..limits };
    assert_eq!(tight.admit(client(199_999), Duration::from_millis(1)).unwrap_err(), Over::Rate);
    assert_eq!(tight.admit(client(170_000), Duration::from_millis(1)).unwrap_err(), Over::Rate);
    assert!(tight.admit(client(0), Duration::from_millis(1)).is_ok());
}

#[test]
fn what_has_run_empty_is_forgotten_and_nothing_before() {
    let limits = limits(None, Some(Rate::per_minute(1, 5)), None);
    // Six requests take 6 minutes to leak, at 16 thousandths a second.
    assert_eq!(taken(&limits, CLIENT, &[0; 7]), "1111110");
    let others: Vec<u64> = (0..400).map(|second| second * 1000).collect();
    for at in &others {
        let other = IpAddr::from(Ipv4Addr::from(*at as u32 + 1));
        assert!(limits.admit(other, Duration::from_millis(*at)).is_ok());
    }
    assert_eq!(taken(&limits, CLIENT, &[62_000, 62_500, 125_000, 125_000]), "0110");
    // The part of a client forgets with the second one that comes later; some 12 come to each in each round.
    for round in 1..=2 {
        for host in 0..200 {
            let other = IpAddr::from(Ipv4Addr::new(10, 9, round, host));
            assert!(limits.admit(other, Duration::from_secs(10_000 * u64::from(round))).is_ok());
        }
    }
    assert!(limits.zone.per_minute.clients() < 500, "{}", limits.zone.per_minute.clients());
}

#[test]
fn clients_are_told_apart_by_what_their_requests_say_where_that_is_asked_for() {
    let limits = limits(Some(Rate::per_second(1, 0)), None, Some(1));
    let client = CLIENT.parse().unwrap();
    let admit = |name: &str| limits.admit_named(client, name.as_bytes(), Duration::ZERO);
    let first = admit("a").unwrap();
    assert!(first.is_some() && admit("a").unwrap_err() == Over::Rate);
    assert!(admit("b").unwrap().is_some(), "another name is another client");
    assert!((0..9).all(|_| admit("").unwrap().is_none()), "no name is not counted");
    assert!(limits.admit(client, Duration::ZERO).is_ok(), "an address is none of the names");
}
