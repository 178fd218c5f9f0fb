//! The route table: all routes, indexed by host and then by path.

mod paths;
mod patterns;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use self::paths::{Key, PathTrie};
use self::patterns::PatternList;
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

/// Where in a table the routes of a host pattern are. The patterns are in the table and nowhere else.
#[derive(Debug, Default, Clone)]
struct Places {
    /// Keyed at random. What is in the table comes from the configuration; clients only look.
    hasher: DefaultHashBuilder,
    exact: HashTable<u32>,
    wildcard: HashTable<u32>,
    any: Option<u32>,
    /// Other names of hosts that are no look into a table, in the order in which they are tried.
    listed: Vec<u32>,
}

impl Places {
    /// Adds the last one of `hosts`.
    fn add_last(&mut self, hosts: &[Arc<HostRoutes>]) {
        let Some((last, before)) = hosts.split_last() else { return };
        let place = u32::try_from(before.len()).unwrap_or(u32::MAX);
        let table = match &last.host {
            HostPattern::Exact(_) => &mut self.exact,
            HostPattern::Wildcard(_) => &mut self.wildcard,
            HostPattern::Any => return self.any = Some(place),
            HostPattern::Below(_) | HostPattern::Beginning(_) | HostPattern::Regex(_) => {
                let new = listed_order(&last.host);
                let at = self.listed.partition_point(|other| listed_order(&hosts[*other as usize].host) <= new);
                return self.listed.insert(at, place);
            }
        };
        let hash = |place: u32| self.hasher.hash_one(name_at(hosts, place));
        table.insert_unique(hash(place), place, |place| hash(*place));
    }

    fn exact(&self, hosts: &[Arc<HostRoutes>], host: &str) -> Option<u32> {
        self.find(&self.exact, hosts, host)
    }

    fn wildcard(&self, hosts: &[Arc<HostRoutes>], suffix: &str) -> Option<u32> {
        self.find(&self.wildcard, hosts, suffix)
    }

    fn find(&self, table: &HashTable<u32>, hosts: &[Arc<HostRoutes>], name: &str) -> Option<u32> {
        let name = name.as_bytes();
        table.find(self.hasher.hash_one(name), |place| name_at(hosts, *place) == name).copied()
    }
}

/// The order in which nginx tries names that are listed: wildcards in front, the longest first, then those behind, then
/// regular expressions.
fn listed_order(host: &HostPattern) -> (u8, Reverse<usize>, &HostPattern) {
    match host {
        HostPattern::Below(suffix) => (0, Reverse(suffix.len()), host),
        HostPattern::Beginning(beginning) => (1, Reverse(beginning.len()), host),
        _ => (2, Reverse(0), host),
    }
}

/// The name in the host pattern at a place.
fn name_at(hosts: &[Arc<HostRoutes>], place: u32) -> &[u8] {
    hosts.get(place as usize).map_or(&[], |routes| routes.trie().name())
}

/// The routes of one host pattern.
#[derive(Debug)]
pub struct HostRoutes {
    /// The host pattern.
    pub host: HostPattern,
    /// Whether a certificate is configured for this host (ingress-nginx: it has a `tls` section, or the wildcard above it
    /// has), which is what `ssl-redirect` asks.
    pub has_certificate: bool,
    routes: Box<[Arc<Route>]>,
    paths: Paths,
}

/// The paths of a host.
#[derive(Debug)]
enum Paths {
    /// All are plain text. As large as the trie alone, and asked at once.
    Plain(PathTrie),
    /// Some are regular expressions.
    Patterns(Box<PatternList>),
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
        let mut hosts: Vec<(HostPattern, Vec<Arc<Route>>)> = Vec::new();
        let mut known: HashMap<HostPattern, usize> = HashMap::new();
        for route in routes {
            let route = route.into();
            let index = *known.entry(route.host.clone()).or_insert_with_key(|host| {
                hosts.push((host.clone(), Vec::new()));
                hosts.len() - 1
            });
            hosts[index].1.push(route);
        }
        let indexed = hosts.into_iter().map(|(host, routes)| {
            let has_certificate = has_certificate(&host);
            Arc::new(HostRoutes::new(host, has_certificate, trailing_slash, routes))
        });
        Self::of(indexed.collect())
    }

    /// Indexes the routes of these hosts, of which each is there once. It costs nothing for the routes themselves, so
    /// that a table whose hosts are mostly those of another one is made fast.
    pub fn of(hosts: Vec<Arc<HostRoutes>>) -> Self {
        // Nearly all host patterns are exact.
        let mut places = Places { exact: HashTable::with_capacity(hosts.len()), ..Places::default() };
        for end in 1..=hosts.len() {
            places.add_last(&hosts[..end]);
        }
        Self { hosts, places: Arc::new(places) }
    }

    /// This table with the routes of `replaced` taken out and `new` put in, whose hosts are among them. Where no host goes
    /// away it costs no more than a copy of the list, and of the places where a host is new.
    #[must_use]
    pub fn with(&self, replaced: &BTreeSet<HostPattern>, new: Vec<Arc<HostRoutes>>) -> Self {
        let staying: BTreeSet<&HostPattern> = new.iter().map(|routes| &routes.host).collect();
        if replaced.iter().any(|host| self.place(host).is_some() && !staying.contains(host)) {
            let others = self.hosts.iter().filter(|routes| !replaced.contains(&routes.host)).cloned();
            return Self::of(others.chain(new).collect());
        }
        let mut table = Self { hosts: self.hosts.clone(), places: Arc::clone(&self.places) };
        for routes in new {
            match table.place(&routes.host) {
                Some(place) => table.hosts[place as usize] = routes,
                None => {
                    table.hosts.push(routes);
                    Arc::make_mut(&mut table.places).add_last(&table.hosts);
                }
            }
        }
        table
    }

    fn place(&self, pattern: &HostPattern) -> Option<u32> {
        match pattern {
            HostPattern::Exact(host) => self.places.exact(&self.hosts, host),
            HostPattern::Wildcard(suffix) => self.places.wildcard(&self.hosts, suffix),
            HostPattern::Any => self.places.any,
            HostPattern::Below(_) | HostPattern::Beginning(_) | HostPattern::Regex(_) => {
                self.places.listed.iter().find(|place| self.hosts[**place as usize].host == *pattern).copied()
            }
        }
    }

    /// The routes of a host pattern itself, whatever it covers.
    pub fn of_pattern(&self, pattern: &HostPattern) -> Option<&Arc<HostRoutes>> {
        self.hosts.get(self.place(pattern)? as usize)
    }

    /// The routes of a normalised host: exact, then one-label wildcard, then any. Other names that are patterns come where
    /// nginx has them: wildcards before the one-label ones, which it knows as regular expressions, and these behind them.
    pub fn host(&self, host: &str) -> Option<&HostRoutes> {
        let place = self.places.exact(&self.hosts, host).or_else(|| match self.places.listed.is_empty() {
            true => self.wildcard(host),
            false => self.listed_or_wildcard(host),
        });
        self.hosts.get(place.or(self.places.any)? as usize).map(Arc::as_ref)
    }

    fn wildcard(&self, host: &str) -> Option<u32> {
        let (label, suffix) = host.split_once('.')?;
        (!label.is_empty()).then(|| self.places.wildcard(&self.hosts, suffix))?
    }

    /// A wildcard host of an Ingress is a regular expression in ingress-nginx, the first of them.
    fn listed_or_wildcard(&self, host: &str) -> Option<u32> {
        let listed = self.places.listed.iter().copied();
        let found = listed.map(|place| (place, &self.hosts[place as usize].host)).find(|(_, name)| name.matches(host));
        match found {
            // What is one label below it has a certificate of its own, and so an entry.
            Some((place, HostPattern::Below(suffix))) => {
                let above = host.split_once('.').filter(|(_, rest)| *rest == &**suffix);
                above.and_then(|_| self.wildcard(host)).or(Some(place))
            }
            Some((place, HostPattern::Beginning(_))) => Some(place),
            Some((place, _)) => self.wildcard(host).or(Some(place)),
            None => self.wildcard(host),
        }
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

    /// How many bytes the table takes beside the [`Route`]s themselves, hosts that it shares with other tables included.
    pub fn index_bytes(&self) -> usize {
        let Places { exact, wildcard, .. } = &*self.places;
        let hosts: usize = self.hosts.iter().map(|routes| routes.index_bytes()).sum();
        let list = self.hosts.capacity() * size_of::<Arc<HostRoutes>>();
        size_of::<Places>() + exact.allocation_size() + wildcard.allocation_size() + list + hosts
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
        let mut routes: Vec<_> = routes.into_iter().collect();
        let mut keys = sorted_keys(&routes, trailing_slash);
        let mut patterns = PatternList::patterns(&routes);
        if keys.len() + patterns.len() < routes.len() {
            let mut first: Vec<usize> = keys.iter().map(|(_, number)| *number).collect();
            first.extend(patterns.iter().map(|(_, number)| *number));
            first.sort_unstable();
            routes = first.into_iter().map(|number| Arc::clone(&routes[number])).collect();
            keys = sorted_keys(&routes, trailing_slash);
            patterns = PatternList::patterns(&routes);
        }
        let plain = PathTrie::new(name(&host), &keys, trailing_slash);
        let paths = match patterns.is_empty() {
            true => Paths::Plain(plain),
            false => Paths::Patterns(Box::new(PatternList::new(plain, patterns))),
        };
        Self { host, has_certificate, paths, routes: routes.into() }
    }

    fn trie(&self) -> &PathTrie {
        match &self.paths {
            Paths::Plain(trie) => trie,
            Paths::Patterns(list) => list.plain(),
        }
    }

    /// The routes, in the order in which they were given.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    fn index_bytes(&self) -> usize {
        // An `Arc` has two counts in front.
        let shared = size_of::<Self>() + 2 * size_of::<usize>();
        let patterns = match &self.paths {
            Paths::Plain(_) => 0,
            Paths::Patterns(list) => list.heap_bytes(),
        };
        let routes = self.routes.len() * size_of::<Arc<Route>>();
        shared + name(&self.host).len() + routes + self.trie().heap_bytes() + patterns
    }

    fn find(&self, path: &[u8]) -> RouteMatch<'_> {
        match &self.paths {
            Paths::Plain(trie) => self.find_plain(trie, path),
            Paths::Patterns(list) => self.find_pattern(list, path),
        }
    }

    /// An exact path first, and then whichever has the longer text, the pattern or the prefix. In ingress-nginx all paths of
    /// such a host are patterns.
    fn find_pattern(&self, list: &PatternList, path: &[u8]) -> RouteMatch<'_> {
        let plain = self.find_plain(list.plain(), path);
        let length = match plain {
            RouteMatch::Route(_, route) if matches!(route.path, PathPattern::Exact(_)) => return plain,
            RouteMatch::Route(_, route) => route.path.as_str().len(),
            _ => 0,
        };
        match list.find(path).and_then(|number| self.routes.get(number)) {
            Some(route) if route.path.as_str().len() >= length => RouteMatch::Route(self, route),
            _ => plain,
        }
    }

    fn find_plain(&self, trie: &PathTrie, path: &[u8]) -> RouteMatch<'_> {
        let found = trie.find(path);
        let [route, slashed] = [found.route, found.slashed].map(|number| self.routes.get(number?));
        match (route, slashed) {
            // A prefix that takes the path exactly, as nginx's inclusive location does, needs no redirect.
            (Some(route), Some(_)) if route.path.as_str().len() == path.len() => RouteMatch::Route(self, route),
            (_, Some(slashed)) => RouteMatch::AddSlash(self, slashed),
            (Some(route), None) => RouteMatch::Route(self, route),
            (None, None) => RouteMatch::NoPath(self),
        }
    }
}

fn name(pattern: &HostPattern) -> &str {
    match pattern {
        HostPattern::Exact(name) | HostPattern::Wildcard(name) => name,
        HostPattern::Any | HostPattern::Below(_) | HostPattern::Beginning(_) | HostPattern::Regex(_) => "",
    }
}

/// The keys of the plain ones of these routes with their numbers, sorted; of equal ones the first.
fn sorted_keys(routes: &[Arc<Route>], trailing_slash: TrailingSlash) -> Vec<(Key<'_>, usize)> {
    let plain = routes.iter().zip(0..).filter(|(route, _)| !matches!(route.path, PathPattern::Regex(_)));
    let mut keys: Vec<_> = plain.map(|(route, number)| (Key::of(&route.path, trailing_slash), number)).collect();
    keys.sort_unstable();
    keys.dedup_by_key(|(key, _)| *key);
    keys
}

#[cfg(test)]
mod tests;
