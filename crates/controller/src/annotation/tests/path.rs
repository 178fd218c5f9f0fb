use super::{Bad, Effect, Good, IngressSettings, read_all};

pub(super) const GOOD: &[Good] = &[
    ("use-regex", "true", |s| s.paths.use_regex),
    ("rewrite-target", "/$2/x", |s| is_target(s, "/$2/x")),
    ("rewrite-target", "bar", |s| is_target(s, "bar")),
    ("rewrite-target", "https://a.test/$1", |s| is_target(s, "https://a.test/$1")),
    ("rewrite-target", "/$request_uri", |s| is_target(s, "/$request_uri")),
    ("x-forwarded-prefix", "/pre/$1", |s| is_prefix(s, "/pre/$1")),
    ("x-forwarded-prefix", " no slash ", |s| is_prefix(s, "no slash")),
    ("server-alias", "B.test, a.test,,b.test", |s| aliases(s) == ["a.test", "b.test"]),
    ("server-alias", ".x.test,mail.*,*.y.test", |s| aliases(s) == ["x.test", "**.x.test", "**.y.test", "mail.*"]),
    ("server-alias", "~^(www|m)\\.a\\.test$,10.0.0.1", |s| aliases(s) == ["10.0.0.1", "~^(www|m)\\.a\\.test$"]),
];

fn is_target(settings: &IngressSettings, text: &str) -> bool {
    settings.paths.target.as_ref().is_some_and(|target| target.to_string() == text)
}

fn is_prefix(settings: &IngressSettings, text: &str) -> bool {
    settings.paths.prefix.as_ref().is_some_and(|prefix| prefix.to_string() == text)
}

fn aliases(settings: &IngressSettings) -> Vec<String> {
    settings.paths.aliases.iter().map(ToString::to_string).collect()
}

pub(super) const BAD: &[Bad] = &[
    ("use-regex", &["yes", "", "TRUE "], Effect::Default),
    ("rewrite-target", &["", "/a{b}", "/a;b", "/$1?x=1", "/a b", "/\r\n", "/$", "/$nothing", "/é"], Effect::Default),
    ("x-forwarded-prefix", &["", " ", "/$", "/$nothing"], Effect::Default),
    ("x-forwarded-prefix", &["/a;b", "/a\r\nb", "/\"x\""], Effect::Drops),
    ("server-alias", &["", ",", "~^(bad", "~a(?=b)", "a*b", "*", "a..b"], Effect::Default),
    ("server-alias", &["bad host;", "a.test\nb.test", "é.test"], Effect::Drops),
];

#[test]
fn many_aliases_do_not_multiply_the_routes_of_their_host() {
    let many = |name: fn(usize) -> String| (0..1000).map(name).collect::<Vec<_>>().join(",");
    for (value, count) in [(many(|n| format!("a{n}.test")), 256), (many(|n| format!("~^a{n}$")), 32)] {
        let (settings, diagnostics) = read_all(&[("server-alias", &value)]);
        assert_eq!((settings.paths.aliases.len(), settings.is_dropped), (count, false));
        assert_eq!(diagnostics[0].code, "AnnotationInvalid");
        assert!(diagnostics[0].mend.contains("at most 256 names, 32 of them"), "{}", diagnostics[0].mend);
        assert_eq!(crate::annotation::aliases_in(&value).count(), count, "no other name is looked at");
    }
}

#[test]
fn a_target_that_leads_up_is_told() {
    for (target, is_told) in [("/a/../$1", true), ("/..", true), ("/a..b/$1", false), ("/...", false)] {
        let (settings, diagnostics) = read_all(&[("rewrite-target", target)]);
        assert!(settings.paths.target.is_some());
        assert_eq!(diagnostics.first().map(|told| told.code), is_told.then_some("AnnotationInvalid"), "{target}");
    }
}
