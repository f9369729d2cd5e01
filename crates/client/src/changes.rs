use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::client::Client;
use crate::connection::{Command, Interest, Subject};
use crate::error::{Error, Result};

/// Which changes are followed, and from where.
#[derive(Clone, Debug, Default)]
pub struct ChangesOptions {
    buckets: Vec<String>,
    topic: Option<String>,
    filter: Option<Value>,
    from: Option<u64>,
    include_initial: bool,
}

impl ChangesOptions {
    /// Every bucket, from now on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this bucket, and others that are named in the same way.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.buckets.push(bucket.into());
        self
    }

    /// Only changes that the topic covers, such as `bucket.users.inserted` or
    /// `bucket.*.deleted`; instead of buckets, and not with
    /// [`include_initial`](Self::include_initial).
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Only changes of records that match before or after.
    #[must_use]
    pub fn filter(mut self, filter: Value) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Every commit after this revision.
    #[must_use]
    pub fn from(mut self, revision: u64) -> Self {
        self.from = Some(revision);
        self
    }

    /// First the records that there are, then every later commit, without gap or
    /// overlap. Not with [`from`](Self::from). Initial records that are not read
    /// yet wait in memory.
    #[must_use]
    pub fn include_initial(mut self) -> Self {
        self.include_initial = true;
        self
    }

    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        if !self.buckets.is_empty() {
            fields.insert("buckets".to_owned(), json!(self.buckets));
        }
        if let Some(topic) = &self.topic {
            fields.insert("topic".to_owned(), json!(topic));
        }
        if let Some(filter) = &self.filter {
            fields.insert("filter".to_owned(), filter.clone());
        }
        fields
    }
}

/// One thing that a changes subscription has to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChangeEvent {
    /// One commit, with the net change of each record.
    Commit {
        /// Its number.
        revision: u64,
        /// In the order of the first write. Shared by the subscriptions of this
        /// client that are told the same.
        changes: Arc<[Change]>,
    },
    /// Records that there were at `revision`, as inserts, with
    /// [`ChangesOptions::include_initial`].
    Initial {
        /// The revision that they are of.
        revision: u64,
        /// Some of them.
        changes: Vec<Change>,
        /// Whether there are no others.
        last: bool,
    },
    /// Nothing matched up to here.
    Progress {
        /// The revision that was looked at last.
        revision: u64,
    },
    /// A bucket of the subscription was dropped; the others go on.
    BucketDropped {
        /// Its name.
        bucket: String,
        /// The commit that dropped it.
        revision: u64,
    },
    /// Commits up to `revision` are missing: the change log did not reach back
    /// to where the subscription stood. Read the data anew; what follows are
    /// the commits after `revision`, of which what is read may already have
    /// some. With initial records, also when the connection was lost before the
    /// last of them: forget what came, the records come again.
    Resync {
        /// From where the subscription goes on.
        revision: u64,
    },
    /// The server refuses to go on with the subscription, for this reason; the
    /// stream ends.
    Ended(Error),
}

impl ChangeEvent {
    /// Up to which revision the subscription has been told of everything.
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        match self {
            Self::Commit { revision, .. }
            | Self::Progress { revision }
            | Self::BucketDropped { revision, .. }
            | Self::Resync { revision }
            | Self::Initial { revision, last: true, .. } => Some(*revision),
            Self::Initial { .. } | Self::Ended(_) => None,
        }
    }
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is new: there is no `before`.
    Insert,
    /// It is another one.
    Update,
    /// It is gone: there is no `after`.
    Delete,
}

/// The net change of one record in one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The bucket.
    pub bucket: String,
    /// The record's key.
    pub key: Value,
    /// The record before the commit.
    pub before: Option<Value>,
    /// The record after it.
    pub after: Option<Value>,
    /// Whether it is still there, but no longer matches the subscription's
    /// filter. For who keeps the records that match, it has gone.
    pub left: bool,
}

/// The changes of a store, commit by commit, each once and in order, across
/// connections and restarts of the server. Dropping it ends the subscription.
///
/// A [`Stream`]; [`next`](Self::next) is the same without an extension trait.
#[derive(Debug)]
pub struct Changes {
    client: Client,
    /// What the driver knows it by.
    number: u64,
    events: mpsc::Receiver<ChangeEvent>,
    revision: u64,
}

impl Changes {
    pub(crate) async fn start(client: Client, options: ChangesOptions) -> Result<Self> {
        if options.include_initial && options.from.is_some() {
            return Err(Error::invalid_request(
                "\"from\" and \"include_initial\" exclude each other",
            ));
        }
        let (events, receiver) = mpsc::channel(client.options().buffered_events.max(2));
        let subject = Subject::Changes {
            fields: options.fields(),
            from: options.from,
            events,
            includes_initial: options.include_initial,
            resync: false,
            news: std::collections::VecDeque::new(),
        };
        let (number, answer) = follow(&client, subject).await?;
        let revision = answer["revision"].as_u64();
        let revision = revision.ok_or_else(|| Error::invalid_answer("No revision"))?;
        Ok(Self { client, number, events: receiver, revision: options.from.unwrap_or(revision) })
    }

    /// The next event; `None` when the client is closed or after
    /// [`ChangeEvent::Ended`]. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<ChangeEvent> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    /// Up to which revision events were taken out: from here a later
    /// subscription goes on ([`ChangesOptions::from`]), once the last of the
    /// initial records was taken out.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<ChangeEvent>> {
        let event = std::task::ready!(self.events.poll_recv(context));
        if let Some(event) = &event {
            self.revision = event.revision().unwrap_or(self.revision);
            // While less than half is taken, nobody waits for room: see
            // `Interest::has_room`.
            if self.events.capacity() <= self.events.max_capacity().div_ceil(2) {
                self.client.link.drained.ring(self.number);
            }
        }
        Poll::Ready(event)
    }
}

impl Stream for Changes {
    type Item = ChangeEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ChangeEvent>> {
        self.get_mut().poll_event(context)
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.events.close();
        self.client.link.drained.ring(self.number);
    }
}

/// Starts a subscription; answers its number, and what the server first says about
/// it.
pub(crate) async fn follow(client: &Client, subject: Subject) -> Result<(u64, Value)> {
    let (created, answered) = oneshot::channel();
    let number = client.link.next_interest();
    client.link.send(Command::Follow(number, Interest::new(subject, created)));
    let answer = answered.await.unwrap_or_else(|_| Err(Error::closed("The client is closed")));
    Ok((number, answer?))
}

/// A push of the channel `changes`.
pub(crate) enum Pushed {
    Event(ChangeEvent),
    /// The server has ended the subscription; it can be resumed.
    Over,
}

/// The subscription and the data of a push that tells of a commit, if the frame is
/// written as our servers write it; any other is read as JSON.
pub(crate) fn commit_text(frame: &str) -> Option<(&str, &str)> {
    let rest = frame.strip_prefix(r#"{"type":"push","channel":"changes","subscriptionId":""#)?;
    let (subscription, data) = rest.split_once(r#"","data":"#)?;
    let data = data.strip_suffix('}')?;
    data.starts_with(r#"{"revision":"#).then_some((subscription, data))
}

/// Reads one; `None` for an event of a later protocol.
pub(crate) fn read_event(mut data: Value) -> Option<Pushed> {
    let revision = data["revision"].as_u64();
    let event = match data.get("event").and_then(Value::as_str) {
        None => {
            let Value::Array(changes) = data["changes"].take() else { return None };
            let changes = changes.into_iter().filter_map(read_change);
            let revision = revision?;
            if data["initial"] == true {
                let last = data["last"] == true;
                ChangeEvent::Initial { revision, changes: changes.collect(), last }
            } else {
                ChangeEvent::Commit { revision, changes: changes.collect() }
            }
        }
        Some("progress") => ChangeEvent::Progress { revision: revision? },
        Some("bucketDropped") => ChangeEvent::BucketDropped {
            bucket: data["bucket"].as_str()?.to_owned(),
            revision: revision?,
        },
        Some("resync") => return Some(Pushed::Over),
        Some(_) => return None,
    };
    Some(Pushed::Event(event))
}

fn read_change(mut change: Value) -> Option<Change> {
    let kind = match change["type"].as_str()? {
        "insert" => ChangeKind::Insert,
        "update" => ChangeKind::Update,
        "delete" => ChangeKind::Delete,
        _ => return None,
    };
    Some(Change {
        kind,
        bucket: change["bucket"].as_str()?.to_owned(),
        key: change["key"].take(),
        before: change.get_mut("before").map(Value::take),
        after: change.get_mut("after").map(Value::take),
        left: change["left"] == true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_push_of_a_commit_is_told_from_others_by_its_text() {
        let head = r#"{"type":"push","channel":"changes","subscriptionId":"sub-7","data":"#;
        let commit = r#"{"revision":3,"changes":[]}"#;
        assert_eq!(commit_text(&format!("{head}{commit}}}")), Some(("sub-7", commit)));
        for other in [
            format!(r#"{head}{{"event":"progress","revision":3}}}}"#),
            format!(r#"{head}{{"initial":true,"revision":3,"changes":[],"last":true}}}}"#),
            format!(r#"{{"channel":"changes","type":"push","data":{commit}}}"#),
        ] {
            assert_eq!(commit_text(&other), None);
        }
    }
}
