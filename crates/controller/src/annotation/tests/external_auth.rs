use std::time::Duration;

use edgeward_routing::policy::external_auth::AuthScheme;

use super::{Bad, Effect, Good, IngressSettings};

pub(super) const GOOD: &[Good] = &[
    ("auth-always-set-cookie", "true", |s| s.external_auth.always_set_cookie),
    ("auth-cache-duration", "200 202 10m, any 1s,", |s| {
        let minutes = Duration::from_secs(600);
        s.external_auth.cache_times == [(Some(200), minutes), (Some(202), minutes), (None, Duration::from_secs(1))]
    }),
    ("auth-cache-key", "$remote_user$http_authorization", |s| s.external_auth.cache_key.is_some()),
    ("auth-keepalive", "4", |_| true),
    ("auth-keepalive-requests", "10", |_| true),
    ("auth-keepalive-share-vars", "true", |_| true),
    ("auth-keepalive-timeout", "60", |_| true),
    ("auth-method", "POST", |s| s.external_auth.method.as_deref() == Some("POST")),
    ("auth-proxy-set-headers", "default/x", |s| s.external_auth.set_headers.as_deref() == Some("default/x")),
    ("auth-request-redirect", "https://a.test/x?y=1", |s| s.external_auth.request_redirect.is_some()),
    ("auth-response-headers", "X-User, x_group,", |s| {
        s.external_auth.response_headers == [Box::from("x-user"), Box::from("x_group")]
    }),
    ("auth-signin", "https://$host/start", |s| {
        sign_in(s) == "https://$host/start?rd=$scheme://$http_host$escaped_request_uri"
    }),
    ("auth-signin", "/start?a=b", |s| sign_in(s) == "/start?a=b&rd=$scheme://$http_host$escaped_request_uri"),
    ("auth-signin", "/start?rd=$request_uri", |s| sign_in(s) == "/start?rd=$request_uri"),
    ("auth-signin-redirect-param", "back", |s| s.external_auth.sign_in_param.as_deref() == Some("back")),
    ("auth-url", "http://auth.test:8080/a?b=$request_uri", |s| {
        let url =
            s.external_auth.url.as_ref().map(|url| (url.scheme, url.host.to_string(), url.port, url.path.to_string()));
        s.is_guarded && url == Some((AuthScheme::Http, "auth.test".into(), Some(8080), "/a?b=$request_uri".into()))
    }),
    ("auth-url", "https://$host", |s| s.external_auth.url.as_ref().is_some_and(|url| url.scheme == AuthScheme::Https)),
    ("auth-url", "ftp://a.test/x", |s| {
        s.external_auth.url.as_ref().is_some_and(|url| url.scheme == AuthScheme::Unknown)
    }),
    ("auth-url", " ", |s| s.external_auth.url.is_none() && !s.is_guarded),
    ("enable-global-auth", "false", |s| s.no_global_auth),
];

fn sign_in(settings: &IngressSettings) -> String {
    let policy = settings.external_auth.policy(Vec::new());
    policy.and_then(|policy| policy.sign_in).map_or_else(String::new, |page| page.to_string())
}

pub(super) const BAD: &[Bad] = &[
    ("auth-always-set-cookie", &["maybe"], Effect::Default),
    ("auth-cache-duration", &["nonsense", "200", "10m 200", "200 1h 30m", "foo 1m", "200 9999999y"], Effect::Closes),
    ("auth-cache-key", &["a;b", "$a b"], Effect::Default),
    ("auth-cache-key", &["$nosuchvar", "${host"], Effect::Closes),
    ("auth-keepalive", &["abc"], Effect::Default),
    ("auth-keepalive-requests", &["abc"], Effect::Default),
    ("auth-keepalive-share-vars", &["abc"], Effect::Default),
    ("auth-keepalive-timeout", &["abc"], Effect::Default),
    ("auth-method", &["de lete", "get", "CONNECT"], Effect::Closes),
    ("auth-proxy-set-headers", &["a;b"], Effect::Default),
    ("auth-request-redirect", &["https://$host/x", "a;b", "a\r\nb"], Effect::Default),
    (
        "auth-response-headers",
        &[
            "bad header;",
            "a b",
            "a\r\nb",
            "X-User,Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Host",
            "Upgrade",
            "TE",
            "Trailer",
        ],
        Effect::Closes,
    ),
    ("auth-signin", &["bad url;", "http://a b", "a\nb"], Effect::Default),
    ("auth-signin", &["https://a.test/$nosuchvar"], Effect::Closes),
    ("auth-signin-redirect-param", &["bad;"], Effect::Default),
    ("auth-url", &["http://a.test/ok;evil", "http://a.test/%41", "http://a\r\nb"], Effect::Drops),
    (
        "auth-url",
        &[
            "not-a-url",
            "http://",
            "http://a..b",
            "http://a:x/",
            "http://a.test/$nosuchvar",
            "$scheme://a",
            "http://a/b c",
        ],
        Effect::Closes,
    ),
    ("enable-global-auth", &["maybe"], Effect::Default),
];
