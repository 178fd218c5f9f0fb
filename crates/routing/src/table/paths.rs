//! The paths of one host: a radix trie in one block of bytes.
//!
//! A lookup reads the block from front to back and nothing else, so that it touches few cache lines and pages, compares
//! every byte of the path once, and costs no more for a path that is one of ten thousand. Beginnings that paths share are
//! stored once. A small block is not even behind a pointer.
//!
//! In front is the name of the host, which a lookup compares first, then come the nodes, the root first. A node is: a head
//! (number of children and which values follow), the length of its label, the label, the number of the route that takes
//! exactly this text, the number of the route that takes what begins with it, the bytes with which its children go on (in
//! ascending order), and where in the block the children are (4 bytes each, little-endian). Lengths and numbers are
//! varints (LEB128).

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

/// The paths of one host and the numbers of their routes. The block comes last, so that its front is side by side with what is
/// read before it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct PathTrie {
    /// How many bytes of the block are the name of the host.
    name: u8,
    trailing_slash: TrailingSlash,
    block: Block,
}

/// Bytes that are where the trie is as long as they are few: a host with some ten paths.
#[derive(Debug)]
enum Block {
    /// With zeros behind.
    Near([u8; NEAR]),
    Far(Box<[u8]>),
}

/// Enough for a name and ten paths of twenty bytes that begin alike.
const NEAR: usize = 127;

impl Block {
    fn new(bytes: Vec<u8>) -> Self {
        let mut near = [0; NEAR];
        match near.get_mut(..bytes.len()) {
            Some(front) => {
                front.copy_from_slice(&bytes);
                Self::Near(near)
            }
            None => Self::Far(bytes.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Near(bytes) => bytes,
            Self::Far(bytes) => bytes,
        }
    }
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
    /// Builds the trie of these keys, sorted and each there once, with the numbers of their routes. `name` is the host's.
    pub(super) fn new(name: &str, keys: &[(Key<'_>, usize)], trailing_slash: TrailingSlash) -> Self {
        // No host name is longer than 253 bytes, and what is cut off would match no host.
        let name = &name.as_bytes()[..name.len().min(u8::MAX.into())];
        let mut block = name.to_vec();
        let mut open = vec![Subtree { keys: 0..keys.len(), depth: 0, link: None }];
        while let Some(subtree) = open.pop() {
            if let Some(link) = subtree.link {
                // Beyond 4 GiB the last nodes are out of reach; the keys alone would take as much.
                let offset = u32::try_from(block.len()).unwrap_or(u32::MAX);
                block[link..link + LINK].copy_from_slice(&offset.to_le_bytes());
            }
            subtree.write(keys, &mut block, &mut open);
        }
        Self { name: name.len() as u8, trailing_slash, block: Block::new(block) }
    }

    /// The name of the host.
    pub(super) fn name(&self) -> &[u8] {
        &self.block.bytes()[..usize::from(self.name)]
    }

    /// Looks a path up.
    pub(super) fn find(&self, path: &[u8]) -> Found {
        let mut found = Found::default();
        let (mut offset, mut at) = (usize::from(self.name), 0);
        while let Some(node) = self.node(offset) {
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
                } else if let Some(below) = node.child(b'/').and_then(|below| self.node(below))
                    && below.label.is_empty()
                {
                    found.slashed = self.slashed(&below, path);
                }
                break;
            };
            let Some(below) = node.child(*first) else { break };
            (offset, at) = (below, at + 1);
        }
        found
    }

    /// How many bytes the trie takes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.block {
            Block::Near(_) => 0,
            Block::Far(bytes) => bytes.len(),
        }
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

    #[inline]
    fn node(&self, offset: usize) -> Option<Node<'_>> {
        let mut bytes = self.block.bytes().get(offset..)?;
        let head = varint(&mut bytes)?;
        let label_length = varint(&mut bytes)?;
        let label = bytes.split_off(..label_length)?;
        let exact = if head & HAS_EXACT != 0 { Some(varint(&mut bytes)?) } else { None };
        let prefix = if head & HAS_PREFIX != 0 { Some(varint(&mut bytes)?) } else { None };
        let firsts = bytes.split_off(..head >> FLAG_BITS)?;
        Some(Node { label, exact, prefix, firsts, links: bytes })
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

impl Node<'_> {
    /// Where in the block the child is that goes on with a byte.
    #[inline]
    fn child(&self, first: u8) -> Option<usize> {
        // They are in order, and fewer than 255, as the bytes of text are. Counting the smaller ones takes no branch that
        // depends on the path.
        let place =
            usize::from(self.firsts.iter().fold(0u8, |count, byte| count.wrapping_add(u8::from(*byte < first))));
        if self.firsts.get(place) != Some(&first) {
            return None;
        }
        let (links, _) = self.links.as_chunks::<LINK>();
        links.get(place).map(|link| u32::from_le_bytes(*link) as usize)
    }
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
    /// Writes the node at the end of `block`, and leaves what is below it in `open`, the first on top.
    fn write(&self, all: &[(Key<'_>, usize)], block: &mut Vec<u8>, open: &mut Vec<Self>) {
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
        put_varint(block, children().count() << FLAG_BITS | flags);
        put_varint(block, label.len());
        block.extend_from_slice(label);
        [exact, prefix].into_iter().flatten().for_each(|number| put_varint(block, number));
        block.extend(children().map(|keys| keys[0].0.text[end]));
        let (already, mut start) = (open.len(), self.keys.start + ended);
        for keys in children() {
            open.push(Self { keys: start..start + keys.len(), depth: end + 1, link: Some(block.len()) });
            block.extend_from_slice(&[0; LINK]);
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
#[inline]
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
