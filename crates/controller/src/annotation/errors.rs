//! Who answers when the application does not.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Errors",
    doc: "Who answers when the application does not.",
    annotations: &[
        Annotation::later(
            "custom-http-errors",
            Scope::Route,
            "Statuses of the application that the default backend answers instead.",
        )
        .meanwhile("the application's own answers are passed on"),
        Annotation::later(
            "default-backend",
            Scope::Route,
            "Service that answers when the backend has no endpoint, and custom errors.",
        )
        .meanwhile("these requests are answered 503"),
        Annotation::later(
            "disable-proxy-intercept-errors",
            Scope::Route,
            "Whether custom errors are off here although they are on for all.",
        ),
    ],
};
