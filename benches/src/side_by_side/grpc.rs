//! gRPC: a unary call, the server that answers it, and a call by hand to see that it is answered right.
//!
//! The server echoes the message. It answers a call that has lost something on its way with a status and no message: so the
//! length of the answers tells the load generator, which does not know gRPC, that all of them were right.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::probe;
use crate::site::Target;

/// The method that is called.
pub(crate) const PATH: &str = "/bench.Echo/Unary";

/// The message: a byte that says it is not compressed, four of its length, and as much text.
pub(crate) const MESSAGE: &[u8] = b"\0\0\0\0\x40aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

const TIMEOUT: Duration = Duration::from_secs(10);

/// As much as any proxy here lets through at once.
const WINDOW: u32 = 1 << 20;

/// Serves HTTP/2 in the clear until the process is ended.
pub(crate) fn serve(listen: SocketAddr) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // What goes wrong here goes wrong for the client as well, who tells.
            tokio::spawn(async move { drop(serve_connection(stream).await) });
        }
    })
}

async fn serve_connection(stream: TcpStream) -> Result<()> {
    let mut builder = h2::server::Builder::new();
    let builder = builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let mut connection = builder.handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        tokio::spawn(async move { drop(answer(request, respond).await) });
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<()> {
    let is =
        |name: &str, value: &str| request.headers().get(name).is_some_and(|found| found.as_bytes() == value.as_bytes());
    let is_call = request.method() == Method::POST
        && request.uri().path() == PATH
        && is("te", "trailers")
        && is("content-type", "application/grpc");
    let is_right = read(request.into_body()).await?.0 == MESSAGE && is_call;
    let response =
        Response::builder().header("content-type", "application/grpc").header("x-backend", "origin").body(())?;
    let mut stream = respond.send_response(response, false)?;
    if is_right {
        stream.send_data(Bytes::from_static(MESSAGE), false)?;
    }
    let status = HeaderValue::from_static(if is_right { "0" } else { "13" });
    stream.send_trailers(HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status)]))?;
    Ok(())
}

/// A whole body, and the trailers behind it.
async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>)> {
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    Ok((message, body.trailers().await?))
}

/// Calls once, over TLS or not, and checks message, status and who answered. Returns the length of the message.
pub(crate) fn call(target: &Target<'_>) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let called =
            tokio::time::timeout(TIMEOUT, connect_and_call(target)).await.unwrap_or_else(|_| bail!("no answer"));
        called.with_context(|| format!("gRPC call of {PATH} at {}", target.address))
    })
}

async fn connect_and_call(target: &Target<'_>) -> Result<u64> {
    let stream = TcpStream::connect(target.address).await?;
    if !target.request.tls {
        return call_over(stream, target).await;
    }
    let mut config = probe::trusting_config(target)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(target.host.clone())?;
    call_over(TlsConnector::from(Arc::new(config)).connect(name, stream).await?, target).await
}

async fn call_over(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    target: &Target<'_>,
) -> Result<u64> {
    let (mut client, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move { drop(connection.await) });
    let scheme = if target.request.tls { "https" } else { "http" };
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("{scheme}://{}{PATH}", target.host))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (response, mut stream) = client.send_request(request, false)?;
    stream.send_data(Bytes::from_static(MESSAGE), true)?;
    let response = response.await?;
    ensure!(response.status() == StatusCode::OK, "the answer is {}", response.status());
    ensure!(
        response.headers().get("x-backend").is_some_and(|value| value == "origin"),
        "the answer is not the origin's"
    );
    let (message, trailers) = read(response.into_body()).await?;
    let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    ensure!(status.is_some_and(|status| status == "0"), "the status of the call is {status:?}");
    ensure!(message == MESSAGE, "the message is another one");
    Ok(message.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_length_that_it_tells() {
        let length = u32::from_be_bytes(MESSAGE[1..5].try_into().expect("four bytes"));
        assert_eq!((MESSAGE[0], length as usize), (0, MESSAGE.len() - 5));
    }
}
