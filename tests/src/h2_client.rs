//! An HTTP/2 client.

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::client::Stream;
use crate::message::Excerpt;

/// An open HTTP/2 connection; a clone is another handle to the same one.
#[derive(Debug, Clone)]
pub struct H2Client {
    sender: SendRequest<Bytes>,
}

/// A whole response.
pub struct H2Response {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers, if there were any.
    pub trailers: Option<HeaderMap>,
}

impl std::fmt::Debug for H2Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H2Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &Excerpt(&self.body))
            .field("trailers", &self.trailers)
            .finish()
    }
}

impl H2Response {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }

    /// The backend that answered.
    pub fn backend(&self) -> Option<&str> {
        self.headers.get("x-backend").and_then(|name| name.to_str().ok())
    }
}

impl H2Client {
    /// Opens a connection over a stream that both sides know to be HTTP/2.
    ///
    /// # Panics
    ///
    /// When the other side does not speak it.
    pub async fn over(stream: impl Stream + 'static) -> Self {
        let (sender, connection) = timeout(PATIENCE, h2::client::handshake(stream))
            .await
            .expect("an HTTP/2 handshake in time")
            .expect("an HTTP/2 handshake");
        tokio::spawn(async move {
            // A broken connection shows in the requests on it.
            let _ = connection.await;
        });
        Self { sender }
    }

    /// Sends a request with a body and reads the response with its trailers.
    pub async fn send(&mut self, request: Request<()>, body: impl Into<Bytes>) -> Result<H2Response, h2::Error> {
        let body = body.into();
        let mut sender = self.sender.clone().ready().await?;
        let (response, mut stream) = sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            send_body(&mut stream, body).await?;
        }
        let (head, mut incoming) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = incoming.data().await {
            let data = data?;
            incoming.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        let trailers = incoming.trailers().await?;
        Ok(H2Response { status: head.status, headers: head.headers, body, trailers })
    }

    /// Opens a stream with a request and resets it at once.
    pub async fn send_and_reset(&mut self, request: Request<()>) -> Result<(), h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let (_, mut stream) = sender.send_request(request, false)?;
        stream.send_reset(h2::Reason::CANCEL);
        Ok(())
    }

    /// Opens a stream with a POST whose body never comes, and waits for an answer.
    pub async fn send_without_end(&mut self, url: &str) -> Result<StatusCode, h2::Error> {
        self.open(Request::post(url)).await
    }

    /// Begins a call of gRPC whose messages never come, and waits for an answer.
    pub async fn call_without_end(&mut self, url: &str) -> Result<StatusCode, h2::Error> {
        self.open(Request::post(url).header("content-type", "application/grpc").header("te", "trailers")).await
    }

    async fn open(&mut self, request: hyper::http::request::Builder) -> Result<StatusCode, h2::Error> {
        let request = request.body(()).expect("a request");
        let (response, _body) = self.sender.clone().ready().await?.send_request(request, false)?;
        Ok(response.await?.status())
    }

    /// GET of a URL.
    ///
    /// # Panics
    ///
    /// When there is no whole answer.
    pub async fn get(&mut self, url: &str) -> H2Response {
        let request = Request::get(url).body(()).expect("a request");
        self.send(request, Bytes::new()).await.unwrap_or_else(|e| panic!("no whole answer to {url}: {e}"))
    }
}

/// Sends a body as flow control allows it.
async fn send_body(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let granted = match std::future::poll_fn(|context| stream.poll_capacity(context)).await {
            Some(granted) => granted?,
            // The other side wants no more of it; its answer says why.
            None => return Ok(()),
        };
        let part = body.split_to(granted.min(body.len()));
        stream.send_data(part, body.is_empty())?;
    }
    Ok(())
}
