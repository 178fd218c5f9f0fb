#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn set(networks: &[&str]) -> NetworkSet {
    networks.iter().map(|network| network.parse::<IpNet>().unwrap()).collect()
}

#[test]
fn an_address_is_in_a_set_when_one_of_its_networks_has_it() {
    let networks = set(&["10.1.2.3/8", "192.0.2.7/32", "10.2.0.0/16", "2001:db8::/32", "::ffff:198.51.100.0/120"]);
    for (address, expected) in [
        ("10.0.0.0", true),
        ("10.255.255.255", true),
        ("9.255.255.255", false),
        ("11.0.0.0", false),
        ("192.0.2.7", true),
        ("192.0.2.6", false),
        ("192.0.2.8", false),
        ("::ffff:10.2.3.4", true),
        ("::ffff:11.2.3.4", false),
        ("198.51.100.9", true),
        ("198.51.101.9", false),
        ("2001:db8::1", true),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("2001:db9::", false),
        ("::1", false),
    ] {
        assert_eq!(networks.contains(address.parse().unwrap()), expected, "{address}");
    }
    assert_eq!(networks.to_string(), "10.0.0.0/8,192.0.2.7/32,198.51.100.0/24,2001:db8::/32");
    assert!(set(&[]).is_empty() && !set(&[]).contains("::".parse().unwrap()));
    let all = set(&["0.0.0.0/0", "::/0"]);
    assert!(["0.0.0.0", "255.255.255.255", "::", "fe80::1"].iter().all(|a| all.contains(a.parse().unwrap())));
}

#[test]
fn the_deny_list_comes_before_the_allow_list() {
    let some = |networks: &[&str]| Some(Arc::new(set(networks)));
    let denied = || some(&["10.201.100.2/32"]);
    let allowed = || some(&["10.201.100.0/24"]);
    use Verdict::{Allowed, Refused, Silent};
    for (denied, allowed, verdicts) in [
        (None, None, [Silent, Silent, Silent]),
        (denied(), None, [Silent, Refused, Silent]),
        (None, allowed(), [Allowed, Allowed, Refused]),
        (denied(), allowed(), [Allowed, Refused, Refused]),
    ] {
        let networks = Networks { denied, allowed };
        let clients = ["10.201.100.1", "10.201.100.2", "10.201.102.2"];
        assert_eq!(clients.map(|client| networks.judge(client.parse().unwrap())), verdicts, "{networks:?}");
    }
}

proptest! {
    #[test]
    fn a_set_has_what_its_networks_have(
        networks in prop::collection::vec((any::<[u8; 4]>(), 0..=32u8), 0..12),
        six in prop::collection::vec((any::<u128>(), 0..=128u8), 0..6),
        address in any::<[u8; 4]>(),
        other in any::<u128>(),
        near in any::<prop::sample::Index>(),
    ) {
        let mut all: Vec<IpNet> = networks.iter().map(|(a, p)| IpNet::new((*a).into(), *p).unwrap()).collect();
        all.extend(six.iter().map(|(a, p)| IpNet::new(std::net::Ipv6Addr::from(*a).into(), *p).unwrap()));
        let set: NetworkSet = all.iter().copied().collect();
        let mut addresses = vec![IpAddr::from(address), IpAddr::from(std::net::Ipv6Addr::from(other))];
        if !all.is_empty() {
            let network = near.get(&all);
            addresses.extend([network.network(), network.broadcast()]);
        }
        for address in addresses {
            let address = address.to_canonical();
            prop_assert_eq!(set.contains(address), all.iter().any(|network| network.contains(&address)));
        }
    }
}
