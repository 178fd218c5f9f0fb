//! Sizes, buffers and speeds of bodies.

use edgeward_routing::policy::BodySize;

use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Bodies",
    doc: "Sizes, buffers and speeds of bodies.",
    annotations: &[
        Annotation::later("client-body-buffer-size", Scope::Route, "How much of a request body is kept in memory.")
            .meanwhile("bodies are streamed"),
        Annotation::later("limit-rate", Scope::Route, "Kilobytes per second that a response is sent with.")
            .meanwhile("responses are sent as fast as they come"),
        Annotation::later("limit-rate-after", Scope::Route, "Kilobytes after which that limit holds."),
        Annotation::honoured(
            "proxy-body-size",
            Scope::Route,
            body_size,
            "Largest request body, such as `8m`; `0` is without a limit. Larger ones are answered 413.",
        ),
        Annotation::later("proxy-buffer-size", Scope::Route, "Size of the buffer for response headers.")
            .meanwhile("it sizes itself"),
        Annotation::later("proxy-buffering", Scope::Route, "Whether responses are buffered.")
            .meanwhile("they are streamed"),
        Annotation::later("proxy-buffers-number", Scope::Route, "Number of response buffers.")
            .meanwhile("they size themselves"),
        Annotation::later("proxy-busy-buffers-size", Scope::Route, "How much may be under way to the client.")
            .meanwhile("it sizes itself"),
        Annotation::later("proxy-max-temp-file-size", Scope::Route, "Largest temporary file of a response.")
            .meanwhile("no files are written"),
        Annotation::later("proxy-request-buffering", Scope::Route, "Whether request bodies are buffered.")
            .meanwhile("they are streamed"),
    ],
};

fn body_size(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let size = BodySize::parse(value.trim());
    let size =
        size.ok_or_else(|| invalid("a number of bytes with an optional `k`, `m` or `g`, or `0` for no limit"))?;
    settings.body_size = Some(size);
    Ok(())
}
