//! No annotation value whatever panics, slows a request beyond its limit, or puts a control byte into a header.

use std::collections::BTreeMap;

use edgeward_controller::annotation::{OWN_PREFIX, own_table, table};
use edgeward_tests::hostile::{HEADERS, Head, key, survives, survives_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{oracle, translate};

/// Values that are known to be looked for trouble with, for any annotation.
const NASTY: &[&str] = &[
    "",
    " ",
    "\r\nX-Evil: 1",
    "a\u{0}b",
    "\u{7f}",
    "\t",
    "$",
    "${",
    "$request_uri\r\n",
    "${arg_x}$http_x$cookie_x$host$uri$args$remote_addr$escaped_request_uri",
    "https://$host$request_uri",
    "http://a.test/$http_x",
    "(a+)+$",
    "(a|a)*b",
    "((((((((((x{1,100}){1,100}){1,100}){1,100})))))))",
    "^(?:.{0,4000}){0,4000}$",
    "~^(.*)*$",
    "[",
    "~(",
    "/$1$2$9\u{e9}",
    "../../..",
    "-1",
    "99999999999999999999",
    "true",
    "off",
    "*",
    "\u{202e}\u{feff}",
];

/// Every name that means something, with its prefix.
fn names() -> Vec<String> {
    let own = own_table().iter().map(|row| format!("{OWN_PREFIX}/{}", row.name));
    table().map(|row| key(row.name)).chain(own).collect()
}

/// The values that goldens and recorded cases have for each name: most of them good ones.
fn known() -> BTreeMap<String, Vec<String>> {
    let goldens = translate::names(".yaml").into_iter().map(|name| translate::text(&name));
    let cases = oracle::recording().into_iter().map(|case| case.manifests);
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in goldens.chain(cases).flat_map(|text| translate::annotations_of(&text)) {
        known.entry(name).or_default().push(value);
    }
    known
}

/// A name and a value for it: one that is known, one that is known with something in its middle, a nasty one, or anything.
fn annotation() -> impl Strategy<Value = (String, String)> {
    let known = known();
    select(names()).prop_flat_map(move |name| {
        let mut good = known.get(&name).cloned().unwrap_or_default();
        good.push("true".to_owned());
        let mangled =
            (select(good.clone()), any::<prop::sample::Index>(), any::<char>()).prop_map(|(value, at, with)| {
                let mut characters: Vec<char> = value.chars().collect();
                characters.insert(at.index(characters.len() + 1), with);
                characters.into_iter().collect::<String>()
            });
        let nasty = select(NASTY).prop_map(str::to_owned);
        let any_text = vec(any::<char>(), 0..40).prop_map(|characters| characters.into_iter().collect());
        let long = (select(&["a?", "(a*)", "[a-z]{9}", ".*", "$uri"][..]), 1..3000_usize)
            .prop_map(|(part, count)| part.repeat(count));
        let value = prop_oneof![5 => select(good), 3 => mangled, 3 => nasty, 2 => any_text, 1 => long];
        (Just(name), value)
    })
}

fn head() -> impl Strategy<Value = Head> {
    let target = prop_oneof![
        select(&["/", "/a", "/%0d%0aX: 1", "/a%00", "/?x=%0d%0a", "//evil.test/..", "/a/../../b", "*"][..])
            .prop_map(str::to_owned),
        (1..8000_usize).prop_map(|count| format!("/{}", "a".repeat(count))),
        (1..2000_usize).prop_map(|count| format!("/{}!?x={}", "a%0d".repeat(count), "b".repeat(count))),
        vec(any::<char>(), 0..60).prop_map(|characters| characters.into_iter().collect()),
    ];
    let value = prop_oneof![
        Just(b"https://a.test".to_vec()),
        vec(any::<u8>(), 0..60),
        (1..4000_usize).prop_map(|count| b"a".repeat(count)),
    ];
    (target, value, select(&["GET", "POST", "OPTIONS"][..])).prop_map(|(target, value, method)| {
        let headers: Vec<(&str, &[u8])> = HEADERS.iter().map(|name| (*name, value.as_slice())).collect();
        Head::new(&target, &headers).method(method)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_annotations_panic_or_slow_a_request_or_put_a_control_byte_into_a_header(
        annotations in vec(annotation(), 1..12),
        heads in vec(head(), 1..4),
    ) {
        survives(&annotations.into_iter().collect(), &heads);
    }
}

#[test]
fn what_a_fuzzer_gives_is_read_as_annotations_and_a_request() {
    survives_bytes(b"");
    survives_bytes(b"/a\x1ex\x1erewrite-target=/$1\x1euse-regex=true\x1e\xff\xfe=\x00");
    for name in names() {
        for value in NASTY {
            survives_bytes(
                format!("/aaaa%0d%0a\x1e{value}\x1e{name}={value}\x1eauth-url=http://a.test/\x1eauth-type=basic")
                    .as_bytes(),
            );
        }
    }
}
