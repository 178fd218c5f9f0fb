//! A WebSocket client.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::PATIENCE;
use crate::client::connect;

/// An open WebSocket over plain TCP.
#[derive(Debug)]
pub struct WebSocket(WebSocketStream<TcpStream>);

/// How a WebSocket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With a close frame and its code; 1005 when the frame has none (RFC 6455 section 7.1.5).
    Code(u16),
    /// Without a close frame.
    Abnormal(String),
}

impl WebSocket {
    /// Opens one.
    pub async fn open(addr: SocketAddr, host: &str, path: &str) -> Result<Self, Error> {
        let stream = connect(addr, None).await?;
        let request = format!("ws://{host}{path}").into_client_request()?;
        let handshake = timeout(PATIENCE, client_async(request, stream)).await;
        let (socket, _) = handshake.map_err(|_| Error::Io(std::io::ErrorKind::TimedOut.into()))??;
        Ok(Self(socket))
    }

    /// Sends a text and waits for its echo.
    pub async fn echo(&mut self, text: &str) -> Result<(), String> {
        self.0.send(Message::text(text)).await.map_err(|e| e.to_string())?;
        match timeout(PATIENCE, self.0.next()).await {
            Ok(Some(Ok(message))) if message.to_text().is_ok_and(|got| got == text) => Ok(()),
            // Messages may be large, and a log is no place for them.
            Ok(Some(Ok(message))) => Err(format!("{} bytes came back as {} others", text.len(), message.len())),
            Ok(Some(Err(e))) => Err(format!("instead of the echo of {} bytes: {e}", text.len())),
            Ok(None) => Err(format!("the stream ended instead of the echo of {} bytes", text.len())),
            Err(_) => Err(format!("no echo of {} bytes within {PATIENCE:?}", text.len())),
        }
    }

    /// Waits until the other side ends it.
    pub async fn ending(&mut self) -> Ending {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Ending::Code(code.into()),
                Some(Ok(Message::Close(None))) => return Ending::Code(1005),
                Some(Ok(_)) => {}
                Some(Err(e)) => return Ending::Abnormal(e.to_string()),
                None => return Ending::Abnormal("the stream ended".to_owned()),
            }
        }
    }

    /// Closes it from this side.
    pub async fn close(mut self) {
        // The other side may be gone already.
        let _ = self.0.close(None).await;
    }
}
