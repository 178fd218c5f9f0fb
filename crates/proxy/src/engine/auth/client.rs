//! The client of authentication services: one per worker, which keeps connections.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body_util::{BodyExt, Empty, Limited};
use tokio::time::timeout;

use crate::seldom::Seldom;
use crate::subrequest;

/// How long a connection that nobody needs is kept, and how many to one service.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_PER_HOST: usize = 32;

/// So much of a body is read, and dropped, so that the connection can be kept.
const BODY: usize = 64 << 10;

/// How long that may take.
const BODY_TIME: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Client {
    http: subrequest::Client<Empty<Bytes>>,
    /// That a service is where none may be.
    refused: Seldom,
}

impl Client {
    /// `None` when the TLS library has no protocol to speak.
    pub(super) fn new(allow_loopback: bool) -> Option<Self> {
        Some(Self { http: subrequest::client(IDLE, IDLE_PER_HOST, allow_loopback)?, refused: Seldom::default() })
    }

    /// The head of what a service answers. A connection that ends without an answer may have been kept for too long: what can
    /// be asked twice is.
    pub(super) async fn ask(&self, request: Request<Empty<Bytes>>) -> Option<Parts> {
        let again = request.method().is_safe().then(|| request.clone());
        let service = request.uri().clone();
        let mut answered = self.http.request(request).await;
        if let (Err(error), Some(again)) = (&answered, again)
            && !error.is_connect()
        {
            answered = self.http.request(again).await;
        }
        match answered {
            Ok(response) => {
                let (head, body) = response.into_parts();
                // Nobody waits for it. A connection with more to come is closed with what is left.
                tokio::spawn(timeout(BODY_TIME, Limited::new(body, BODY).collect()));
                Some(head)
            }
            Err(error) => {
                if subrequest::is_refused(&error) && self.refused.is_due() {
                    let host = service.host().unwrap_or_default();
                    tracing::warn!(
                        host,
                        "an authentication service is where objects may not have the proxy connect to"
                    );
                }
                tracing::debug!(%error, "an authentication service did not answer");
                None
            }
        }
    }
}
