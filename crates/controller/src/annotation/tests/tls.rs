use edgeward_routing::settings::Cipher;

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("ssl-passthrough", "true", |s| s.passes_tls),
    ("ssl-passthrough", "false", |s| !s.passes_tls),
    ("ssl-ciphers", "ECDHE-RSA-AES256-GCM-SHA384:!aNULL", |s| s.tls.ciphers.as_deref() == Some(&[Cipher::RsaAes256])),
    ("ssl-ciphers", "", |s| s.tls.is_empty()),
    ("ssl-prefer-server-ciphers", "true", |s| s.tls.prefers_own_order == Some(true)),
    ("ssl-prefer-server-ciphers", "false", |s| s.tls.prefers_own_order == Some(false)),
];

pub(super) const BAD: &[Bad] = &[
    ("ssl-passthrough", &["", "on", "yes"], Effect::Default),
    ("ssl-ciphers", &["RC4", "!aNULL", "TLS_AES_128_GCM_SHA256"], Effect::Default),
    ("ssl-prefer-server-ciphers", &["", "on"], Effect::Default),
];
