use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("custom-http-errors", "503, 404,404,", |s| s.errors.statuses.as_deref() == Some(&[404, 503])),
    ("default-backend", "errs-1", |s| s.errors.default_backend.as_deref() == Some("errs-1")),
    ("disable-proxy-intercept-errors", "true", |s| s.errors.keeps_answers),
];

pub(super) const BAD: &[Bad] = &[
    ("custom-http-errors", &["", " , ", "404 503"], Effect::Default),
    ("custom-http-errors", &["abc", "200", "404404", "399", "600", "+404"], Effect::Drops),
    ("default-backend", &[""], Effect::Default),
    ("default-backend", &["other/errs", "Errs", "1errs", "errs-", "a.b"], Effect::Drops),
    ("disable-proxy-intercept-errors", &["", "on"], Effect::Default),
];
