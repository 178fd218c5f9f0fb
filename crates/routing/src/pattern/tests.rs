#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn matches(text: &str, path: &str) -> bool {
    Parsed::new("^", text, "").unwrap().compile().unwrap().is_match(path.as_bytes())
}

#[test]
fn texts_mean_what_they_mean_to_nginx() {
    for (text, path, is_taken) in [
        ("/foo", "/FOO", true),
        ("/foo", "/x/foo", false),
        ("/foo(/|$)(.*)", "/foo", true),
        ("/foo(/|$)(.*)", "/foobar", false),
        ("/a|/b", "/x/b", true),
        ("/users/{id}", "/users/{ID}/x", true),
        ("/{a{2}", "/{aa", true),
        ("/a{", "/a{", true),
        ("/({a})", "/{a}", true),
        ("/a{2}", "/aa", true),
        ("/a{2}", "/a{2}", false),
        ("/café", "/café", true),
        ("/caf[é]+", "/café", true),
        ("/x\\/y\\-z", "/x/y-z", true),
        ("/(?<id>[0-9]+)$", "/12", true),
        ("/[[:digit:]]+$", "/12", true),
        ("/.", "/\n", false),
    ] {
        assert_eq!(matches(text, path), is_taken, "{text} {path}");
    }
}

#[test]
fn what_cannot_be_matched_in_linear_time_or_space_is_refused() {
    for text in ["/(?!api)", "/(?<=a)b", "/(a)\\1", "/(unclosed", "/[a", "/a{3,1}", "/(?>a)"] {
        assert!(matches!(Parsed::new("^", text, ""), Err(PatternError::Syntax(_))), "{text}");
    }
    let large = Parsed::new("^", "/(((a{100}){100}){100})", "").unwrap();
    assert_eq!(large.compile().unwrap_err(), PatternError::TooLarge);
    let deep = "(".repeat(100) + &")".repeat(100);
    assert!(matches!(Parsed::new("^", &deep, ""), Err(PatternError::Syntax(_))));
    assert_eq!(Parsed::new("^", &"a".repeat(LONGEST + 1), "").unwrap_err(), PatternError::TooLong);
    assert!(matches!(Parsed::new("^", &"{".repeat(LONGEST), ""), Err(PatternError::Syntax(_))));
}

#[test]
fn the_literal_of_a_pattern_is_what_it_begins_with() {
    for (text, literal, is_all) in [
        ("/Foo-1.2", "/foo-1", false),
        ("/Foo-1", "/foo-1", true),
        ("/foo(/|$)(.*)", "/foo", false),
        ("/foo*", "/fo", false),
        ("/a|/b", "", false),
        ("/[a]b", "/ab", true),
        ("/[aB]", "/", false),
        ("/café", "/café", true),
        ("", "", true),
    ] {
        let expected = (literal.as_bytes().to_vec(), is_all);
        assert_eq!(Parsed::new("^", text, "").unwrap().literal(), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = Parsed::new("^", &text, "").map(|parsed| parsed.compile());
    }

    #[test]
    fn what_a_pattern_takes_begins_with_its_literal(
        text in "/[ab]{0,2}([ab(|)*+?.{}\\[\\]$^\\\\]|é){0,6}",
        path in "/[abAB{}/é]{0,6}",
    ) {
        let Ok(parsed) = Parsed::new("^", &text, "") else { return Ok(()) };
        let (literal, is_all) = parsed.literal();
        let begins = path.as_bytes().get(..literal.len()).is_some_and(|front| front.eq_ignore_ascii_case(&literal));
        let is_taken = parsed.compile().unwrap().is_match(path.as_bytes());
        prop_assert!(!is_taken || begins, "{} takes {} without {:?}", text, path, literal);
        prop_assert!(!is_all || is_taken == begins, "{} is all {:?}, but takes {}: {}", text, literal, path, is_taken);
    }
}
