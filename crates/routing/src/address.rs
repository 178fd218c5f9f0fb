//! Which addresses the proxy connects to because an object says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that whoever writes objects may have the proxy connect to. With `allow_loopback` (who writes them
/// has this machine anyway) that is every one that can be connected to at all; else no loopback and link-local address, and none
/// where instances are told their credentials.
pub fn may_connect(address: IpAddr, allow_loopback: bool) -> bool {
    if allow_loopback {
        return !address.is_unspecified() && !address.is_multicast();
    }
    match address.to_canonical() {
        IpAddr::V4(v4) => may_connect_v4(v4),
        IpAddr::V6(v6) => {
            let is_refused = v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || METADATA_V6.contains(&v6);
            !is_refused && translated(v6).into_iter().flatten().all(may_connect_v4)
        }
    }
}

fn may_connect_v4(v4: Ipv4Addr) -> bool {
    !(v4.is_unspecified()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || METADATA_V4.contains(&v4))
}

/// Where instances at AWS (the last of them for EKS), Google and Oracle are told their credentials; with IPv4 these are link-local
/// addresses.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
];

/// And at Alibaba and Azure, where they are none.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];

/// The IPv4 addresses that an IPv6 one may stand for on its way (NAT64). Under the prefix of networks of their own (RFC 8215) nobody
/// knows how long theirs is, so that it is each that the address would hold (RFC 6052 section 2.2), but for nothing but zeros.
fn translated(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let octets = v6.octets();
    let v4 = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => [Some(v4([12, 13, 14, 15])), None, None, None],
        [0x64, 0xff9b, 1, ..] => [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]]
            .map(|places| Some(v4(places)).filter(|v4| !v4.is_unspecified())),
        _ => [None; 4],
    }
}
