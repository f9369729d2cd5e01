//! Subscriptions, as the driver keeps them: what is followed, how far it was
//! delivered, and what it is called on the present connection.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::changes::{self, ChangeEvent};
use crate::error::{Error, Result};
use crate::query::QueryEvent;

/// A subscription.
pub(crate) struct Interest {
    pub(crate) subject: Subject,
    /// Who asked for it, until the first answer.
    pub(crate) created: Option<oneshot::Sender<Result<Value>>>,
    /// Its name on the present connection.
    pub(crate) remote: Option<String>,
    /// A request for it is on its way.
    pub(crate) asked: bool,
    /// Left with the server until there is room.
    pub(crate) paused: bool,
    /// When to ask again, and how often that was in vain.
    pub(crate) retry_at: Option<Instant>,
    pub(crate) failures: u32,
    pub(crate) over: bool,
}

/// What is followed.
pub(crate) enum Subject {
    Query {
        fields: Map<String, Value>,
        events: mpsc::Sender<QueryEvent>,
        /// The newest result, while the one before it is not taken.
        held: Option<QueryEvent>,
    },
    Changes {
        fields: Map<String, Value>,
        /// The last revision that was delivered; none before it has a position.
        from: Option<u64>,
        events: mpsc::Sender<ChangeEvent>,
        includes_initial: bool,
        /// What came before is not continued: that is said first.
        resync: bool,
        /// What is said before any further commit, once there is room.
        news: VecDeque<ChangeEvent>,
    },
}

/// What the driver is to do after a push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// The server has ended it: ask again.
    Again,
    /// There is no room: end it with the server until there is.
    Pause,
    /// Nobody wants it, or it is over.
    Drop,
}

impl Interest {
    pub(crate) fn new(subject: Subject, created: oneshot::Sender<Result<Value>>) -> Self {
        Self {
            subject,
            created: Some(created),
            remote: None,
            asked: false,
            paused: false,
            retry_at: None,
            failures: 0,
            over: false,
        }
    }

    /// The request for it, from where it stands.
    pub(crate) fn request(&self) -> (&'static str, Map<String, Value>) {
        match &self.subject {
            Subject::Query { fields, .. } => ("store.subscribe", fields.clone()),
            Subject::Changes { fields, from, includes_initial, .. } => {
                let mut fields = fields.clone();
                if let Some(from) = from {
                    fields.insert("from".to_owned(), (*from).into());
                } else if *includes_initial {
                    fields.insert("includeInitial".to_owned(), true.into());
                }
                ("store.subscribeChanges", fields)
            }
        }
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match (&self.created, &self.subject) {
            (Some(created), _) => created.is_closed(),
            (None, Subject::Query { events, .. }) => events.is_closed(),
            (None, Subject::Changes { events, .. }) => events.is_closed(),
        }
    }

    /// Whether the server is to be asked for it now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.remote.is_none()
            && !self.asked
            && !self.paused
            && !self.over
            && self.retry_at.is_none_or(|at| at <= now)
    }

    /// The server has accepted it.
    pub(crate) fn accepted(&mut self, mut data: Value) {
        self.failures = 0;
        self.retry_at = None;
        self.remote = data["subscriptionId"].as_str().map(str::to_owned);
        match &mut self.subject {
            Subject::Query { held, .. } => *held = Some(QueryEvent::Result(data["data"].take())),
            Subject::Changes { from, includes_initial, resync, news, .. } => {
                let revision = data["revision"].as_u64().unwrap_or_default();
                if std::mem::take(resync) {
                    news.push_back(ChangeEvent::Resync { revision });
                }
                if from.is_none() && !*includes_initial {
                    *from = Some(revision);
                }
            }
        }
        if let Some(created) = self.created.take() {
            let _abandoned = created.send(Ok(data));
        }
        self.deliver();
    }

    /// The server has refused it. Whether it is over.
    pub(crate) fn refused(&mut self, error: Error) -> bool {
        if let Some(created) = self.created.take() {
            let _abandoned = created.send(Err(error));
            return true;
        }
        match (error.code(), &mut self.subject) {
            ("RESYNC_REQUIRED", Subject::Changes { from, resync, .. }) if from.is_some() => {
                *from = None;
                *resync = true;
                false
            }
            // The limits count the lost connection until the server notices.
            ("RATE_LIMITED" | "BACKPRESSURE" | "TIMEOUT", _) => {
                self.failures += 1;
                false
            }
            (_, Subject::Query { held, .. }) => {
                *held = Some(QueryEvent::Ended(Some(error)));
                self.over = true;
                !self.deliver()
            }
            (_, Subject::Changes { news, .. }) => {
                news.push_back(ChangeEvent::Ended(error));
                self.over = true;
                !self.deliver()
            }
        }
    }

    /// Something that the server has to say about it.
    pub(crate) fn pushed(&mut self, data: Value) -> After {
        match &mut self.subject {
            Subject::Query { held, .. } => {
                let event = data.get("event").and_then(Value::as_str);
                match event {
                    Some("resync") => return After::Again,
                    Some("ended") => {
                        *held = Some(QueryEvent::Ended(Error::from_ending(data)));
                        self.over = true;
                        self.remote = None;
                    }
                    _ => *held = Some(QueryEvent::Result(data)),
                }
                if self.deliver() || !self.over { After::Nothing } else { After::Drop }
            }
            Subject::Changes { from, resync, news, .. } => {
                let Some(event) = changes::read_event(data) else { return After::Nothing };
                let event = match event {
                    changes::Pushed::Over => return After::Again,
                    changes::Pushed::Event(event) => event,
                };
                if let ChangeEvent::Initial { last, .. } = event {
                    // Half-way there is no position to go on from: it is kept.
                    *resync = !last;
                    *from = event.revision();
                    news.push_back(event);
                    self.deliver();
                    return After::Nothing;
                }
                self.told(event)
            }
        }
    }

    /// Commits went by, with or without something for it.
    pub(crate) fn told(&mut self, event: ChangeEvent) -> After {
        let Subject::Changes { from, events, news, .. } = &mut self.subject else {
            return After::Nothing;
        };
        if !news.is_empty() {
            return After::Pause;
        }
        let revision = event.revision();
        let is_progress = matches!(event, ChangeEvent::Progress { .. });
        match events.try_send(event) {
            Ok(()) => {
                *from = revision.or(*from);
                After::Nothing
            }
            // Only news: what comes next says it again.
            Err(mpsc::error::TrySendError::Full(_)) if is_progress => After::Nothing,
            Err(mpsc::error::TrySendError::Full(_)) => After::Pause,
            Err(mpsc::error::TrySendError::Closed(_)) => After::Drop,
        }
    }

    /// Delivers what waits for room. Whether something still waits.
    pub(crate) fn deliver(&mut self) -> bool {
        match &mut self.subject {
            Subject::Query { events, held, .. } => {
                if held.is_some()
                    && let Ok(permit) = events.try_reserve()
                    && let Some(event) = held.take()
                {
                    permit.send(event);
                }
                held.is_some()
            }
            Subject::Changes { events, news, .. } => {
                while !news.is_empty()
                    && let Ok(permit) = events.try_reserve()
                    && let Some(event) = news.pop_front()
                {
                    permit.send(event);
                }
                !news.is_empty()
            }
        }
    }

    /// Whether what was paused has room for a good many events again.
    pub(crate) fn has_room(&self) -> bool {
        match &self.subject {
            Subject::Query { .. } => true,
            Subject::Changes { events, .. } => events.capacity() * 2 >= events.max_capacity(),
        }
    }
}

/// The fields that end a subscription with the server.
pub(crate) fn unsubscribe(remote: &str) -> Map<String, Value> {
    match json!({ "subscriptionId": remote }) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
