use edgeward_routing::canary::{HeaderValue, Pattern};

use super::{Bad, Effect, Good, IngressSettings, PREFIX, read_all};

pub(super) const GOOD: &[Good] = &[
    ("canary", "true", |s| s.canary.is_canary),
    ("canary", "T", |s| s.canary.is_canary),
    ("canary", "false", |s| !s.canary.is_canary),
    ("canary-by-header", " X_Can", |s| header(s).is_some_and(|(name, _)| name == "x-can")),
    ("canary-by-header-value", "yes", |s| header(s).is_none()),
    ("canary-by-header-pattern", "^v[12]$", |s| header(s).is_none()),
    ("canary-by-cookie", "Can", |s| s.canary.rule().cookie.as_deref() == Some("Can")),
    ("canary-weight", "30", |s| s.canary.rule().weight.parts() == (30, 100)),
    ("canary-weight", "-5", |s| s.canary.rule().weight.parts() == (0, 100)),
    ("canary-weight", "150", |s| s.canary.rule().weight.parts() == (100, 100)),
    ("canary-weight-total", "1000", |s| s.canary.rule().weight.parts() == (0, 1000)),
    ("canary-weight-total", "50", |s| s.canary.rule().weight.parts() == (0, 100)),
];

pub(super) const BAD: &[Bad] = &[
    ("canary", &["", "yes", "1.0", " true"], Effect::Default),
    ("canary-by-header", &["", "X;Y", "X\r\nY", "Ü"], Effect::Default),
    ("canary-by-header-value", &["", "a=b", "a\nb"], Effect::Default),
    ("canary-by-header-pattern", &["", "a b", "(?!x)", "a\nb"], Effect::Default),
    ("canary-by-cookie", &["", "a;b"], Effect::Default),
    ("canary-weight", &["", "abc", "1.5", "99999999999999999999"], Effect::Default),
    ("canary-weight-total", &["", "x"], Effect::Default),
];

fn header(settings: &IngressSettings) -> Option<(String, HeaderValue)> {
    let rule = settings.canary.rule();
    let header = rule.header.as_ref()?;
    Some((header.name.to_string(), header.value.clone()))
}

#[test]
fn a_header_has_a_value_or_a_pattern_or_says_always_or_never() {
    let value = ("canary-by-header-value", "yes");
    let pattern = ("canary-by-header-pattern", "^v");
    let of = |others: &[(&str, &str)]| {
        let all = [&[("canary-by-header", "x-can")], others].concat();
        header(&read_all(&all).0).map(|(_, value)| value)
    };
    assert_eq!(of(&[]), Some(HeaderValue::AlwaysOrNever));
    assert_eq!(of(&[pattern]), Some(HeaderValue::Match(Pattern::new("^v"))));
    assert_eq!(of(&[value]), Some(HeaderValue::Equal("yes".into())));
    assert_eq!(of(&[value, pattern]), Some(HeaderValue::Equal("yes".into())), "recorded: c237");
}

#[test]
fn a_pattern_that_is_none_is_reported_and_kept() {
    for bad in ["([", "(?=x)", r"(a)\1", "((a{1000}){1000}){1000}"] {
        let (settings, diagnostics) = read_all(&[("canary-by-header", "x"), ("canary-by-header-pattern", bad)]);
        let [diagnostic] = &diagnostics[..] else { panic!("{bad}: {diagnostics:?}") };
        assert_eq!(diagnostic.code, "AnnotationInvalid");
        assert!(diagnostic.message.contains("go to the main Ingress"), "{}", diagnostic.message);
        let Some((_, HeaderValue::Match(pattern))) = header(&settings) else { panic!("{bad}") };
        assert!(!pattern.is_valid());
    }
}

#[test]
fn what_is_asked_for_the_routes_of_a_canary_has_no_effect() {
    let canary = [("canary", "true"), ("canary-weight", "5"), ("load-balance", "ewma")];
    let only = read_all(&canary).0;
    let others = [("auth-url", "http://a.test"), ("proxy-body-size", "1k"), ("ssl-redirect", "maybe")];
    let (settings, diagnostics) = read_all(&[&canary[..], &others[..]].concat());
    assert_eq!(settings, only);
    let fields: Vec<_> = diagnostics.iter().map(|it| (it.code, it.origin.as_ref().unwrap().field.clone())).collect();
    let ignored = |name: &str| ("CanaryAnnotationIgnored", format!("metadata.annotations[{PREFIX}/{name}]"));
    assert_eq!(fields, ["auth-url", "proxy-body-size", "ssl-redirect"].map(ignored));
    let dropped = read_all(&[&canary[..], &[("permanent-redirect-code", "abc")]].concat()).0;
    assert!(dropped.is_dropped, "a value may still drop the Ingress");
}
