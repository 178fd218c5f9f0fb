//! The paths of one host: a radix trie in one block of bytes.
//!
//! A lookup reads the block from front to back and nothing else, so that it touches few cache lines, compares every byte
//! of the path once, and costs no more for a path that is one of ten thousand. Beginnings that paths share are stored
//! once.
//!
//! A node is: a head (number of children and which values follow), the length of its label, the label, the number of
//! the route that takes exactly this text, the number of the route that takes what begins with it, the bytes with which
//! its children go on (in ascending order), and where the children are (4 bytes each, little-endian). Lengths and
//! numbers are varints (LEB128). The root comes first.

use std::ops::Range;

use crate::path::{PathPattern, TrailingSlash};

const HAS_EXACT: usize = 1;
const HAS_PREFIX: usize = 2;
const FLAG_BITS: u32 = 2;
const LINK: usize = size_of::<u32>();

/// What a path pattern is found by: two patterns with equal keys take the same paths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'r> {
    text: &'r [u8],
    is_exact: bool,
}

impl<'r> Key<'r> {
    /// A prefix is found by its text without the trailing slash (`/` by `""`). Under [`TrailingSlash::Redirect`] one that
    /// is written with a slash takes only what is below it, and is found by all of its text.
    pub(super) fn of(pattern: &'r PathPattern, trailing_slash: TrailingSlash) -> Self {
        let text = pattern.as_str();
        let is_exact = matches!(pattern, PathPattern::Exact(_));
        let is_whole = is_exact || (trailing_slash == TrailingSlash::Redirect && text.len() > 1);
        let text = if is_whole { text } else { text.strip_suffix('/').unwrap_or(text) };
        Self { text: text.as_bytes(), is_exact }
    }
}

/// The paths of one host and the numbers of their routes.
#[derive(Debug)]
pub(super) struct PathTrie {
    nodes: Box<[u8]>,
    trailing_slash: TrailingSlash,
}

/// The numbers of the routes that a lookup found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The exact path, else the longest prefix.
    pub(super) route: Option<usize>,
    /// The pattern that is the path with a slash behind it, the exact one of two (nginx redirects for that one:
    /// ngx_http_core_find_static_location). Only under [`TrailingSlash::Redirect`], and only where no exact path is found.
    pub(super) slashed: Option<usize>,
}

impl PathTrie {
    /// Builds the trie of these keys, sorted and each there once, with the numbers of their routes.
    pub(super) fn new(keys: &[(Key<'_>, usize)], trailing_slash: TrailingSlash) -> Self {
        let mut nodes = Vec::new();
        let mut open = vec![Subtree { keys: 0..keys.len(), depth: 0, link: None }];
        while let Some(subtree) = open.pop() {
            if let Some(link) = subtree.link {
                // Beyond 4 GiB the last nodes are out of reach; the keys alone would take as much.
                let offset = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
                nodes[link..link + LINK].copy_from_slice(&offset.to_le_bytes());
            }
            subtree.write(keys, &mut nodes, &mut open);
        }
        Self { nodes: nodes.into(), trailing_slash }
    }

    /// Looks a path up.
    pub(super) fn find(&self, path: &[u8]) -> Found {
        let mut found = Found::default();
        let mut next = self.node(0);
        let mut at = 0;
        while let Some(node) = next {
            let rest = &path[at..];
            if !rest.starts_with(node.label) {
                if node.label.strip_prefix(rest) == Some(b"/") {
                    found.slashed = self.slashed(&node, path);
                }
                break;
            }
            at += node.label.len();
            if node.prefix.is_some() && self.is_element(path, at) {
                found.route = node.prefix;
            }
            let Some(first) = path.get(at) else {
                if node.exact.is_some() {
                    found.route = node.exact;
                } else {
                    let below = self.child(&node, b'/').filter(|below| below.label.is_empty());
                    found.slashed = below.and_then(|below| self.slashed(&below, path));
                }
                break;
            };
            at += 1;
            next = self.child(&node, *first);
        }
        found
    }

    /// How many bytes the trie takes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.len()
    }

    /// Whether `path[..at]` is a whole number of elements. A prefix that ends in a slash ends an element by itself, unless
    /// that slash is one too many: by the specification the last one means nothing.
    fn is_element(&self, path: &[u8], at: usize) -> bool {
        let goes_below = self.trailing_slash == TrailingSlash::Redirect && path[..at].ends_with(b"/");
        goes_below || path.get(at).is_none_or(|byte| *byte == b'/')
    }

    /// The route of the node for `path` with a slash behind it.
    fn slashed(&self, node: &Node<'_>, path: &[u8]) -> Option<usize> {
        let may_be = self.trailing_slash == TrailingSlash::Redirect && !path.is_empty();
        node.exact.or(node.prefix).filter(|_| may_be)
    }

    fn node(&self, offset: usize) -> Option<Node<'_>> {
        let mut bytes = self.nodes.get(offset..)?;
        let head = varint(&mut bytes)?;
        let label_length = varint(&mut bytes)?;
        let label = bytes.split_off(..label_length)?;
        let exact = if head & HAS_EXACT != 0 { Some(varint(&mut bytes)?) } else { None };
        let prefix = if head & HAS_PREFIX != 0 { Some(varint(&mut bytes)?) } else { None };
        let firsts = bytes.split_off(..head >> FLAG_BITS)?;
        Some(Node { label, exact, prefix, firsts, links: bytes })
    }

    fn child(&self, node: &Node<'_>, first: u8) -> Option<Node<'_>> {
        let place = node.firsts.iter().position(|byte| *byte == first)?;
        let (links, _) = node.links.as_chunks::<LINK>();
        self.node(u32::from_le_bytes(*links.get(place)?) as usize)
    }
}

/// A node, as it is read.
struct Node<'t> {
    /// What comes between the byte that led here and the end of the node's text.
    label: &'t [u8],
    exact: Option<usize>,
    prefix: Option<usize>,
    firsts: &'t [u8],
    /// Of each child where it is, and then whatever follows the node.
    links: &'t [u8],
}

/// Keys that begin with the same bytes, of which a node is still to be written.
struct Subtree {
    keys: Range<usize>,
    /// How many of the bytes are above the node.
    depth: usize,
    /// Where the node's offset belongs.
    link: Option<usize>,
}

impl Subtree {
    /// Writes the node at the end of `nodes`, and leaves what is below it in `open`, the first on top.
    fn write(&self, all: &[(Key<'_>, usize)], nodes: &mut Vec<u8>, open: &mut Vec<Self>) {
        let keys = &all[self.keys.clone()];
        // They are sorted: what the first and the last share, all do.
        let [first, last] =
            [keys.first(), keys.last()].map(|key| key.map_or(&[][..], |(key, _)| &key.text[self.depth..]));
        let label = &first[..first.iter().zip(last).take_while(|(a, b)| a == b).count()];
        let end = self.depth + label.len();
        let ended = keys.iter().take_while(|(key, _)| key.text.len() == end).count();
        let (here, below) = keys.split_at(ended);
        let number = |is_exact| here.iter().find(|(key, _)| key.is_exact == is_exact).map(|(_, number)| *number);
        let (exact, prefix) = (number(true), number(false));
        let children = || below.chunk_by(|(a, _), (b, _)| a.text[end] == b.text[end]);

        let flags = if exact.is_some() { HAS_EXACT } else { 0 } | if prefix.is_some() { HAS_PREFIX } else { 0 };
        put_varint(nodes, children().count() << FLAG_BITS | flags);
        put_varint(nodes, label.len());
        nodes.extend_from_slice(label);
        [exact, prefix].into_iter().flatten().for_each(|number| put_varint(nodes, number));
        nodes.extend(children().map(|keys| keys[0].0.text[end]));
        let (already, mut start) = (open.len(), self.keys.start + ended);
        for keys in children() {
            open.push(Self { keys: start..start + keys.len(), depth: end + 1, link: Some(nodes.len()) });
            nodes.extend_from_slice(&[0; LINK]);
            start += keys.len();
        }
        open[already..].reverse();
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Takes a varint off the front.
fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
