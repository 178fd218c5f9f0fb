//! The orderly end of a connection.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout_at;

use super::transport::Transport;
use crate::clock;

/// What is left when the HTTP engine lets go of a connection.
#[derive(Debug)]
pub struct Parting {
    pub(super) transport: Transport,
    /// What is still to be sent.
    pub(super) last_words: Vec<u8>,
    /// The client may be sending. A close at once would answer that with a reset, which can overtake the last response.
    pub(super) unread: bool,
    /// The response is not whole, and the close must show that.
    pub(super) cut_short: bool,
}

impl Parting {
    /// Sends what is left, says the end of TLS and TCP, and reads on for up to `linger` when the client may be sending.
    pub(crate) async fn finish(mut self, linger: Duration) {
        if self.cut_short {
            self.transport.reset_on_close();
            return;
        }
        // Errors mean that the client is gone, which is where this leads anyway.
        let _ = timeout_at((clock::now() + linger).into(), async {
            // What of it is left then goes out with the end.
            self.transport.write_all(&self.last_words).await?;
            // A close alone would drop what is held if the client has sent something that was not read.
            self.transport.shutdown().await?;
            if self.unread {
                self.discard().await?;
            }
            Ok::<_, std::io::Error>(())
        })
        .await;
    }

    async fn discard(&mut self) -> std::io::Result<()> {
        std::future::poll_fn(|cx| {
            loop {
                let mut space = [MaybeUninit::uninit(); 4096];
                let mut buf = ReadBuf::uninit(&mut space);
                ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buf))?;
                if buf.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
        })
        .await
    }
}
