//! What waits to be sent to one client, and the bounds on it.
//!
//! ```text
//!   0 ───────────── mark ───────────── limit
//!   pushes queue    pushes coalesce    subscriptions are cut
//!   requests run    requests run       the next request waits
//! ```
//!
//! Responses are never dropped: a client that does not read its answers gets
//! no further requests served, so at most one answer exceeds the limit. Pushes
//! of one subscription above the mark replace each other and are queued when
//! the client has caught up. The bytes held are therefore bounded by the limit
//! plus one answer and one push, whatever clients do.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::Backpressure;
use crate::frame::Outgoing;

/// Why and how a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// The WebSocket close code.
    pub(crate) code: u16,
    /// Its reason; may be empty.
    pub(crate) reason: &'static str,
}

impl Closing {
    pub(crate) const SERVER_SHUTDOWN: Self = Self { code: 1000, reason: "server_shutdown" };
    pub(crate) const SHUTTING_DOWN: Self = Self { code: 1001, reason: "server_shutting_down" };
    pub(crate) const BINARY: Self = Self { code: 1003, reason: "binary_not_supported" };
    pub(crate) const NOT_TEXT: Self = Self { code: 1007, reason: "invalid_utf8" };
    pub(crate) const TOO_LARGE: Self = Self { code: 1009, reason: "" };
    pub(crate) const HEARTBEAT: Self = Self { code: 4001, reason: "heartbeat_timeout" };
    pub(crate) const TOO_MANY: Self = Self { code: 4003, reason: "too_many_connections" };
}

/// What the writer does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send these frames, if any, and flush.
    Frames(Vec<Outgoing>),
    /// Everything is sent; close the socket.
    Close(Closing),
    /// Nobody listens any more.
    Abandon,
}

/// The outgoing buffer of one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Wakes the writer.
    filled: Notify,
    /// Wakes the request loop.
    drained: Notify,
    mark: usize,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    frames: std::collections::VecDeque<Outgoing>,
    /// The newest state of subscriptions above the mark, oldest first.
    coalesced: Vec<(u64, Outgoing)>,
    /// Bytes of `frames`, of `coalesced` and of what the writer is sending.
    bytes: usize,
    in_flight: usize,
    flush: Flush,
    /// The writer is not woken for what is queued.
    corked: bool,
    closing: Option<Closing>,
    abandoned: bool,
}

/// Whether what the socket holds besides frames (pongs) is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flush {
    #[default]
    Done,
    Asked,
    /// The writer is at it.
    Running,
}

/// The writer takes about this much at a time, to flush once for many frames.
const BATCH_BYTES: usize = 64 << 10;

impl Outbox {
    pub(crate) fn new(backpressure: &Backpressure) -> Self {
        Self {
            state: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            mark: backpressure.mark_bytes(),
            limit: backpressure.max_buffered_bytes,
        }
    }

    /// Queues a response, welcome, ping or system frame; never refused.
    pub(crate) fn send(&self, frame: impl Into<Outgoing>) {
        let frame = frame.into();
        let mut state = self.lock();
        if state.closing.is_some() || state.abandoned {
            return;
        }
        state.bytes += frame.len();
        state.frames.push_back(frame);
        self.wake_writer(state);
    }

    /// Until [`uncork`](Self::uncork), what is queued waits for what comes after
    /// it, up to what the writer takes at a time: one write for all of it. The
    /// connection uncorks whenever it has to wait for anything.
    pub(crate) fn cork(&self) {
        self.lock().corked = true;
    }

    /// What is queued is sent, and from now on at once.
    pub(crate) fn uncork(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.corked)
            && !(state.frames.is_empty() && state.coalesced.is_empty())
        {
            self.wake_writer(state);
        }
    }

    fn wake_writer(&self, state: MutexGuard<'_, State>) {
        let waits = state.corked && state.bytes < BATCH_BYTES;
        drop(state);
        if !waits {
            self.filled.notify_one();
        }
    }

    /// Whether the buffer is below its mark.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        state.bytes <= self.mark || state.abandoned
    }

    /// Queues the newest state of a subscription; above the mark it replaces
    /// the one that waits. Above the limit the frame comes back: the client
    /// has to catch up, or its subscriptions are [`cut`](Self::cut). Returns
    /// whether it took the place of another.
    pub(crate) fn push_newest(
        &self,
        subscription: u64,
        frame: impl Into<Outgoing>,
    ) -> Result<bool, Outgoing> {
        let frame = frame.into();
        let mut state = self.lock();
        let waiting = state.coalesced.iter().position(|(id, _)| *id == subscription);
        if let Some(index) = waiting {
            let (_, old) = state.coalesced.remove(index);
            state.bytes -= old.len();
        }
        if state.bytes > self.limit {
            return Err(frame);
        }
        let bytes = state.bytes + frame.len();
        if state.bytes == 0 || (waiting.is_none() && bytes <= self.mark) {
            state.frames.push_back(frame);
        } else {
            state.coalesced.push((subscription, frame));
        }
        state.bytes = bytes;
        self.wake_writer(state);
        Ok(waiting.is_some())
    }

    /// Drops every push that is held back.
    pub(crate) fn cut(&self) {
        let mut state = self.lock();
        let dropped: usize = state.coalesced.drain(..).map(|(_, frame)| frame.len()).sum();
        state.bytes -= dropped;
    }

    /// Forgets what waits for a subscription that has ended.
    pub(crate) fn forget(&self, subscription: u64) {
        let mut state = self.lock();
        if let Some(index) = state.coalesced.iter().position(|(id, _)| *id == subscription) {
            let (_, old) = state.coalesced.remove(index);
            state.bytes -= old.len();
        }
    }

    /// Asks the writer to send what the socket itself has to say: the answers
    /// to a client's WebSocket pings.
    pub(crate) fn ask_flush(&self) {
        let mut state = self.lock();
        if state.abandoned {
            return;
        }
        state.flush = Flush::Asked;
        drop(state);
        self.filled.notify_one();
    }

    /// Whether nothing of that kind is waiting.
    pub(crate) fn is_flushed(&self) -> bool {
        self.lock().flush == Flush::Done
    }

    /// Waits until nothing of that kind is waiting. Safe to cancel.
    pub(crate) async fn flushed(&self) {
        self.until(|state| state.flush == Flush::Done).await;
    }

    /// Whether something waits to be sent, or is being sent.
    pub(crate) fn has_unsent(&self) -> bool {
        let state = self.lock();
        state.bytes > 0 || state.flush != Flush::Done
    }

    /// Waits until the buffer is within its limit. Safe to cancel: it holds
    /// nothing.
    pub(crate) async fn below_limit(&self) {
        self.below(self.limit).await;
    }

    /// Waits until pushes would be queued again. Safe to cancel.
    pub(crate) async fn below_mark(&self) {
        self.below(self.mark).await;
    }

    /// Waits until nobody listens any more, or what is queued is the last. Safe to
    /// cancel.
    pub(crate) async fn ended(&self) {
        self.until(|_| false).await;
    }

    async fn below(&self, bound: usize) {
        self.until(|state| state.bytes <= bound).await;
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            {
                let state = self.lock();
                if reached(&state) || state.abandoned || state.closing.is_some() {
                    return;
                }
            }
            self.uncork();
            drained.await;
        }
    }

    /// Closes the socket after what is queued. The first reason stands.
    pub(crate) fn close(&self, closing: Closing) {
        let mut state = self.lock();
        if state.closing.is_none() {
            state.closing = Some(closing);
        }
        drop(state);
        self.wake_all();
    }

    /// The client is gone: nothing more is sent.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.frames.clear();
        state.coalesced.clear();
        state.bytes = 0;
        state.in_flight = 0;
        state.flush = Flush::Done;
        drop(state);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// The writer's side: what to do next. The frames handed out before count
    /// as sent. Safe to cancel: frames are taken only when it returns.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.filled.notified().await;
        }
    }

    /// As [`next`](Self::next), if there is something to do now.
    pub(crate) fn next_at_once(&self) -> Option<Next> {
        self.take()
    }

    fn take(&self) -> Option<Next> {
        let mut state = self.lock();
        let sent = std::mem::take(&mut state.in_flight);
        state.bytes = state.bytes.saturating_sub(sent);
        if state.abandoned {
            return Some(Next::Abandon);
        }
        if state.frames.is_empty() {
            // Caught up: what was held back goes out now, oldest first.
            let held = std::mem::take(&mut state.coalesced);
            state.frames.extend(held.into_iter().map(|(_, frame)| frame));
        }
        let mut batch = Vec::new();
        while state.in_flight < BATCH_BYTES
            && let Some(frame) = state.frames.pop_front()
        {
            state.in_flight += frame.len();
            batch.push(frame);
        }
        let flushed = state.flush == Flush::Running;
        let flush = state.flush == Flush::Asked;
        state.flush = if flush { Flush::Running } else { Flush::Done };
        let closing = state.closing;
        drop(state);
        if sent > 0 || flushed {
            self.drained.notify_waiters();
        }
        if flush || !batch.is_empty() {
            return Some(Next::Frames(batch));
        }
        closing.map(Next::Close)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(&Backpressure { max_buffered_bytes: 100, high_water_mark: 0.5 })
    }

    fn frames(next: Next) -> Vec<Vec<u8>> {
        match next {
            Next::Frames(frames) => frames.into_iter().map(Outgoing::into_text).collect(),
            other => panic!("frames expected, not {other:?}"),
        }
    }

    #[tokio::test]
    async fn above_the_mark_pushes_coalesce_to_the_newest() {
        let outbox = outbox();
        outbox.send(vec![0; 45]);
        for value in 1..=5 {
            let replaces = outbox.push_newest(1, vec![value; 10]).expect("there is room");
            assert_eq!(replaces, value > 1);
        }
        assert_eq!(frames(outbox.next().await), [vec![0; 45]]);
        assert_eq!(frames(outbox.next().await), [vec![5; 10]]);
    }

    #[tokio::test]
    async fn g10_above_the_limit_pushes_are_refused_and_responses_are_kept() {
        let outbox = outbox();
        outbox.send(vec![0; 60]);
        outbox.push_newest(1, vec![1; 50]).expect("one push may overshoot");
        assert_eq!(outbox.push_newest(2, vec![2; 5]), Err(vec![2; 5].into()));
        outbox.cut();
        outbox.send(vec![3; 60]);
        assert_eq!(frames(outbox.next().await), [vec![0; 60], vec![3; 60]]);
    }

    #[tokio::test]
    async fn a_push_larger_than_the_limit_still_reaches_an_idle_client() {
        let outbox = outbox();
        outbox.push_newest(1, vec![1; 500]).expect("nothing else waits");
        assert_eq!(frames(outbox.next().await).len(), 1);
    }

    #[tokio::test]
    async fn the_request_loop_waits_until_the_client_has_read() {
        let outbox = outbox();
        outbox.send(vec![0; 200]);
        let waited = tokio::time::timeout(Duration::ZERO, outbox.below_limit()).await;
        assert!(waited.is_err(), "the buffer is above its limit");
        outbox.next().await;
        let written = tokio::time::timeout(Duration::ZERO, outbox.next()).await;
        assert!(written.is_err(), "nothing more to write");
        outbox.below_limit().await;
    }

    #[tokio::test]
    async fn corked_frames_are_sent_together_or_when_they_are_many() {
        let outbox =
            Outbox::new(&Backpressure { max_buffered_bytes: 1 << 20, high_water_mark: 0.5 });
        let is_woken = || tokio::time::timeout(Duration::ZERO, outbox.filled.notified());
        outbox.cork();
        outbox.send(vec![1]);
        outbox.push_newest(1, vec![2]).expect("there is room");
        assert!(is_woken().await.is_err(), "more may come");
        outbox.uncork();
        assert!(is_woken().await.is_ok());
        assert_eq!(frames(outbox.next().await), [[1], [2]]);
        outbox.cork();
        outbox.uncork();
        assert!(is_woken().await.is_err(), "there is nothing to send");
        outbox.cork();
        outbox.send(vec![0; BATCH_BYTES]);
        assert!(is_woken().await.is_ok(), "the writer takes no more at a time");
    }

    #[tokio::test]
    async fn who_waits_for_the_client_to_read_has_sent_what_it_is_to_read() {
        let outbox = outbox();
        outbox.cork();
        outbox.send(vec![0; 200]);
        let writer = async { frames(outbox.next().await) };
        let waiting = async {
            outbox.below_limit().await;
        };
        tokio::pin!(waiting);
        let written = tokio::select! {
            biased;
            () = &mut waiting => panic!("nothing is written"),
            written = writer => written,
        };
        assert_eq!(written, [vec![0; 200]]);
        assert!(!outbox.lock().corked);
    }

    #[tokio::test]
    async fn closing_happens_after_what_is_queued() {
        let outbox = outbox();
        outbox.send(vec![1]);
        outbox.close(Closing::SERVER_SHUTDOWN);
        outbox.send(vec![2]);
        assert_eq!(frames(outbox.next().await), [vec![1]]);
        assert_eq!(outbox.next().await, Next::Close(Closing::SERVER_SHUTDOWN));
    }

    #[tokio::test]
    async fn a_flush_is_done_when_the_writer_asks_for_more() {
        let outbox = outbox();
        assert!(outbox.is_flushed() && !outbox.has_unsent());
        outbox.ask_flush();
        assert!(!outbox.is_flushed() && outbox.has_unsent());
        assert_eq!(frames(outbox.next().await), Vec::<Vec<u8>>::new());
        assert!(!outbox.is_flushed(), "the writer is at it");
        // One that is asked for meanwhile is another one.
        outbox.ask_flush();
        assert_eq!(outbox.next_at_once(), Some(Next::Frames(Vec::new())));
        assert!(!outbox.is_flushed());
        assert_eq!(outbox.next_at_once(), None);
        assert!(outbox.is_flushed());
        outbox.flushed().await;
    }
}
