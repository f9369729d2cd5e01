use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::SplitStream;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::call::{Call, Reply, frame};
use super::interest::{After, Interest, unsubscribe};
use super::socket::{self, Socket};
use super::{Command, Drained, Status};
use crate::changes::{self, ChangeEvent, Pushed};
use crate::error::Error;
use crate::options::{Options, growing};

/// Frames that wait for the writer before further commands are left where they
/// are.
const WRITE_AHEAD: usize = 64;

/// The longest text of a commit that is kept for the next subscription that is told
/// the same.
const KEPT_TEXT: usize = 64 << 10;

/// Messages that are read one after the other when they are there: to wait for all
/// that can happen costs more than to read one.
const READ_AT_ONCE: usize = 32;

/// How long a close may take.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A connection that lasted this long was a good one: the next wait is short.
const GOOD: Duration = Duration::from_secs(5);

/// See the [module](super).
pub(crate) struct Driver {
    url: String,
    options: Options,
    commands: mpsc::UnboundedReceiver<Command>,
    closing: watch::Receiver<bool>,
    status: watch::Sender<Status>,
    drained: Arc<Drained>,
    /// Counts connections.
    session: u64,
    next_id: u64,
    /// Requests that are not sent, and until when they may wait.
    waiting: VecDeque<(Instant, Call)>,
    /// Requests that are not answered, by id, in the order of sending.
    pending: BTreeMap<u64, Pending>,
    interests: BTreeMap<u64, Interest>,
    /// Subscriptions for which something may be due, or all of them: looking
    /// through all for every push would be quadratic.
    touched: Vec<u64>,
    touched_all: bool,
    /// When the next of them is to be asked for again.
    next_retry: Option<Instant>,
    by_remote: HashMap<String, u64>,
    /// Frames for the writer.
    out: VecDeque<Message>,
    /// The text of the last commit that was pushed, and what it says.
    last_commit: Option<(String, ChangeEvent)>,
}

enum Pending {
    Call(Call),
    Interest(u64),
    /// An `unsubscribe`, whose answer says nothing new.
    Farewell,
}

/// Why a connection, or the wait for one, ended.
enum Ended {
    Lost,
    /// For good.
    Refused(Error),
    /// The client was closed or dropped.
    Closed,
}

impl Driver {
    pub(crate) fn new(
        url: String,
        options: Options,
        commands: mpsc::UnboundedReceiver<Command>,
        closing: watch::Receiver<bool>,
        status: watch::Sender<Status>,
        drained: Arc<Drained>,
    ) -> Self {
        Self {
            url,
            options,
            commands,
            closing,
            status,
            drained,
            session: 0,
            next_id: 1,
            waiting: VecDeque::new(),
            pending: BTreeMap::new(),
            interests: BTreeMap::new(),
            touched: Vec::new(),
            touched_all: false,
            next_retry: None,
            by_remote: HashMap::new(),
            out: VecDeque::new(),
            last_commit: None,
        }
    }

    pub(crate) async fn run(mut self, first: Socket) {
        let mut connected = Some(first);
        let mut failures = 0;
        let error = loop {
            let ended = match connected.take() {
                Some(socket) => {
                    let begun = Instant::now();
                    let ended = self.converse(socket).await;
                    failures = if begun.elapsed() > GOOD { 0 } else { failures + 1 };
                    self.disconnected();
                    ended
                }
                None => match self.connect_again(&mut failures).await {
                    Ok(socket) => {
                        connected = Some(socket);
                        continue;
                    }
                    Err(ended) => ended,
                },
            };
            match ended {
                Ended::Lost => {
                    self.status.send_replace(Status::Connecting);
                }
                Ended::Refused(error) => break error,
                Ended::Closed => break Error::closed("The client is closed"),
            }
        };
        self.finish(&error);
    }

    /// One connection to its end.
    async fn converse(&mut self, socket: Socket) -> Ended {
        let (sink, mut stream) = socket.split();
        let (writer, frames) = mpsc::channel(32);
        let mut writing = tokio::spawn(socket::write(sink, frames));
        self.session += 1;
        self.out.clear();
        self.touched_all = true;
        for (_, call) in std::mem::take(&mut self.waiting) {
            self.call(call);
        }
        self.status.send_replace(Status::Connected);
        let ended = self.exchange(&mut stream, &writer).await;
        // Lets the writer close the socket, and the server answer that.
        drop(writer);
        if matches!(ended, Ended::Closed) {
            let farewell = async {
                let _written = (&mut writing).await;
                while let Some(Ok(_)) = stream.next().await {}
            };
            let _late = timeout(CLOSE_WAIT, farewell).await;
        }
        writing.abort();
        ended
    }

    async fn exchange(
        &mut self,
        stream: &mut SplitStream<Socket>,
        writer: &mpsc::Sender<Message>,
    ) -> Ended {
        let mut heard = Instant::now();
        let mut probed = false;
        // Set anew when it is due, not with everything that is heard.
        let silence = sleep_until(heard + self.options.silence);
        tokio::pin!(silence);
        loop {
            self.attend();
            let retry = self.next_retry;
            tokio::select! {
                message = stream.next() => {
                    heard = Instant::now();
                    probed = false;
                    if let Some(ended) = self.read(message) {
                        return ended;
                    }
                    // What has come with it, before the look at everything else.
                    for _ in 0..READ_AT_ONCE {
                        let Some(message) = stream.next().now_or_never() else { break };
                        if let Some(ended) = self.read(message) {
                            return ended;
                        }
                    }
                }
                permit = writer.reserve(), if !self.out.is_empty() => match permit {
                    Ok(permit) => if let Some(frame) = self.out.pop_front() {
                        permit.send(frame);
                        self.hand_over(writer);
                    },
                    Err(_) => return Ended::Lost,
                },
                command = self.commands.recv(), if self.out.len() < WRITE_AHEAD => match command {
                    Some(command) => {
                        self.command(command);
                        while self.out.len() < WRITE_AHEAD
                            && let Ok(command) = self.commands.try_recv()
                        {
                            self.command(command);
                        }
                    }
                    None => return Ended::Closed,
                },
                () = told_to_close(&mut self.closing) => return Ended::Closed,
                () = self.drained.rung() => self.touched.extend(self.drained.take()),
                () = &mut silence => {
                    let patience = self.options.silence * if probed { 2 } else { 1 };
                    if Instant::now() < heard + patience {
                        silence.as_mut().reset(heard + patience);
                        continue;
                    }
                    if probed {
                        return Ended::Lost;
                    }
                    // The server's library answers it by itself.
                    self.out.push_front(Message::Ping(Vec::new().into()));
                    probed = true;
                    silence.as_mut().reset(heard + 2 * self.options.silence);
                }
                () = sleep_until(retry.unwrap_or(heard)), if retry.is_some() => {
                    self.touched_all = true;
                }
            }
        }
    }

    /// Hands over frames as long as the writer has room.
    fn hand_over(&mut self, writer: &mpsc::Sender<Message>) {
        while !self.out.is_empty()
            && let Ok(permit) = writer.try_reserve()
            && let Some(frame) = self.out.pop_front()
        {
            permit.send(frame);
        }
    }

    fn read(&mut self, message: Option<Result<Message, SocketError>>) -> Option<Ended> {
        match message {
            Some(Ok(Message::Text(text))) => {
                if self.commit(&text) {
                    return None;
                }
                match serde_json::from_str(&text) {
                    Ok(frame) => self.frame(frame),
                    // Nothing after it could be relied on.
                    Err(_) => return Some(Ended::Lost),
                }
                None
            }
            Some(Ok(Message::Close(Some(frame)))) if socket::is_final(&frame) => {
                let message = format!("Closed by the server: {} {}", frame.code, frame.reason);
                Some(Ended::Refused(Error::closed(message)))
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => Some(Ended::Lost),
            Some(Ok(_)) => None,
        }
    }

    fn frame(&mut self, mut frame: Value) {
        match frame["type"].as_str() {
            Some("result" | "error") => {
                let pending = frame["id"].as_u64().and_then(|id| self.pending.remove(&id));
                let is_result = frame["type"] == "result";
                let result = if is_result {
                    Ok(frame["data"].take())
                } else {
                    Err(Error::from_frame(&mut frame))
                };
                match pending {
                    Some(Pending::Call(call)) => {
                        let session = self.session;
                        call.answer(result.map(|data| Reply { data, session }));
                    }
                    Some(Pending::Interest(local)) => self.subscribed(local, result),
                    Some(Pending::Farewell) | None => {}
                }
            }
            Some("push") => self.push(&mut frame),
            Some("ping") => {
                let pong = format!("{{\"type\":\"pong\",\"timestamp\":{}}}", frame["timestamp"]);
                self.out.push_front(Message::text(pong));
            }
            _ => {}
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Call(call) => self.call(call),
            Command::Follow(local, interest) => self.follow(local, interest),
        }
    }

    fn follow(&mut self, local: u64, interest: Interest) {
        self.interests.insert(local, interest);
        self.touched.push(local);
    }

    /// Sends a request on the present connection.
    fn call(&mut self, call: Call) {
        if call.is_abandoned() && call.kind != "store.rollback" {
            return;
        }
        if call.session.is_some_and(|session| session != self.session) {
            return call.lost(false);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.out.push_back(Message::text(call.frame(id)));
        self.pending.insert(id, Pending::Call(call));
    }

    fn send(&mut self, kind: &str, fields: &Map<String, Value>, pending: Pending) {
        let id = self.next_id;
        self.next_id += 1;
        self.out.push_back(Message::text(frame(id, kind, fields)));
        self.pending.insert(id, pending);
    }

    // Subscriptions.

    /// Whatever is due for subscriptions.
    fn attend(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        if std::mem::take(&mut self.touched_all) {
            for local in self.interests.keys().copied().collect::<Vec<_>>() {
                self.attend_to(local);
            }
            self.next_retry =
                self.interests.values().filter_map(|interest| interest.retry_at).min();
        } else {
            for local in touched {
                self.attend_to(local);
            }
        }
    }

    fn attend_to(&mut self, local: u64) {
        let Some(interest) = self.interests.get_mut(&local) else { return };
        if interest.is_abandoned() || (!interest.deliver() && interest.over) {
            self.leave(local);
            self.interests.remove(&local);
            return;
        }
        if interest.paused && interest.has_room() {
            interest.paused = false;
        }
        if interest.is_due(Instant::now()) {
            interest.asked = true;
            interest.retry_at = None;
            let (kind, fields) = interest.request();
            self.send(kind, &fields, Pending::Interest(local));
        }
    }

    /// Ends a subscription with the server, if it has one.
    fn leave(&mut self, local: u64) {
        let remote = self.interests.get_mut(&local).and_then(|interest| interest.remote.take());
        if let Some(remote) = remote {
            self.by_remote.remove(&remote);
            self.send("store.unsubscribe", &unsubscribe(&remote), Pending::Farewell);
        }
    }

    fn subscribed(&mut self, local: u64, result: Result<Value, Error>) {
        let Some(interest) = self.interests.get_mut(&local) else {
            // Given up meanwhile.
            if let Ok(data) = result
                && let Some(remote) = data["subscriptionId"].as_str()
            {
                self.send("store.unsubscribe", &unsubscribe(remote), Pending::Farewell);
            }
            return;
        };
        interest.asked = false;
        self.touched.push(local);
        match result {
            Ok(data) => {
                interest.accepted(data);
                if let Some(remote) = interest.remote.clone() {
                    self.by_remote.insert(remote, local);
                }
            }
            Err(error) => {
                if interest.refused(error) {
                    self.interests.remove(&local);
                } else if interest.failures > 0 {
                    let wait = growing(
                        self.options.first_wait,
                        self.options.longest_wait,
                        interest.failures,
                    );
                    let at = Instant::now() + wait;
                    interest.retry_at = Some(at);
                    self.next_retry = Some(self.next_retry.map_or(at, |next| next.min(at)));
                }
            }
        }
    }

    fn push(&mut self, frame: &mut Value) {
        let remote = frame["subscriptionId"].as_str().unwrap_or_default();
        let Some(&local) = self.by_remote.get(remote) else { return };
        self.tell(local, |interest| interest.pushed(frame["data"].take()));
    }

    /// Takes the push of a commit. The text is the same for all who get all of it:
    /// it is read once. With 100 subscriptions on a socket a push took 11 µs of the
    /// client's processor time when it was read for each, and takes 2
    /// (docs/benchmarks.md). Whether it was one.
    fn commit(&mut self, frame: &str) -> bool {
        let Some((remote, data)) = changes::commit_text(frame) else { return false };
        let event = match &self.last_commit {
            Some((text, event)) if text == data => event.clone(),
            _ => {
                let Ok(value) = serde_json::from_str(data) else { return false };
                let Some(Pushed::Event(event)) = changes::read_event(value) else { return false };
                let is_small = data.len() <= KEPT_TEXT;
                self.last_commit = is_small.then(|| (data.to_owned(), event.clone()));
                event
            }
        };
        if let Some(&local) = self.by_remote.get(remote) {
            self.tell(local, |interest| interest.told(event));
        }
        true
    }

    /// Tells a subscription something.
    fn tell(&mut self, local: u64, with: impl FnOnce(&mut Interest) -> After) {
        let Some(interest) = self.interests.get_mut(&local) else { return };
        self.touched.push(local);
        match with(interest) {
            After::Nothing => {}
            After::Again => {
                if let Some(remote) = interest.remote.take() {
                    self.by_remote.remove(&remote);
                }
            }
            After::Pause => {
                interest.paused = true;
                self.leave(local);
            }
            After::Drop => {
                self.leave(local);
                self.interests.remove(&local);
            }
        }
    }

    // Between connections.

    /// Nothing of the connection is valid any more.
    fn disconnected(&mut self) {
        self.out.clear();
        self.by_remote.clear();
        for interest in self.interests.values_mut() {
            interest.remote = None;
            interest.asked = false;
        }
        let deadline = Instant::now() + self.options.request_wait;
        for (_, pending) in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Call(call) if call.is_repeatable() => {
                    self.waiting.push_back((deadline, call));
                }
                Pending::Call(call) => call.lost(true),
                Pending::Interest(_) | Pending::Farewell => {}
            }
        }
    }

    async fn connect_again(&mut self, failures: &mut u32) -> Result<Socket, Ended> {
        loop {
            if *failures > 0 {
                let (first, longest) = (self.options.first_wait, self.options.longest_wait);
                self.meanwhile(sleep(growing(first, longest, *failures))).await?;
            }
            let (url, options) = (self.url.clone(), self.options.clone());
            match self.meanwhile(socket::connect(&url, &options)).await? {
                Ok(socket) => return Ok(socket),
                Err(failed) if failed.is_final => return Err(Ended::Refused(failed.error)),
                Err(_) => *failures += 1,
            }
        }
    }

    /// Polls `work` and keeps the commands meanwhile.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::pin!(work);
        loop {
            let now = Instant::now();
            while self.waiting.front().is_some_and(|(deadline, _)| *deadline <= now) {
                if let Some((_, call)) = self.waiting.pop_front() {
                    call.answer(Err(Error::not_connected("There is no connection")));
                }
            }
            let next = self.waiting.front().map(|(deadline, _)| *deadline);
            tokio::select! {
                done = &mut work => return Ok(done),
                command = self.commands.recv() => match command {
                    Some(Command::Call(call)) if call.session.is_some() => call.lost(false),
                    Some(Command::Call(call)) => {
                        self.waiting.push_back((now + self.options.request_wait, call));
                    }
                    Some(Command::Follow(local, interest)) => self.follow(local, interest),
                    None => return Err(Ended::Closed),
                },
                () = told_to_close(&mut self.closing) => return Err(Ended::Closed),
                () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
        }
    }

    /// Tells everybody that there will be no other connection.
    fn finish(mut self, error: &Error) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Call(call) = command {
                call.answer(Err(error.clone()));
            }
        }
        for (_, call) in self.waiting {
            call.answer(Err(error.clone()));
        }
        for interest in self.interests.into_values() {
            if let Some(created) = interest.created {
                let _abandoned = created.send(Err(error.clone()));
            }
        }
        self.status.send_replace(Status::Closed);
    }
}

/// Waits until the client is closed, or dropped.
async fn told_to_close(closing: &mut watch::Receiver<bool>) {
    let _dropped = closing.wait_for(|closing| *closing).await;
}
