use edgeward_routing::policy::Verify;

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("auth-tls-error-page", "https://a.test:8443/page_1.html", |s| {
        s.client_certificates.error_page.as_deref() == Some("https://a.test:8443/page_1.html")
    }),
    ("auth-tls-error-page", "a.test/page", |s| s.client_certificates.error_page.is_some()),
    ("auth-tls-match-cn", "CN=(alice|bob)$", |s| {
        s.client_certificates.subject.as_ref().is_some_and(|subject| subject.is_in(b"CN=bob"))
    }),
    ("auth-tls-pass-certificate-to-upstream", "true", |s| s.client_certificates.passes),
    ("auth-tls-secret", " default/ca ", |s| s.client_certificates.secret.as_deref() == Some("default/ca")),
    ("auth-tls-verify-client", "optional_no_ca", |s| s.client_certificates.verify == Verify::OptionalNoCa),
    ("auth-tls-verify-client", " off", |s| s.client_certificates.verify == Verify::Off),
    ("auth-tls-verify-depth", "3", |s| s.client_certificates.depth == Some(3)),
    ("auth-tls-verify-depth", "0", |s| s.client_certificates.depth.is_none()),
];

pub(super) const BAD: &[Bad] = &[
    ("auth-tls-error-page", &["", "@page", "/page", "a b"], Effect::Default),
    ("auth-tls-error-page", &["bad page;", "https://a.test/$uri", "https://a.test/?a\r\n"], Effect::Drops),
    ("auth-tls-match-cn", &[""], Effect::Default),
    ("auth-tls-match-cn", &["bad", "CN=([bad", "cn=a", "CN=(?=a)"], Effect::Drops),
    ("auth-tls-pass-certificate-to-upstream", &[""], Effect::Default),
    ("auth-tls-pass-certificate-to-upstream", &["on"], Effect::Drops),
    ("auth-tls-secret", &["", " "], Effect::Default),
    ("auth-tls-secret", &["a;b", "$x"], Effect::Drops),
    ("auth-tls-verify-client", &["", "nonsense", "ON"], Effect::Default),
    ("auth-tls-verify-depth", &["", "abc", "-1"], Effect::Default),
];
