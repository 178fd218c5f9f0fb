use super::{Bad, Effect, Good};
use crate::annotation::basic_auth::PasswordScheme;
use crate::index::UsersForm;

pub(super) const GOOD: &[Good] = &[
    ("auth-type", "basic", |s| s.basic_auth.scheme == Some(PasswordScheme::Basic) && s.is_guarded),
    ("auth-type", " digest", |s| s.basic_auth.scheme == Some(PasswordScheme::Digest) && s.is_guarded),
    ("auth-type", "", |s| s.basic_auth.scheme.is_none() && !s.is_guarded),
    ("auth-secret", "users", |s| s.basic_auth.secret.as_deref() == Some("users")),
    ("auth-secret", " other/users", |s| s.basic_auth.secret.as_deref() == Some("other/users")),
    ("auth-secret-type", "auth-map", |s| s.basic_auth.form == UsersForm::Map),
    ("auth-secret-type", "auth-file", |s| s.basic_auth.form == UsersForm::List),
    ("auth-realm", "Hello World", |s| &*s.basic_auth.realm == "Hello World"),
    ("auth-realm", "off", |s| &*s.basic_auth.realm == "off"),
];

pub(super) const BAD: &[Bad] = &[
    ("auth-type", &["Basic", "magic"], Effect::Drops),
    ("auth-type", &["digests", "basic, digest"], Effect::Closes),
    ("auth-secret", &["bad name;", "$x", "a\nb"], Effect::Closes),
    ("auth-secret-type", &["nonsense"], Effect::Drops),
    ("auth-secret-type", &["auth-files"], Effect::Closes),
    ("auth-realm", &["bad;realm$x", "a \"quoted\" realm", "a\r\nb", "\\"], Effect::Drops),
];
