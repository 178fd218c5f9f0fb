//! Users and passwords.

use super::{Annotation, Group, IngressSettings, Rejection, Scope};
use crate::index::UsersForm;
use crate::object::Kind;

pub(super) static GROUP: Group = Group {
    name: "Basic authentication",
    doc: "Users and passwords.",
    annotations: &[
        Annotation::honoured("auth-realm", Scope::Route, realm, "What clients are told that the password is for.")
            .needing("auth-type"),
        Annotation::honoured(
            "auth-secret",
            Scope::Route,
            secret,
            "Secret with the users, as `name` or `namespace/name`. Their passwords are as `htpasswd` writes them; one under crypt(3) \
             with DES is reported, for 8 characters of it count, and whoever reads it finds it out in hours.",
        )
        .needing("auth-type")
        .naming(Kind::Secret),
        Annotation::honoured(
            "auth-secret-type",
            Scope::Route,
            form,
            "Whether that Secret is a list of users under the key `auth` (`auth-file`) or has a key for each (`auth-map`).",
        )
        .needing("auth-type"),
        Annotation::honoured(
            "auth-type",
            Scope::Route,
            kind,
            "`basic` asks for a user and a password. `digest` asks for the proof that the client knows it (RFC 7616, in MD5 and \
             with `qop=auth`): the entries are those of `htdigest` (`user:realm:HA1`), and those of the realm in `auth-realm` \
             count. A nonce is good for 60 s, and for 10 s and 19 requests from its first use on, on all connections to the \
             replica that has given it; each request is let in once. `uri` is the target of the request, of which the \
             query may be left out (.NET does). After 5 wrong answers within 5 minutes of each other a \
             client (of IPv6 its /64) is not heard for 5 minutes.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasicAuthSettings {
    /// How users are asked for their passwords (`auth-type`), if they are.
    pub scheme: Option<PasswordScheme>,
    /// `auth-secret`.
    pub secret: Option<Box<str>>,
    /// `auth-secret-type`.
    pub form: UsersForm,
    /// `auth-realm`.
    pub realm: Box<str>,
}

/// How a password is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordScheme {
    /// The client says it (RFC 7617).
    Basic,
    /// The client proves that it knows it (RFC 7616).
    Digest,
}

fn kind(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let allowed = || "`basic` or `digest`".to_owned();
    match value.trim() {
        "" => {}
        "basic" => ask(PasswordScheme::Basic, settings),
        "digest" => ask(PasswordScheme::Digest, settings),
        // In ingress-nginx whatever has one of the two words in it and is not `basic` is digest (auth/main.go).
        other if other.contains("basic") || other.contains("digest") => return Err(Rejection::Closes(allowed())),
        _ => {
            settings.is_guarded = true;
            return Err(Rejection::Drops(allowed()));
        }
    }
    Ok(())
}

fn ask(scheme: PasswordScheme, settings: &mut IngressSettings) {
    settings.basic_auth.scheme = Some(scheme);
    settings.is_guarded = true;
}

fn secret(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    // BasicCharsRegex (parser/validators.go).
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b);
    let value = value.trim();
    if !value.bytes().all(is_allowed) {
        return Err(Rejection::Closes("the name of a Secret, as `name` or `namespace/name`".to_owned()));
    }
    settings.basic_auth.secret = (!value.is_empty()).then(|| value.into());
    Ok(())
}

fn form(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let allowed = || "`auth-file` or `auth-map`".to_owned();
    settings.basic_auth.form = match value.trim() {
        "" | "auth-file" => UsersForm::List,
        "auth-map" => UsersForm::Map,
        other if other.contains("auth-file") || other.contains("auth-map") => return Err(Rejection::Closes(allowed())),
        _ => return Err(Rejection::Drops(allowed())),
    };
    Ok(())
}

fn realm(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    // CharsWithSpace (parser/validators.go).
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/: ".contains(&b);
    let value = value.trim();
    if !value.bytes().all(is_allowed) {
        return Err(Rejection::Drops("letters, digits, blanks and `-._~/:`".to_owned()));
    }
    settings.basic_auth.realm = value.into();
    Ok(())
}
