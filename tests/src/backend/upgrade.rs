//! Connections that stop being HTTP.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Shared;
use crate::client::Stream;
use crate::message::{Message, Reader};

/// Whether a request asks for an upgrade on a path that does one.
pub(super) fn is_asked(message: &Message) -> bool {
    let target = message.start.split(' ').nth(1).unwrap_or_default();
    message.header("upgrade").is_some() && (target.starts_with("/ws") || target.starts_with("/raw"))
}

/// Answers 101 and echoes until the client ends.
pub(super) async fn serve(stream: &mut impl Stream, reader: &mut Reader, message: &Message, shared: &Shared) {
    let protocol = message.header("upgrade").unwrap_or_default();
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nX-Backend: {}\r\n",
        shared.name
    );
    if let Some(key) = message.header("sec-websocket-key") {
        head.push_str(&format!("Sec-WebSocket-Accept: {}\r\n", derive_accept_key(key.as_bytes())));
    }
    head.push_str("\r\n");
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let early = reader.take_rest();
    if protocol.eq_ignore_ascii_case("websocket") {
        let mut socket = WebSocketStream::from_partially_read(stream, early, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
        return;
    }
    let mut bytes = early;
    loop {
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        bytes.resize(4096, 0);
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.truncate(count),
        }
    }
}
