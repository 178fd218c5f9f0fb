//! Users and passwords.

use super::{Annotation, Group, Guard, Scope};

pub(super) static GROUP: Group = Group {
    name: "Basic authentication",
    doc: "Users and passwords.",
    annotations: &[
        Annotation::later("auth-realm", Scope::Route, "Realm that basic authentication shows."),
        Annotation::later("auth-secret", Scope::Route, "Secret with the users of basic or digest authentication."),
        Annotation::later(
            "auth-secret-type",
            Scope::Route,
            "Whether that Secret is one htpasswd file or a map of users.",
        ),
        Annotation::later("auth-type", Scope::Route, "Asks for a user and password: `basic` or `digest`.")
            .guarding(Guard::NotBlank),
    ],
};
