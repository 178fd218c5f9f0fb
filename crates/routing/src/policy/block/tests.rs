#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::fixture::Head;

#[test]
fn a_pattern_is_the_whole_value_or_an_expression() {
    for (pattern, value, expected) in [
        ("curl/8.0", "curl/8.0", true),
        ("curl/8.0", "CURL/8.0", true),
        ("curl/8.0", "curl/8.0.1", false),
        ("~bot", "a robot", true),
        ("~bot", "a Robot", true),
        ("~bot", "a roBot", false),
        ("~*bot", "a roBot", true),
        ("~*^bot$", "bots", false),
        ("~^$", "", true),
        ("\\~x", "~x", true),
        ("~[0-9]{2}", "a42", true),
        ("~caf\u{e9}", "un caf\u{e9}", true),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(value.as_bytes()), expected, "{pattern}: {value}");
    }
    for bad in ["~[", "~*(", "~a(?!b)", "~(a)\\1", "~(?:a{1000}){1000}{1000}"] {
        assert!(Pattern::parse(bad).is_none(), "{bad}");
    }
    assert_eq!(Pattern::parse("~a"), Pattern::parse("~a"));
    assert_ne!(Pattern::parse("~a"), Pattern::parse("\\~a"));
}

#[test]
fn a_request_is_refused_for_any_of_its_values() {
    let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    let block = Block { user_agents: patterns(&["bad", "~*bot"]), referers: patterns(&["~evil"]), ..Block::default() };
    let head = || Head::get("a.test", "/");
    for (what, head, expected) in [
        ("none", head(), false),
        ("a good one", head().with("user-agent", "good").with("referer", "http://good.test"), false),
        ("a bad one", head().with("user-agent", "BAD"), true),
        ("a bad second one", head().with("user-agent", "good").with("user-agent", "bad"), true),
        ("a bad referer", head().with("user-agent", "good").with("referer", "http://evil.test"), true),
        ("the other header", head().with("referer", "bad"), false),
    ] {
        assert_eq!(block.refuses(&head), expected, "{what}");
    }
    let without = Block { user_agents: patterns(&["~^$"]), ..Block::default() };
    assert!(without.refuses(&head()), "a header that is not there is empty");
    assert!(!without.refuses(&head().with("user-agent", "x")));
    assert!(Block::default().is_empty() && !block.is_empty());
}

proptest! {
    #[test]
    fn no_pattern_and_no_value_panics(pattern in "~?\\*?.{0,20}", value in any::<Vec<u8>>()) {
        if let Some(pattern) = Pattern::parse(&pattern) {
            pattern.matches(&value);
        }
    }
}
