use super::*;
use crate::fixture::Head;

fn terms(level: u8, min_length: u64, types: &str) -> Terms {
    Terms { level, min_length, types: MediaTypes::parse(types).expect("types") }
}

fn both() -> Compression {
    Compression {
        gzip: Some(terms(1, 256, "text/plain application/json")),
        brotli: Some(terms(4, 20, "text/plain")),
        no_gzip: Expression::caseless("msie [4-6]").ok(),
    }
}

fn outcome(compression: &Compression, head: &Head, status: u16, fields: &[(&str, &str)]) -> Compressed {
    compression.of(head, status, |wanted| {
        fields.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.as_bytes())
    })
}

fn client(accepts: &str) -> Head {
    Head::get("a.test", "/").with("accept-encoding", accepts)
}

const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");

#[test]
fn clients_get_what_they_take_and_brotli_first() {
    let (gzip, brotli) = (Some((Coding::Gzip, 1)), Some((Coding::Brotli, 4)));
    for (accepts, with) in [
        ("gzip", gzip),
        ("GZIP", gzip),
        ("deflate, gzip;q=0.5", gzip),
        ("gzip ; q=1.000", gzip),
        ("gzip, br", brotli),
        ("br;q=0.001, gzip;q=1", brotli),
        ("br;q=0, gzip", gzip),
        ("br;q=0.000, gzip;q=0", None),
        ("gzip;q=0", None),
        ("gzip;q=1.1", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=x", None),
        ("x-gzip, gzipped, *", None),
        ("", None),
    ] {
        let compressed = outcome(&both(), &client(accepts), 200, &[TEXT]);
        assert_eq!(compressed, Compressed { with, adds_vary: true }, "{accepts}");
    }
    assert_eq!(outcome(&both(), &Head::get("a.test", "/"), 200, &[TEXT]).with, None);
    let older = Head { http10: true, ..client("gzip") };
    assert_eq!(outcome(&both(), &older, 200, &[TEXT]), Compressed { with: None, adds_vary: true });
    let old = client("gzip, br").with("user-agent", "Mozilla/4.0 (compatible; MSIE 6.0)");
    assert_eq!(outcome(&both(), &old, 200, &[TEXT]).with, brotli);
    let old = client("gzip").with("user-agent", "Mozilla/4.0 (compatible; MSIE 6.0)");
    assert_eq!(outcome(&both(), &old, 200, &[TEXT]).with, None);
}

#[test]
fn only_what_is_worth_it_is_compressed() {
    let gzip = Some(Coding::Gzip);
    let brotli = Some(Coding::Brotli);
    type Case<'a> = (u16, &'a [(&'a str, &'a str)], Option<Coding>);
    let cases: &[Case<'_>] = &[
        (200, &[TEXT], brotli),
        (403, &[TEXT], brotli),
        (404, &[TEXT], brotli),
        (201, &[TEXT], None),
        (206, &[TEXT], None),
        (304, &[TEXT], None),
        (500, &[TEXT], None),
        (200, &[], None),
        (200, &[("content-type", "TEXT/HTML;charset=utf-8")], brotli),
        (200, &[("content-type", "text/htmlx")], None),
        (200, &[("content-type", "application/json")], gzip),
        (200, &[("content-type", "application/grpc")], None),
        (200, &[TEXT, ("content-length", "19")], None),
        (200, &[TEXT, ("content-length", "20")], brotli),
        (200, &[("content-type", "application/json"), ("content-length", "255")], None),
        (200, &[("content-type", "application/json"), ("content-length", "256")], gzip),
        (200, &[TEXT, ("content-encoding", "zstd")], None),
        (200, &[TEXT, ("content-encoding", "")], brotli),
        (200, &[TEXT, ("cache-control", "max-age=1, No-Transform")], None),
    ];
    for (status, fields, with) in cases {
        let compressed = outcome(&both(), &client("gzip, br"), *status, fields);
        assert_eq!(compressed.with.map(|(coding, _)| coding), *with, "{status} {fields:?}");
        assert_eq!(compressed.adds_vary, with.is_some(), "{status} {fields:?}");
    }
    let head = client("gzip").method("HEAD");
    assert_eq!(outcome(&both(), &head, 200, &[TEXT]), Compressed::default());
    let all = Compression { gzip: Some(terms(9, 0, "text/css *")), brotli: None, no_gzip: None };
    assert_eq!(outcome(&all, &client("gzip, br"), 200, &[]).with, Some((Coding::Gzip, 9)));
    assert_eq!(outcome(&all, &client("gzip"), 200, &[("content-length", "0")]), Compressed::default());
    assert_eq!(outcome(&all, &client("gzip"), 200, &[("content-type", "application/grpc+proto")]).with, None);
}

#[test]
fn what_varies_says_so_once() {
    for (vary, adds_vary) in [("Cookie", true), ("cookie, accept-encoding", false), ("*", false)] {
        let compressed = outcome(&both(), &client("gzip"), 200, &[TEXT, ("vary", vary)]);
        assert_eq!(compressed.adds_vary, adds_vary, "{vary}");
    }
}

#[test]
fn tags_become_weak() {
    assert_eq!(weak_etag(b"\"a\"").as_deref(), Some(&b"W/\"a\""[..]));
    assert_eq!(weak_etag(b"W/\"a\"").as_deref(), Some(&b"W/\"a\""[..]));
    assert_eq!(weak_etag(b"a"), None);
}

#[test]
fn types_are_names() {
    assert_eq!(MediaTypes::parse("text/css *"), Some(MediaTypes::Any));
    for bad in ["", " ", "text", "text/", "/css", "text/css;", "text/*"] {
        assert_eq!(MediaTypes::parse(bad), None, "{bad}");
    }
}
