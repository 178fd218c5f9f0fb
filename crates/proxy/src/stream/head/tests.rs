#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn verdict(head: &[u8]) -> Result<Checked, Refusal> {
    let end = find_end(head, 0).expect("a whole head");
    assert_eq!(end, head.len(), "{}", head.escape_ascii());
    check(head, &ClientLimits::default())
}

#[test]
fn what_parsers_read_differently_is_refused() {
    let heads: &[(u16, &[u8])] = &[
        // Request line.
        (400, b"GET /\r\n\r\n"),
        (400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        (400, b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n"),
        (400, b"GET / HTTP/01.1\r\nHost: a\r\n\r\n"),
        (505, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
        (505, b"PRI * HTTP/2.0\r\n\r\n"),
        (405, b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        // Header lines.
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA\t: b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x01c\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x7fc\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA\0B: c\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\x0b: chunked\r\n\r\n"),
        // Host.
        (400, b"GET / HTTP/1.1\r\nA: b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"),
        (400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"),
        // Framing.
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 6\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551618\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (400, b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n"),
        (417, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue-please\r\n\r\n"),
    ];
    assert!(heads.len() >= 45);
    for (status, head) in heads {
        let refusal = verdict(head).expect_err(&format!("{}", head.escape_ascii()));
        assert_eq!(refusal.status, *status, "{}: {}", head.escape_ascii(), refusal.reason);
    }
}

#[test]
fn what_is_legal_passes() {
    let heads: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\n\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n",
        b"M-SEARCH /a;b=c?d=[e]|{f}'\" HTTP/1.1\r\nHost: a.example:8080\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost:a\r\nX_y: \xff\xfe\tb \r\nEmpty:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:  \t a \t\r\nA:b:c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 9223372036854775807\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ];
    for head in heads {
        let verdict = verdict(head);
        assert!(verdict.is_ok(), "{}: {verdict:?}", head.escape_ascii());
    }
}

#[test]
fn what_no_uri_may_have_is_encoded() {
    for (target, expected) in [
        (&b"/a\"b|c?d=\"<e>`"[..], "/a%22b|c?d=%22%3Ce%3E%60"),
        (b"/\xff?\xc3\xa9", "/%FF?%C3%A9"),
        (b"http://a/<", "http://a/%3C"),
    ] {
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let faults = verdict(&head).unwrap().faults;
        assert_eq!(faults, Faults { fields: false, target: true });
        assert_eq!(
            mended(&head, faults).escape_ascii().to_string(),
            format!("GET {expected} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        );
    }
    for target in ["/a\"|{}^\\'", "/\u{e9}?\u{e9}"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(verdict(head.as_bytes()).unwrap().faults, Faults::default(), "{target}");
    }
}

#[test]
fn a_fragment_goes_no_further() {
    for (target, expected) in [
        (&b"/a#b"[..], "/a"),
        (b"/public#/../admin", "/public"),
        (b"/a?b#c?d", "/a?b"),
        (b"http://a/b#c", "http://a/b"),
        (b"http://a#b", "http://a"),
        (b"/<#<", "/%3C"),
        (b"/\xff#\xc3\xa9", "/%FF"),
        (b"/a##", "/a"),
    ] {
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let faults = verdict(&head).unwrap().faults;
        assert_eq!(faults, Faults { fields: false, target: true });
        assert_eq!(mended(&head, faults), format!("GET {expected} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    assert_eq!(verdict(b"GET #a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap_err().status, 400);
}

#[test]
fn fields_whose_names_are_none_are_left_out() {
    let head = b"GET /@ HTTP/1.1\r\nbad@name: x\r\nHost: a\r\nA(B: c\nGood_one.x: a@b\r\n\xc3\xa9: d\r\n\r\n";
    let faults = verdict(head).unwrap().faults;
    assert_eq!(faults, Faults { fields: true, target: false });
    let kept = mended(head, faults);
    assert_eq!(kept.escape_ascii().to_string(), "GET /@ HTTP/1.1\\r\\nHost: a\\r\\nGood_one.x: a@b\\r\\n\\r\\n");
    assert_eq!(verdict(&kept).unwrap().faults, Faults::default());
}

#[test]
fn framing_comes_from_length_or_coding() {
    let length = |head: &[u8]| match verdict(head) {
        Ok(Checked { framing: Framing::Length(length), .. }) => Some(length),
        _ => None,
    };
    assert_eq!(length(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(0));
    assert_eq!(length(b"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: \t007 \r\n\r\n"), Some(7));
    let chunked = verdict(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
    assert!(matches!(chunked, Ok(Checked { framing: Framing::Chunked(_), .. })));
}

#[test]
fn limits_have_their_own_statuses() {
    let limits =
        ClientLimits { uri_bytes: 10, line_bytes: 60, header_fields: 3, header_bytes: 100, ..ClientLimits::default() };
    let status = |head: String| check(head.as_bytes(), &limits).err().map(|refusal| refusal.status);
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(9))), None);
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(10))), Some(414));
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n".to_owned()), None);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\nF: g\r\n\r\n".to_owned()), Some(431));
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\nB: {}\r\n\r\n", "c".repeat(57))), None);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\nB: {}\r\n\r\n", "c".repeat(58))), Some(400));
    let half = "c".repeat(40);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\nB: {half}\r\nD: {half}\r\n\r\n")), Some(400));
}

#[test]
fn the_end_is_found_however_the_bytes_are_cut() {
    for head in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n"[..], b"GET / HTTP/1.1\nHost: a\n\nbody\n\n"] {
        let end = find_end(head, 0).unwrap();
        assert!(head[end..].starts_with(b"body"));
        for cut in 0..end {
            assert_eq!(find_end(&head[..cut], 0), None);
            assert_eq!(find_end(head, cut), Some(end), "cut at {cut}");
        }
    }
}

#[test]
fn no_bytes_make_the_check_panic() {
    let alphabet = b"\r\n\t :/GET HTTP/1.1Host Content-Length Transfer-Encoding chunked0\0\xff";
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let mut head: Vec<u8> = (0..random.usize(0..60)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        head.extend_from_slice(b"\r\n\r\n");
        let end = find_end(&head, 0).unwrap();
        if let Ok(mut checked) = check(&head[..end], &ClientLimits::default()) {
            let _ = checked.framing.advance(&head[end..]);
            let kept = mended(&head[..end], Faults { fields: true, target: true });
            assert_eq!(find_end(&kept, 0), Some(kept.len()));
        }
    }
}
