//! The route table: all routes, indexed by host and then by path.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::host::HostPattern;
use crate::path::{PathPattern, TrailingSlash};
use crate::route::Route;

/// All routes of a snapshot.
///
/// A host picks one group of routes (exact, else one-label wildcard, else the routes for any host), and only that
/// group's paths are looked at. Within it an exact path wins over every prefix, and a longer prefix over a shorter one.
#[derive(Debug, Default)]
pub struct RouteTable {
    hosts: Vec<Arc<HostRoutes>>,
    /// Shared by tables with the same hosts.
    places: Arc<Places>,
}

/// Where in a table the routes of a host pattern are.
#[derive(Debug, Default, Clone)]
struct Places {
    exact: HashMap<Box<str>, u32>,
    wildcard: HashMap<Box<str>, u32>,
    any: Option<u32>,
}

impl Places {
    fn add(&mut self, host: &HostPattern, place: u32) {
        match host {
            HostPattern::Exact(host) => _ = self.exact.insert(host.clone(), place),
            HostPattern::Wildcard(suffix) => _ = self.wildcard.insert(suffix.clone(), place),
            HostPattern::Any => self.any = Some(place),
        }
    }

    fn of(&self, pattern: &HostPattern) -> Option<u32> {
        match pattern {
            HostPattern::Exact(host) => self.exact.get(host).copied(),
            HostPattern::Wildcard(suffix) => self.wildcard.get(suffix).copied(),
            HostPattern::Any => self.any,
        }
    }
}

/// The routes of one host pattern.
#[derive(Debug)]
pub struct HostRoutes {
    /// The host pattern.
    pub host: HostPattern,
    /// Whether a certificate is configured for this host (ingress-nginx: it has a `tls` section, or the wildcard above it
    /// has), which is what `ssl-redirect` asks.
    pub has_certificate: bool,
    routes: Vec<Arc<Route>>,
    exact: HashMap<Box<[u8]>, u32>,
    /// By the prefix without its trailing slash (`""` is `/`).
    prefix: HashMap<Box<[u8]>, u32>,
    /// By the prefix with its trailing slash; only under [`TrailingSlash::Redirect`].
    below: HashMap<Box<[u8]>, u32>,
    /// By the path without its trailing slash, for patterns written with one; only under [`TrailingSlash::Redirect`].
    add_slash: HashMap<Box<[u8]>, u32>,
    /// How many bytes the longest prefix has: no need to try longer ones.
    longest: usize,
    trailing_slash: TrailingSlash,
}

/// What a lookup found.
#[derive(Debug, Clone, Copy)]
pub enum RouteMatch<'t> {
    /// A route takes the request.
    Route(&'t HostRoutes, &'t Arc<Route>),
    /// The path with a slash behind it has a route: nginx redirects there with 301. The route is that one.
    AddSlash(&'t HostRoutes, &'t Arc<Route>),
    /// The host has rules, but none takes the path, and it has no fallback.
    NoPath(&'t HostRoutes),
    /// No rule names the host.
    NoHost,
}

impl RouteTable {
    /// Indexes `routes` in whatever order, for callers that do not have them by host as [`RouteTable::of`] takes them:
    /// tests and benches. Of two routes with equal host and path pattern the first is kept. `has_certificate` says of which host patterns a certificate is configured.
    pub fn new(
        routes: impl IntoIterator<Item = impl Into<Arc<Route>>>,
        trailing_slash: TrailingSlash,
        has_certificate: impl Fn(&HostPattern) -> bool,
    ) -> Self {
        let mut hosts: Vec<HostRoutes> = Vec::new();
        let mut known: HashMap<HostPattern, usize> = HashMap::new();
        for route in routes {
            let route = route.into();
            let index = *known.entry(route.host.clone()).or_insert_with_key(|host| {
                hosts.push(HostRoutes::empty(host.clone(), has_certificate(host), trailing_slash));
                hosts.len() - 1
            });
            hosts[index].insert(route);
        }
        Self::of(hosts.into_iter().map(Arc::new).collect())
    }

    /// Indexes the routes of these hosts, of which each is there once. It costs nothing for the routes themselves, so
    /// that a table whose hosts are mostly those of another one is made fast.
    pub fn of(hosts: Vec<Arc<HostRoutes>>) -> Self {
        // Nearly all host patterns are exact.
        let mut places = Places { exact: HashMap::with_capacity(hosts.len()), ..Places::default() };
        for (place, routes) in (0..).zip(&hosts) {
            places.add(&routes.host, place);
        }
        Self { hosts, places: Arc::new(places) }
    }

    /// This table with the routes of `replaced` taken out and `new` put in, whose hosts are among them. Where no host goes
    /// away it costs no more than a copy of the list.
    #[must_use]
    pub fn with(&self, replaced: &BTreeSet<HostPattern>, new: Vec<Arc<HostRoutes>>) -> Self {
        let staying: BTreeSet<&HostPattern> = new.iter().map(|routes| &routes.host).collect();
        if replaced.iter().any(|host| self.places.of(host).is_some() && !staying.contains(host)) {
            let others = self.hosts.iter().filter(|routes| !replaced.contains(&routes.host)).cloned();
            return Self::of(others.chain(new).collect());
        }
        let mut table = Self { hosts: self.hosts.clone(), places: Arc::clone(&self.places) };
        for routes in new {
            match table.places.of(&routes.host) {
                Some(place) => table.hosts[place as usize] = routes,
                None => {
                    let place = u32::try_from(table.hosts.len()).unwrap_or(u32::MAX);
                    Arc::make_mut(&mut table.places).add(&routes.host, place);
                    table.hosts.push(routes);
                }
            }
        }
        table
    }

    /// The routes of a host pattern itself, whatever it covers.
    pub fn of_pattern(&self, pattern: &HostPattern) -> Option<&Arc<HostRoutes>> {
        self.hosts.get(self.places.of(pattern)? as usize)
    }

    /// The routes of a normalised host: exact, then one-label wildcard, then any.
    pub fn host(&self, host: &str) -> Option<&HostRoutes> {
        let Places { exact, wildcard, any } = &*self.places;
        let place = exact.get(host).copied().or_else(|| {
            let (label, suffix) = host.split_once('.')?;
            (!label.is_empty()).then(|| wildcard.get(suffix).copied())?
        });
        self.hosts.get(place.or(*any)? as usize).map(Arc::as_ref)
    }

    /// Finds the route for a normalised host and path.
    pub fn find(&self, host: &str, path: &[u8]) -> RouteMatch<'_> {
        match self.host(host) {
            Some(routes) => routes.find(path),
            None => RouteMatch::NoHost,
        }
    }

    /// All host patterns with their routes, in no particular order.
    pub fn hosts(&self) -> &[Arc<HostRoutes>] {
        &self.hosts
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.hosts.iter().map(|host| host.routes.len()).sum()
    }

    /// Whether there is no route at all.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl HostRoutes {
    /// Indexes the routes of one host. Of two with equal path patterns the first is kept.
    pub fn new(
        host: HostPattern,
        has_certificate: bool,
        trailing_slash: TrailingSlash,
        routes: impl IntoIterator<Item = Arc<Route>>,
    ) -> Self {
        let mut indexed = Self::empty(host, has_certificate, trailing_slash);
        for route in routes {
            indexed.insert(route);
        }
        indexed
    }

    fn empty(host: HostPattern, has_certificate: bool, trailing_slash: TrailingSlash) -> Self {
        Self {
            host,
            has_certificate,
            routes: Vec::new(),
            exact: HashMap::new(),
            prefix: HashMap::new(),
            below: HashMap::new(),
            add_slash: HashMap::new(),
            longest: 0,
            trailing_slash,
        }
    }

    fn insert(&mut self, route: Arc<Route>) {
        let index = u32::try_from(self.routes.len()).unwrap_or(u32::MAX);
        let bare = route.path.as_str().strip_suffix('/').filter(|bare| !bare.is_empty());
        if let Some(bare) = bare
            && self.trailing_slash == TrailingSlash::Redirect
        {
            let slot = self.add_slash.entry(bare.as_bytes().into()).or_insert(index);
            // nginx redirects for the exact location of the two, where there are both (ngx_http_core_find_static_location).
            if matches!(route.path, PathPattern::Exact(_))
                && self.routes.get(*slot as usize).is_some_and(|held| matches!(held.path, PathPattern::Prefix(_)))
            {
                *slot = index;
            }
        }
        let kept = match &route.path {
            PathPattern::Exact(path) => *self.exact.entry(path.as_bytes().into()).or_insert(index),
            PathPattern::Prefix(path) => {
                self.longest = self.longest.max(path.len());
                if bare.is_some() && self.trailing_slash == TrailingSlash::Redirect {
                    *self.below.entry(path.as_bytes().into()).or_insert(index)
                } else {
                    let bare = path.strip_suffix('/').unwrap_or(path);
                    *self.prefix.entry(bare.as_bytes().into()).or_insert(index)
                }
            }
        };
        if kept == index {
            self.routes.push(route);
        }
    }

    /// The routes, in the order in which they were given.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    fn route(&self, index: u32) -> &Arc<Route> {
        &self.routes[index as usize]
    }

    fn find(&self, path: &[u8]) -> RouteMatch<'_> {
        if let Some(index) = self.exact.get(path) {
            return RouteMatch::Route(self, self.route(*index));
        }
        let found = self.find_prefix(path);
        if let Some(index) = self.add_slash.get(path) {
            // A prefix that takes the path exactly, as nginx's inclusive location does, needs no redirect.
            if found.is_none_or(|route| route.path.as_str().len() != path.len()) {
                return RouteMatch::AddSlash(self, self.route(*index));
            }
        }
        found.map_or(RouteMatch::NoPath(self), |route| RouteMatch::Route(self, route))
    }

    /// The longest prefix by element: tries the path itself, then cuts it at each slash from the right. The number of
    /// probes is the depth of the path, whatever the number of routes.
    fn find_prefix(&self, path: &[u8]) -> Option<&Arc<Route>> {
        let mut end = path.len();
        loop {
            // `path[..end]` is an element boundary: the end of the path or just before a slash.
            if end <= self.longest {
                if !self.below.is_empty()
                    && end < path.len()
                    && let Some(index) = self.below.get(&path[..=end])
                {
                    return Some(self.route(*index));
                }
                if let Some(index) = self.prefix.get(&path[..end]) {
                    return Some(self.route(*index));
                }
            }
            end = path[..end].iter().rposition(|b| *b == b'/')?;
        }
    }
}

#[cfg(test)]
mod tests;
