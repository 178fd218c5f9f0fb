//! The paths of a host of which some are regular expressions: a list that is asked in order.

use std::sync::Arc;

use super::paths::PathTrie;
use crate::path::{PathPattern, PathRegex};
use crate::route::Route;

/// The patterns of a host with the numbers of their routes, in the order in which they are asked, and its plain paths.
#[derive(Debug)]
pub(super) struct PatternList {
    plain: PathTrie,
    patterns: Box<[(Arc<PathRegex>, usize)]>,
}

impl PatternList {
    /// The patterns among these routes, in the order in which they are asked; of equal ones the first.
    pub(super) fn patterns(routes: &[Arc<Route>]) -> Vec<(Arc<PathRegex>, usize)> {
        let numbered = routes.iter().zip(0..).filter_map(|(route, number)| match &route.path {
            PathPattern::Regex(pattern) => Some((Arc::clone(pattern), number)),
            PathPattern::Exact(_) | PathPattern::Prefix(_) => None,
        });
        let mut patterns: Vec<_> = numbered.collect();
        // Stable: those with the same text stay as they were.
        patterns.sort_by(|(a, _), (b, _)| a.precedence(b));
        patterns.dedup_by(|(next, _), (first, _)| next == first);
        patterns
    }

    pub(super) fn new(plain: PathTrie, patterns: Vec<(Arc<PathRegex>, usize)>) -> Self {
        Self { plain, patterns: patterns.into() }
    }

    /// The plain paths. They have the name of the host.
    pub(super) fn plain(&self) -> &PathTrie {
        &self.plain
    }

    /// The number of the first pattern's route that takes a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<usize> {
        self.patterns.iter().find(|(pattern, _)| pattern.takes(path)).map(|(_, number)| *number)
    }

    /// How many bytes the list takes on the heap, beside the trie and the patterns themselves.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.patterns)
    }
}

#[cfg(test)]
mod tests;
