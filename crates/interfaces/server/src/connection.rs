//! One WebSocket: frames in, frames out, one request at a time.
//!
//! ```text
//!   socket ──> Wire ──> Peer (parse, limit, dispatch, respond, push) ──> Outbox ──> writer
//!               │ pongs, close, end, heartbeat, shutdown
//! ```
//!
//! Requests of one socket are handled strictly in order: the next one starts
//! when the answer to the one before is queued. Meanwhile the socket is still
//! read, so that pongs and the end of the connection are noticed during a long
//! request; requests read ahead wait in a small queue.
//!
//! A request that has started is never cancelled: its future is polled to the
//! end even when the client has gone, and then the session is dropped, which
//! rolls its open transactions back.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use crate::frame::{self, Frame, Outgoing};
use crate::heartbeat::{Beat, Heartbeat};
use crate::metered::Metered;
use crate::outbox::{Closing, Next, Outbox};
use crate::peer::Peer;
use crate::shared::Shared;
use crate::shutdown::{Phase, ShutdownSignal};

/// Requests read ahead of the one in progress.
const READ_AHEAD: usize = 8;

/// A client that was told so many answers at once asks for many at once. While there are
/// several of those, a worker of the server always has something to do, and on the same
/// processors they would wait until the system takes one away from it, some milliseconds. So
/// it offers its own. Of gets, 16 under way on each of 8 sockets and two processors for all,
/// the slowest in a hundred took 2.0 ms and take 0.9, and there are as many
/// (`docs/benchmarks.md`, "What was won"). Where nobody waits for a processor, or with one
/// request at a time, nothing changes.
const MANY_ANSWERS: usize = 4;

/// How long a client has to take what is still queued when it is closed, and
/// to answer the close.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Serves one accepted socket to its end.
pub(crate) async fn serve<S>(
    socket: WebSocketStream<Metered<S>>,
    mut peer: Peer,
    heartbeat: Heartbeat,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let outbox = peer.outbox().clone();
    let written = socket.get_ref().written();
    let (sink, stream) = socket.split();
    let task = tokio::spawn(write_frames(sink, outbox.clone(), peer.shared.clone()));
    let writer = Writer { task, outbox: outbox.clone() };
    let mut wire = Wire {
        stream,
        ahead: VecDeque::new(),
        heartbeat,
        shutdown: peer.shutdown_signal(),
        shared: peer.shared.clone(),
        outbox: outbox.clone(),
        written,
        written_before: 0,
        end: None,
    };
    // A server that began to stop while this socket was being upgraded.
    if peer.is_stopping() {
        wire.end_with(End::Close(Closing::SHUTTING_DOWN));
    } else {
        peer.welcome();
    }
    while wire.goes_on() {
        let Some(frame) = wire.ahead.pop_front() else {
            tokio::select! {
                // Decided, not drawn, so that a seed replays a run. Nobody
                // starves: every request ends with `attend`.
                biased;
                () = wire.advance() => {}
                // Safe to cancel: waiting holds nothing.
                () = peer.woken() => wire.drive(peer.attend()).await,
                () = uncorked(&outbox) => {}
            }
            continue;
        };
        wire.drive(peer.handle(frame)).await;
    }
    let end = wire.end.take().unwrap_or(End::Gone);
    peer.shared.metrics.closed(match end {
        End::Gone => None,
        End::Close(closing) => Some(closing.code),
    });
    // Rolls back what is open before the client can see the close.
    peer.leave().await;
    finish(end, wire.stream, writer).await;
}

/// The last branch of a `select!` in order: nothing else can go on, so what is
/// queued is sent. Never ready.
async fn uncorked(outbox: &Outbox) {
    // At every look, not once: what was done since may have corked it again.
    poll_fn(|_| {
        outbox.uncork();
        Poll::Pending
    })
    .await
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closed, or the socket broke.
    Gone,
    /// The server closes.
    Close(Closing),
}

/// The incoming side, with everything that can happen besides requests.
struct Wire<S> {
    stream: SplitStream<WebSocketStream<S>>,
    ahead: VecDeque<Frame>,
    heartbeat: Heartbeat,
    shutdown: ShutdownSignal,
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    /// Bytes that the socket has taken, and had at the last look.
    written: Arc<AtomicU64>,
    written_before: u64,
    end: Option<End>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Whether there is something to do: a client that has gone still gets
    /// what it sent before carried out.
    fn goes_on(&self) -> bool {
        match self.end {
            None => true,
            Some(End::Gone) => !self.ahead.is_empty(),
            Some(End::Close(_)) => false,
        }
    }

    /// Polls `work` to its end and keeps the wire going meanwhile.
    async fn drive(&mut self, work: impl Future<Output = ()>) {
        tokio::pin!(work);
        let outbox = self.outbox.clone();
        loop {
            tokio::select! {
                biased;
                () = &mut work => break,
                () = self.advance(), if self.end.is_none() => {}
                () = uncorked(&outbox) => {}
            }
        }
        if self.ahead.len() >= READ_AHEAD {
            self.heartbeat.reading_resumed();
        }
    }

    /// One thing that happens on the wire. Safe to cancel: every source keeps
    /// what it has not handed out, and handling is not interrupted.
    async fn advance(&mut self) {
        // A client that pings and does not read gets no more pongs than one.
        let flushed = self.outbox.is_flushed();
        let room = self.ahead.len() < READ_AHEAD && flushed;
        let outbox = self.outbox.clone();
        tokio::select! {
            // What is rare comes first, so that a busy client delays neither.
            // A pong that is there already comes before giving up.
            biased;
            phase = self.shutdown.changed() => match phase {
                Phase::Running => {}
                Phase::Grace(time) => {
                    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                    self.outbox.send(frame::shutdown(ms));
                }
                Phase::Closing => self.end_with(End::Close(Closing::SERVER_SHUTDOWN)),
            },
            message = self.stream.next(), if room => self.accept(message),
            beat = self.heartbeat.due() => match beat {
                Beat::Ping => self.outbox.send(frame::ping(self.shared.now_ms())),
                Beat::Dead if self.excused(room) => self.heartbeat.reading_resumed(),
                Beat::Dead => self.end_with(End::Close(Closing::HEARTBEAT)),
            },
            () = outbox.flushed(), if !flushed => self.heartbeat.reading_resumed(),
        }
    }

    /// Whether no pong can be expected yet: the ping is behind what the client
    /// is still taking, or the pong is behind requests that are not read.
    fn excused(&mut self, room: bool) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        let takes = written > std::mem::replace(&mut self.written_before, written);
        if self.outbox.has_unsent() { takes } else { !room }
    }

    fn accept(&mut self, message: Option<Result<Message, SocketError>>) {
        match message {
            Some(Ok(Message::Text(text))) => {
                self.shared.metrics.received(text.len());
                match frame::parse(text.as_bytes()) {
                    Frame::Pong => self.heartbeat.pong(),
                    frame => self.ahead.push_back(frame),
                }
            }
            Some(Ok(Message::Binary(_))) => self.end_with(End::Close(Closing::BINARY)),
            // The library answers pings itself, without a bound on the answers.
            Some(Ok(Message::Ping(_))) => self.outbox.ask_flush(),
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(SocketError::Capacity(_))) => self.end_with(End::Close(Closing::TOO_LARGE)),
            Some(Err(SocketError::Utf8(_))) => self.end_with(End::Close(Closing::NOT_TEXT)),
            Some(Ok(Message::Close(_)) | Err(_)) | None => self.end_with(End::Gone),
        }
    }

    fn end_with(&mut self, end: End) {
        self.end = Some(end);
        // Wakes a request that waits for the client to read.
        match end {
            End::Gone => self.outbox.abandon(),
            End::Close(closing) => self.outbox.close(closing),
        }
    }
}

/// The task that writes, for as long as its connection is served. However that
/// ends, also by a panic or because the future is dropped: without anybody who
/// reads, the socket is closed and not left open for its client to wait on.
struct Writer<S> {
    task: JoinHandle<SplitSink<WebSocketStream<S>, Message>>,
    outbox: Arc<Outbox>,
}

impl<S> Drop for Writer<S> {
    fn drop(&mut self) {
        self.outbox.abandon();
        self.task.abort();
    }
}

/// Sends what the outbox holds until it says to stop. Returns the sink, so
/// that the socket can be put together again.
async fn write_frames<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    outbox: Arc<Outbox>,
    shared: Arc<Shared>,
) -> SplitSink<WebSocketStream<S>, Message>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let sent = match outbox.next().await {
            Next::Frames(frames) => {
                let answers = frames.iter().filter(|frame| !frame.is_shared()).count();
                shared.metrics.sent(frames.iter().map(Outgoing::len).sum());
                let sent = send_all(&mut sink, frames).await;
                if answers >= MANY_ANSWERS {
                    std::thread::yield_now();
                }
                sent
            }
            Next::Close(closing) => {
                let frame = CloseFrame { code: closing.code.into(), reason: closing.reason.into() };
                let _gone = sink.send(Message::Close(Some(frame))).await;
                return sink;
            }
            Next::Abandon => return sink,
        };
        if sent.is_err() {
            outbox.abandon();
            return sink;
        }
    }
}

async fn send_all<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    frames: Vec<Outgoing>,
) -> Result<(), SocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for frame in frames {
        let text = Utf8Bytes::try_from(frame.into_text())
            .map_err(|_| SocketError::Utf8("a frame is not text".to_owned()))?;
        sink.feed(Message::Text(text)).await?;
    }
    sink.flush().await
}

/// Ends the socket: lets the writer send the close, then reads until the
/// client has answered it. Closing with unread bytes in the receive buffer
/// would reset the connection, and the client would never see the close code.
async fn finish<S>(end: End, stream: SplitStream<WebSocketStream<S>>, mut writer: Writer<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closing = match end {
        End::Gone => {
            writer.outbox.abandon();
            None
        }
        End::Close(closing) => {
            writer.outbox.close(closing);
            Some(closing)
        }
    };
    // If the client does not read, the socket is dropped as it is.
    let Ok(Ok(sink)) = timeout(CLOSE_WAIT, &mut writer.task).await else { return };
    let Ok(mut socket) = sink.reunite(stream) else { return };
    let farewell = async {
        match closing {
            // Answers the client's own close.
            None => drop(socket.close(None).await),
            // The oversize frame is still arriving, and cannot be parsed.
            Some(Closing::TOO_LARGE) => discard(socket.get_mut()).await,
            Some(_) => while let Some(Ok(_)) = socket.next().await {},
        }
    };
    let _late = timeout(CLOSE_WAIT, farewell).await;
}

/// Closes a socket that is not served.
pub(crate) async fn refuse<S>(socket: &mut WebSocketStream<S>, frame: CloseFrame)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let farewell = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _late = timeout(CLOSE_WAIT, farewell).await;
}

/// Says that nothing more will be sent, and reads until the client agrees.
async fn discard<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S) {
    let mut buffer = vec![0; 16 << 10];
    let _gone = socket.shutdown().await;
    while socket.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
