#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in fields {
        request.append_header(*name, *value).unwrap();
    }
    request
}

#[test]
fn several_cookies_become_one() {
    for (sent, joined) in [(&["a=1"][..], "a=1"), (&["a=1", "b=2; c=3", "d="], "a=1; b=2; c=3; d=")] {
        let mut request = request(&sent.iter().map(|value| ("cookie", *value)).collect::<Vec<_>>());
        join_cookies(&mut request).unwrap();
        let cookies: Vec<_> = request.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, [joined]);
    }
}

#[test]
fn what_an_endpoint_says_to_the_proxy_stays_here() {
    let response = |status: u16| {
        let mut response = ResponseHeader::build(status, None).unwrap();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("connection", "x-hop-too"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("x-hop", "1"),
            ("x-hop-too", "1"),
            ("x-end", "1"),
        ] {
            response.append_header(name, value).unwrap();
        }
        remove_hop_by_hop(&mut response);
        response.headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(response(200), ["x-end"]);
    assert_eq!(response(103), ["x-end"]);
    assert_eq!(response(101).len(), 7);
}
