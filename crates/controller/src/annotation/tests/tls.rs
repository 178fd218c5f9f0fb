use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] =
    &[("ssl-passthrough", "true", |s| s.passes_tls), ("ssl-passthrough", "false", |s| !s.passes_tls)];

pub(super) const BAD: &[Bad] = &[("ssl-passthrough", &["", "on", "yes"], Effect::Default)];
