use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};
use tandem::Store;
use tandem_base::{Code, Error, Result};
use tandem_query::{Applied, LiveQuery, LiveResult};

use super::LiveQueries;
use super::budget::Share;
use super::equality::Equality;
use super::inbox::{Inbox, MatchedChange, News, Offered};
use super::results::{LiveText, Results};
use crate::doorbell::Doorbell;
use crate::workers::{Class, Workers};

/// Why a query is over for its subscribers.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    BucketDropped,
    QueryUndefined,
    /// Its result is more than a read may answer, for the reason given.
    LimitExceeded(Error),
}

/// The limits of a read. An error that names another one, such as the number
/// of open transactions, says nothing about the result.
const OF_THE_RESULT: [&str; 5] = ["resultRows", "resultBytes", "sortRows", "sortBytes", "groups"];

impl Ending {
    /// Whether running the query answers this for good: until somebody asks
    /// anew.
    fn by(error: &Error) -> Option<Self> {
        match error.code() {
            Code::BucketNotDefined => Some(Self::BucketDropped),
            Code::QueryNotDefined => Some(Self::QueryUndefined),
            Code::LimitExceeded => {
                let limit = error.detail("limit").and_then(Value::as_str)?;
                OF_THE_RESULT.contains(&limit).then(|| Self::LimitExceeded(error.clone()))
            }
            _ => None,
        }
    }

    /// The push that says so.
    pub(crate) fn event(&self, bucket: &str) -> Value {
        let reason = match self {
            Self::BucketDropped => "bucket_dropped",
            Self::QueryUndefined => "query_undefined",
            Self::LimitExceeded(_) => "limit_exceeded",
        };
        let mut event = json!({ "event": "ended", "reason": reason, "bucket": bucket });
        if let Self::LimitExceeded(error) = self {
            for field in ["limit", "max", "actual"] {
                event[field] = error.detail(field).cloned().unwrap_or_default();
            }
        }
        event
    }
}

/// A distinct query that somebody subscribes to.
pub(crate) struct LiveEntry {
    pub(super) identity: String,
    name: String,
    /// The definition that it was bound to.
    config: Value,
    live: Arc<LiveQuery>,
    pub(super) equality: Option<Equality>,
    pub(super) inbox: Inbox,
    /// Held by whoever brings the result up to date; the others wait for it.
    state: tokio::sync::Mutex<State>,
    results: Mutex<Results>,
    subscribers: Mutex<BTreeMap<u64, Arc<Doorbell>>>,
    /// The last dispatched change that it was a candidate for.
    pub(super) mark: AtomicU64,
}

struct State {
    /// `None` = it has to be run.
    kept: Option<LiveResult>,
    /// There was no room to keep it.
    alone: bool,
    /// What it is a result of.
    revision: u64,
    /// The newest revision that it was told of.
    told: u64,
    /// The bucket that it is a result of; another one may get its name.
    bucket: Option<u32>,
    ended: Option<Ending>,
    share: Share,
}

/// Where a query stands for one of its subscribers.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Up to date; what is new is in [`results`](LiveEntry::results_after).
    Kept,
    /// There is no room to keep results: this is the newest, for this
    /// subscriber, at this revision.
    Alone(LiveText, u64),
    /// As before.
    Same,
    /// It is over.
    Ended(Ending),
}

impl LiveEntry {
    pub(super) fn new(
        identity: String,
        name: String,
        config: Value,
        live: LiveQuery,
        share: Share,
    ) -> Self {
        let equality = Equality::of(live.filter());
        let state = State {
            kept: None,
            alone: false,
            revision: 0,
            told: 0,
            bucket: None,
            ended: None,
            share,
        };
        Self {
            identity,
            name,
            config,
            live: Arc::new(live),
            equality,
            inbox: Inbox::default(),
            state: tokio::sync::Mutex::new(state),
            results: Mutex::default(),
            subscribers: Mutex::default(),
            mark: AtomicU64::new(0),
        }
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.live.query.bucket
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn live(&self) -> &LiveQuery {
        &self.live
    }

    /// What came after the result of that number, oldest first.
    pub(crate) fn results_after(&self, number: u64) -> Vec<LiveText> {
        self.results().after(number)
    }

    /// The newest result, if it is kept.
    pub(crate) fn newest(&self) -> Option<LiveText> {
        self.results().newest().cloned()
    }

    /// Brings the result up to date with what was offered, for a subscriber
    /// that has seen everything up to `seen_at`. Whoever comes first does the
    /// work; if they go away meanwhile, whoever comes next.
    ///
    /// # Errors
    /// What running the query answers; it stays due.
    pub(crate) async fn advance(
        &self,
        queries: &LiveQueries,
        store: &Store,
        workers: &Workers,
        seen_at: Option<u64>,
    ) -> Result<Standing> {
        let mut state = self.state.lock().await;
        if let Some(ending) = &state.ended {
            return Ok(Standing::Ended(ending.clone()));
        }
        let News { offered, stale, newest, .. } = self.inbox.take();
        state.told = state.told.max(newest);
        if state.has_run() {
            if stale {
                state.kept = None;
            }
            if state.kept.is_some() && self.apply(&mut state, &offered, queries) {
                return Ok(Standing::Kept);
            }
            if state.alone && !stale && seen_at.is_some_and(|seen_at| seen_at >= state.told) {
                return Ok(Standing::Same);
            }
        }
        // It has to be run, by the next one if this future is dropped.
        (state.kept, state.alone) = (None, false);
        let (revision, (bucket, result)) = match self.run(queries, store, workers).await {
            Ok(ran) => ran,
            Err(error) => {
                let Some(ending) = Ending::by(&error) else { return Err(error) };
                let is_defined = !matches!(ending, Ending::QueryUndefined);
                let ended = self.end(&mut state, queries, ending);
                // Who has not had a result is told why there is none; defined
                // anew, there may be one.
                return if seen_at.is_none() && is_defined { Err(error) } else { Ok(ended) };
            }
        };
        if state.bucket.replace(bucket).is_some_and(|before| before != bucket) {
            return Ok(self.end(&mut state, queries, Ending::BucketDropped));
        }
        state.revision = revision;
        state.told = state.told.max(revision);
        Ok(self.keep(&mut state, queries, result))
    }

    /// Applies commits to the kept result; whether that was enough.
    fn apply(&self, state: &mut State, offered: &VecDeque<Offered>, queries: &LiveQueries) -> bool {
        for Offered { revision, changes } in offered {
            // Running it has seen more than it was told of.
            if *revision <= state.revision {
                continue;
            }
            let Some(result) = &mut state.kept else { return false };
            let mut applied = Applied::Unchanged;
            for MatchedChange { key, before, after } in changes {
                queries.counters.changes_applied.add(1);
                let change = result.apply(&self.live, key, before.as_ref(), after.as_ref());
                applied = applied.max(change);
                if applied == Applied::Stale {
                    return false;
                }
            }
            state.revision = *revision;
            if applied == Applied::Changed {
                let text = Bytes::from(result.to_json_text());
                self.publish(queries, text);
                let needed = result.bytes() + self.results().bytes();
                if !state.share.resize(needed) {
                    // It has outgrown what there is.
                    return false;
                }
            }
        }
        true
    }

    /// Keeps what the query answered, if there is room.
    fn keep(&self, state: &mut State, queries: &LiveQueries, result: LiveResult) -> Standing {
        let text = Bytes::from(result.to_json_text());
        queries.counters.results_encoded.add(1);
        let fingerprint = queries.fingerprints.of(&text);
        let mut results = self.results();
        let is_new = results.newest().is_none_or(|newest| newest.fingerprint != fingerprint);
        let needed = result.bytes() + results.bytes() + if is_new { text.len() } else { 0 };
        if state.share.resize(needed) {
            state.kept = Some(result);
            if is_new {
                results.publish(text, fingerprint);
            }
            return Standing::Kept;
        }
        state.alone = true;
        let text = results.pass(text, fingerprint);
        state.share.resize(0);
        Standing::Alone(text, state.revision)
    }

    fn publish(&self, queries: &LiveQueries, text: Bytes) {
        queries.counters.results_encoded.add(1);
        let fingerprint = queries.fingerprints.of(&text);
        let mut results = self.results();
        if results.newest().is_none_or(|newest| newest.fingerprint != fingerprint) {
            results.publish(text, fingerprint);
        }
    }

    async fn run(
        &self,
        queries: &LiveQueries,
        store: &Store,
        workers: &Workers,
    ) -> Result<(u64, (u32, LiveResult))> {
        queries.counters.queries_run.add(1);
        let (store, live) = (store.clone(), self.live.clone());
        let (name, config) = (self.name.clone(), self.config.clone());
        let work = move || {
            store.read_at(|records, tx| {
                // Defined otherwise, it is another query.
                if records.catalog(tx)?.query(&name)?.config != config {
                    let text = format!("Query \"{name}\" was defined anew");
                    return Err(
                        Error::new(Code::QueryNotDefined, text).with("query", name.as_str())
                    );
                }
                let bucket = records.catalog(tx)?.bucket(&live.query.bucket)?.id;
                Ok((bucket, LiveResult::run(records, tx, &live)?))
            })
        };
        workers.run(Class::Read, work).await
    }

    fn end(&self, state: &mut State, queries: &LiveQueries, ending: Ending) -> Standing {
        queries.retire(self);
        state.ended = Some(ending.clone());
        state.kept = None;
        self.results().forget();
        state.share.resize(0);
        // Whoever comes to an end first found out for all.
        self.ring();
        Standing::Ended(ending)
    }

    /// Tells all subscribers that there is something to do.
    pub(super) fn ring(&self) {
        for (subscription, doorbell) in self.subscribers().iter() {
            doorbell.ring(*subscription);
        }
    }

    pub(super) fn join(&self, subscription: u64, doorbell: Arc<Doorbell>) {
        self.subscribers().insert(subscription, doorbell);
    }

    /// Whether it was the last one.
    pub(super) fn leave(&self, subscription: u64) -> bool {
        let mut subscribers = self.subscribers();
        subscribers.remove(&subscription);
        subscribers.is_empty()
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribers(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Doorbell>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_run(&self) -> bool {
        self.kept.is_some() || self.alone
    }
}
