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
///
/// In a large table most of what a lookup costs is waiting for memory, so that one goes from the slot of a host straight to
/// its routes.
#[derive(Debug, Default, Clone)]
pub struct RouteTable {
    /// Keyed at random. What is in the table comes from the configuration; clients only look.
    hasher: DefaultHashBuilder,
    exact: HashTable<Arc<HostRoutes>>,
    wildcard: HashTable<Arc<HostRoutes>>,
    any: Option<Arc<HostRoutes>>,
    /// Other names of hosts that are no look into a table, in the order in which they are tried.
    listed: Vec<Arc<HostRoutes>>,
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

/// The routes of one host pattern. What every lookup reads comes first, side by side.
#[derive(Debug)]
#[repr(C)]
pub struct HostRoutes {
    routes: Box<[Arc<Route>]>,
    paths: Paths,
    /// Whether a certificate is configured for this host (ingress-nginx: it has a `tls` section, or the wildcard above it
    /// has), which is what `ssl-redirect` asks.
    pub has_certificate: bool,
    /// The host pattern.
    pub host: HostPattern,
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
        let mut table = Self { exact: HashTable::with_capacity(hosts.len()), ..Self::default() };
        hosts.into_iter().for_each(|routes| table.put(routes));
        table
    }

    /// This table with the routes of `replaced` taken out and `new` put in, whose hosts are among them. It costs no more
    /// than a copy of the list of hosts.
    #[must_use]
    pub fn with(&self, replaced: &BTreeSet<HostPattern>, new: Vec<Arc<HostRoutes>>) -> Self {
        let mut table = self.clone();
        replaced.iter().for_each(|host| table.take_out(host));
        new.into_iter().for_each(|routes| table.put(routes));
        table
    }

    /// Adds the routes of a host that has none.
    fn put(&mut self, routes: Arc<HostRoutes>) {
        let Self { hasher, exact, wildcard, any, listed } = self;
        let table = match &routes.host {
            HostPattern::Exact(_) => exact,
            HostPattern::Wildcard(_) => wildcard,
            HostPattern::Any => return *any = Some(routes),
            HostPattern::Below(_) | HostPattern::Beginning(_) | HostPattern::Regex(_) => {
                let new = listed_order(&routes.host);
                let at = listed.partition_point(|other| listed_order(&other.host) <= new);
                return listed.insert(at, routes);
            }
        };
        let hash = |routes: &Arc<HostRoutes>| hasher.hash_one(routes.name());
        table.insert_unique(hash(&routes), routes, hash);
    }

    fn take_out(&mut self, pattern: &HostPattern) {
        let hash = self.hasher.hash_one(name(pattern).as_bytes());
        let table = match pattern {
            HostPattern::Exact(_) => &mut self.exact,
            HostPattern::Wildcard(_) => &mut self.wildcard,
            HostPattern::Any => return self.any = None,
            HostPattern::Below(_) | HostPattern::Beginning(_) | HostPattern::Regex(_) => {
                return self.listed.retain(|routes| routes.host != *pattern);
            }
        };
        if let Ok(found) = table.find_entry(hash, |routes| routes.host == *pattern) {
            found.remove();
        }
    }

    /// The routes of a host pattern itself, whatever it covers.
    pub fn of_pattern(&self, pattern: &HostPattern) -> Option<&Arc<HostRoutes>> {
        match pattern {
            HostPattern::Exact(host) => self.find_name(&self.exact, host),
            HostPattern::Wildcard(suffix) => self.find_name(&self.wildcard, suffix),
            HostPattern::Any => self.any.as_ref(),
            HostPattern::Below(_) | HostPattern::Beginning(_) | HostPattern::Regex(_) => {
                self.listed.iter().find(|routes| routes.host == *pattern)
            }
        }
    }

    /// The routes of a normalised host: exact, then one-label wildcard, then any. Other names that are patterns come where
    /// nginx has them: wildcards before the one-label ones, which it knows as regular expressions, and these behind them.
    pub fn host(&self, host: &str) -> Option<&HostRoutes> {
        let found = self.find_name(&self.exact, host).or_else(|| match self.listed.is_empty() {
            true => self.find_wildcard(host),
            false => self.find_listed_or_wildcard(host),
        });
        found.or(self.any.as_ref()).map(Arc::as_ref)
    }

    fn find_name<'t>(&self, table: &'t HashTable<Arc<HostRoutes>>, name: &str) -> Option<&'t Arc<HostRoutes>> {
        let name = name.as_bytes();
        table.find(self.hasher.hash_one(name), |routes| routes.name() == name)
    }

    fn find_wildcard(&self, host: &str) -> Option<&Arc<HostRoutes>> {
        let (label, suffix) = host.split_once('.')?;
        (!label.is_empty()).then(|| self.find_name(&self.wildcard, suffix))?
    }

    /// A wildcard host of an Ingress is a regular expression in ingress-nginx, the first of them.
    fn find_listed_or_wildcard(&self, host: &str) -> Option<&Arc<HostRoutes>> {
        let Some(found) = self.listed.iter().find(|routes| routes.host.matches(host)) else {
            return self.find_wildcard(host);
        };
        match &found.host {
            // What is one label below it has a certificate of its own, and so an entry.
            HostPattern::Below(suffix) => {
                let above = host.split_once('.').filter(|(_, rest)| *rest == &**suffix);
                above.and_then(|_| self.find_wildcard(host)).or(Some(found))
            }
            HostPattern::Beginning(_) => Some(found),
            _ => self.find_wildcard(host).or(Some(found)),
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
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<HostRoutes>> {
        self.exact.iter().chain(&self.wildcard).chain(&self.listed).chain(&self.any)
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.hosts().map(|host| host.routes.len()).sum()
    }

    /// How many bytes the table takes beside the [`Route`]s themselves, hosts that it shares with other tables included.
    pub fn index_bytes(&self) -> usize {
        let hosts: usize = self.hosts().map(|routes| routes.index_bytes()).sum();
        let listed = self.listed.capacity() * size_of::<Arc<HostRoutes>>();
        size_of::<Self>() + self.exact.allocation_size() + self.wildcard.allocation_size() + listed + hosts
    }

    /// Whether there is no route at all.
    pub fn is_empty(&self) -> bool {
        self.hosts().next().is_none()
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
        Self { routes: routes.into(), paths, has_certificate, host }
    }

    /// The name in the host pattern.
    #[inline]
    fn name(&self) -> &[u8] {
        self.trie().name()
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
