use super::*;
use crate::affinity::{Affinity, AffinityMode, identity};
use crate::backend::LoadBalance;
use crate::fixture::{Head, backend};

fn header(value: HeaderValue) -> CanaryRule {
    CanaryRule { header: Some(HeaderRule { name: "x-can".into(), value }), ..CanaryRule::default() }
}

fn get() -> Head {
    Head::get("a.test", "/")
}

#[test]
fn always_and_never_decide_and_other_values_say_nothing() {
    // Recorded: c234.
    let rule = |part| CanaryRule { weight: Weight::new(part, 100), ..header(HeaderValue::AlwaysOrNever) };
    for (value, expected) in
        [("always", Some(true)), ("never", Some(false)), ("other", None), ("", None), ("ALWAYS", None), ("true", None)]
    {
        let head = get().with("x-can", value);
        assert_eq!(rule(0).takes(&head), expected.unwrap_or(false), "{value}");
        assert_eq!(rule(100).takes(&head), expected.unwrap_or(true), "{value}");
    }
    assert!(!rule(0).takes(&get()) && rule(100).takes(&get()));
    assert!(!rule(0).takes(&get().with("x-can", "always").with("x-can", "x")), "two values are one list");
}

#[test]
fn a_value_or_a_pattern_is_for_the_canary_and_never_against_it() {
    // Recorded: c235 to c238.
    let equal = || HeaderValue::Equal("yes".into());
    let pattern = |text| HeaderValue::Match(Pattern::new(text));
    for (value, sent, takes) in [
        (equal(), "yes", true),
        (equal(), "no", false),
        (equal(), "always", false),
        (equal(), "YES", false),
        (pattern("^v[12]$"), "v1", true),
        (pattern("^v[12]$"), "V1", false),
        (pattern("^v[12]$"), "v3", false),
        (pattern("^v[12]$"), "always", false),
        (pattern("b"), "abc", true),
        (pattern("^$"), "", true),
        (pattern(r"\/\d+\."), "x/42.", true),
    ] {
        let head = get().with("x-can", sent);
        assert_eq!(header(value.clone()).takes(&head), takes, "{value:?} {sent}");
        let with_weight = CanaryRule { weight: Weight::new(100, 100), ..header(value) };
        assert!(with_weight.takes(&head), "what does not match is left to the weight: {sent}");
    }
    let broken = CanaryRule { weight: Weight::new(100, 100), ..header(pattern("([")) };
    assert!(!broken.takes(&get().with("x-can", "x")), "a broken pattern is against the canary");
    assert!(broken.takes(&get()), "without the header it is not asked");
}

#[test]
fn a_hostile_pattern_takes_no_unbounded_time() {
    let began = std::time::Instant::now();
    let evil = header(HeaderValue::Match(Pattern::new("^(a+)+$")));
    assert!(!evil.takes(&get().with("x-can", &format!("{}b", "a".repeat(8_000)))));
    assert!(!Pattern::new("((a{1000}){1000}){1000}").is_valid(), "too large");
    assert!(!Pattern::new("([ac]b){2000}").is_valid(), "too much for each byte");
    let any = header(HeaderValue::Match(Pattern::new("b")));
    for (length, takes) in [(8 << 10, true), ((8 << 10) + 1, false)] {
        assert_eq!(any.takes(&get().with("x-can", &"b".repeat(length))), takes, "{length} bytes");
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn a_cookie_decides_behind_the_header_and_its_name_has_no_case() {
    // Recorded: c239.
    let rule = CanaryRule { cookie: Some("can".into()), ..header(HeaderValue::AlwaysOrNever) };
    for (cookie, takes) in [
        ("can=always", true),
        ("can=never", false),
        ("can=other", false),
        ("x=1; can=always", true),
        ("CAN=always", true),
        ("can=ALWAYS", false),
        ("xcan=always", false),
    ] {
        assert_eq!(rule.takes(&get().with("cookie", cookie)), takes, "{cookie}");
    }
    let both = |header, cookie| get().with("x-can", header).with("cookie", cookie);
    assert!(!rule.takes(&both("never", "can=always")));
    assert!(rule.takes(&both("always", "can=never")));
    assert!(rule.takes(&both("other", "can=always")));
    let heavy = CanaryRule { weight: Weight::new(100, 100), ..rule };
    assert!(!heavy.takes(&get().with("cookie", "can=never")), "the cookie comes before the weight");
}

#[test]
fn a_weight_takes_its_share() {
    // Recorded: c241 to c246.
    for (part, whole, expected) in [(0, 100, 0.0), (-1, 100, 0.0), (30, 100, 0.3), (50, 1000, 0.05), (30, 50, 0.3)] {
        let rule = CanaryRule { weight: Weight::new(part, whole), ..CanaryRule::default() };
        let taken = (0..20_000).filter(|_| rule.takes(&get())).count();
        // Eight standard deviations are at most 0.03 of these many.
        let share = f64::from(u32::try_from(taken).unwrap_or(u32::MAX)) / 20_000.0;
        assert!((share - expected).abs() < 0.03, "{part} of {whole}: {share}");
        assert!(expected > 0.0 || taken == 0);
    }
    for (part, whole) in [(100, 100), (150, 100), (i64::MAX, 0)] {
        let rule = CanaryRule { weight: Weight::new(part, whole), ..CanaryRule::default() };
        assert!((0..1000).all(|_| rule.takes(&get())), "{part} of {whole}");
    }
    assert!(!CanaryRule::default().takes(&get()), "no rule takes nothing (recorded: c247)");
}

fn sessions(name: &str) -> Option<Affinity> {
    Some(Affinity { mode: AffinityMode::Balanced, cookie: Arc::default(), identity: identity(name) })
}

/// A main backend with a canary that takes `part` of 100 of the requests.
fn pair(part: i64, canary_endpoints: u8, sticky: [bool; 2]) -> Backends {
    let rule = Arc::new(CanaryRule { weight: Weight::new(part, 100), ..header(HeaderValue::AlwaysOrNever) });
    let [main, other] = [("main", 1), ("new", canary_endpoints)].map(|(name, endpoints)| {
        let mut backend = backend(name, endpoints, LoadBalance::RoundRobin);
        let is_sticky = if name == "main" { sticky[0] } else { sticky[1] };
        backend.affinity = sessions(name).filter(|_| is_sticky);
        backend
    });
    let main = Backend { canary: Some(Canary { backend: BackendId(1), rule }), ..main };
    Backends::new(vec![Arc::new(main), Arc::new(other)])
}

fn chosen(backends: &Backends, head: &Head) -> String {
    backend_for(backends, &backends.all()[0], head).key.service.to_string()
}

#[test]
fn a_canary_without_endpoints_takes_nothing() {
    // Recorded: c253.
    assert_eq!(chosen(&pair(100, 0, [false, false]), &get()), "main");
    assert_eq!(chosen(&pair(100, 1, [false, false]), &get()), "new");
}

#[test]
fn a_session_comes_before_every_rule() {
    // Recorded: c259.
    let of = |name: &str| get().with("cookie", &format!("INGRESSCOOKIE=k|{}", identity(name)));
    let both = pair(100, 1, [true, true]);
    assert_eq!(chosen(&both, &of("main")), "main");
    assert_eq!(chosen(&both, &of("main").with("x-can", "always")), "main");
    assert_eq!(chosen(&both, &of("elsewhere")), "new");
    let both = pair(0, 1, [true, true]);
    assert_eq!(chosen(&both, &of("new")), "new");
    assert_eq!(chosen(&both, &of("new").with("x-can", "never")), "new");
    assert_eq!(chosen(&both, &get()), "main");
    assert_eq!(chosen(&both, &get().with("cookie", "INGRESSCOOKIE=k")), "main");
    let legacy = pair(0, 1, [true, false]);
    assert_eq!(chosen(&legacy, &of("new")), "main", "nobody stays with it");
    let legacy = pair(100, 1, [true, false]);
    assert_eq!(chosen(&legacy, &of("main")), "main", "but with the main backend they do");
    assert_eq!(chosen(&legacy, &of("new")), "new");
    assert_eq!(chosen(&pair(0, 0, [true, true]), &of("new")), "main", "it has no endpoint any more");
}
