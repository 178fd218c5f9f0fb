//! What the index of a table may take: 32 bytes a route, beside the routes themselves.

use super::*;

#[test]
fn the_index_takes_at_most_32_bytes_a_route() {
    for (hosts, paths) in [(10_000, 10), (100_000, 10), (1, 10_000)] {
        // Whose routes they are makes no difference here.
        let routes: Vec<_> =
            (0..paths).map(|path| Arc::new(route("", &format!("Prefix /api/v1/service{path:05}"), 0))).collect();
        let hosts = (0..hosts).map(|host| {
            let host = HostPattern::Exact(format!("host{host:06}.example.com").into());
            Arc::new(HostRoutes::new(host, false, TrailingSlash::Redirect, routes.iter().cloned()))
        });
        let table = RouteTable::of(hosts.collect());
        let each = table.index_bytes() as f64 / table.len() as f64;
        assert!(each <= 32.0, "{each:.1} bytes a route of {} hosts with {paths} paths", table.hosts().count());
    }
}
