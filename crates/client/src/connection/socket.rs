//! Making a connection, and writing to it.

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::error::Error;
use crate::options::Options;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What is read of the socket at once, unless one message is larger. The library
/// clears the whole of it before every read, which at its 128 KiB takes longer than
/// the read.
const READ_BUFFER: usize = 16 << 10;

/// Why there is no connection.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// Another attempt would fail alike.
    pub(crate) is_final: bool,
}

/// Connects and takes the welcome.
pub(crate) async fn connect(url: &str, options: &Options) -> Result<Socket, Failed> {
    match timeout(options.connect_timeout, attempt(url, options)).await {
        Ok(connected) => connected,
        Err(_) => Err(lost("No connection in time".to_owned())),
    }
}

async fn attempt(url: &str, options: &Options) -> Result<Socket, Failed> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(options.max_frame_bytes))
        .max_frame_size(Some(options.max_frame_bytes));
    let (mut socket, _) = connect_async_with_config(url, Some(config), true)
        .await
        .map_err(|error| lost(format!("No connection: {error}")))?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                if frame["type"] == "welcome" {
                    return Ok(socket);
                }
                let error = Error::invalid_answer("The first frame is not a welcome");
                return Err(Failed { error, is_final: false });
            }
            Some(Ok(Message::Close(Some(frame)))) if is_final(&frame) => {
                let error = Error::closed(format!("Refused: {} {}", frame.code, frame.reason));
                return Err(Failed { error, is_final: true });
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_)) | None => return Err(lost("Closed before the welcome".to_owned())),
            Some(Err(error)) => return Err(lost(format!("No welcome: {error}"))),
        }
    }
}

fn lost(message: String) -> Failed {
    Failed { error: Error::not_connected(message), is_final: false }
}

/// Whether the server does not want to see this client again.
pub(crate) fn is_final(frame: &CloseFrame) -> bool {
    matches!(u16::from(frame.code), 1003 | 4003)
}

/// Sends what arrives until the channel or the socket ends; then closes.
pub(crate) async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut frames: mpsc::Receiver<Message>,
) {
    while let Some(frame) = frames.recv().await {
        if sink.feed(frame).await.is_err() {
            return;
        }
        // Whatever else is there goes out in the same write.
        while let Ok(frame) = frames.try_recv() {
            if sink.feed(frame).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
    let _gone = sink.close().await;
}
