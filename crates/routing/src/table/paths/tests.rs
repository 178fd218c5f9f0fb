use proptest::prelude::*;

use super::*;

/// A trie of these paths as exact patterns, each with its place in the list as its number.
fn trie(paths: &[String]) -> PathTrie {
    let patterns: Vec<_> = paths.iter().map(|path| PathPattern::Exact(path.as_str().into())).collect();
    let keys = patterns.iter().map(|pattern| Key::of(pattern, TrailingSlash::Redirect));
    let mut keys: Vec<_> = keys.zip(0..).collect();
    keys.sort_unstable();
    PathTrie::new("a.test", &keys, TrailingSlash::Redirect)
}

#[test]
fn a_trie_of_nothing_finds_nothing() {
    for path in ["", "/", "/a"] {
        assert_eq!(trie(&[]).find(path.as_bytes()), Found::default(), "{path}");
    }
}

#[test]
fn every_path_of_many_is_found_by_its_number_whatever_the_length_and_the_number_of_children() {
    let long = "/long".repeat(100_000);
    let wide = ('\u{1}'..'\u{ffff}').step_by(7).map(|letter| format!("/wide/{letter}"));
    let nested = (0..1000).map(|depth| "/n".repeat(depth) + "/");
    let paths: Vec<String> = wide.chain(nested).chain([long.clone() + "/a", long.clone() + "b", long]).collect();
    let trie = trie(&paths);
    for (number, path) in paths.iter().enumerate() {
        assert_eq!(trie.find(path.as_bytes()).route, Some(number), "{path:.100}");
        assert_eq!(trie.find(format!("{path}?").as_bytes()), Found::default(), "{path:.100}");
    }
}

#[test]
fn what_paths_share_is_stored_once() {
    let paths: Vec<String> = (0..10_000).map(|number| format!("/api/v1/service{number:05}")).collect();
    assert!(trie(&paths).heap_bytes() < 11 * paths.len(), "{}", trie(&paths).heap_bytes());
}

proptest! {
    #[test]
    fn a_varint_is_read_as_it_was_put(value: usize, after: Vec<u8>) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        bytes.extend(&after);
        let mut rest = &bytes[..];
        prop_assert_eq!(varint(&mut rest), Some(value));
        prop_assert_eq!(rest, after);
    }

    #[test]
    fn bytes_that_are_no_trie_find_what_they_find_and_never_panic(nodes: Vec<u8>, path: Vec<u8>) {
        for trailing_slash in [TrailingSlash::Redirect, TrailingSlash::Ignore] {
            PathTrie { block: Block::new(nodes.clone()), name: 0, trailing_slash }.find(&path);
        }
    }
}
