use std::sync::Arc;

use serde_json::{Map, Value};
use tandem_base::{Random, SystemRandom};
use tokio::sync::oneshot;

use crate::bucket::Bucket;
use crate::changes::{Changes, ChangesOptions};
use crate::connection::{Call, Command, Link, Reply, Status};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::query::Query;

/// A connection to a server; clones share it. It is closed when the last clone
/// and everything made from it is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) link: Arc<Link>,
}

impl Client {
    /// Connects to `ws://host:port/path`, with the default [`Options`].
    ///
    /// # Errors
    /// [`CONNECTION_LOST`](crate::CONNECTION_LOST) when the server cannot be
    /// reached; [`INVALID_ANSWER`](crate::INVALID_ANSWER) when it is not one of
    /// Tandem.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, Options::default()).await
    }

    /// Connects with options.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, options: Options) -> Result<Self> {
        Ok(Self { link: Arc::new(Link::open(url, options).await?) })
    }

    /// The requests of one bucket, each a transaction of its own.
    #[must_use]
    pub fn bucket(&self, name: impl Into<String>) -> Bucket {
        Bucket::new(Door::of(self.clone()), name.into())
    }

    /// Any request by its type and fields; answers its `data`. If it holds a
    /// transaction's handle, use [`Transaction::request`](crate::Transaction::request)
    /// instead: a handle means nothing on a later connection.
    ///
    /// # Errors
    /// What the server answers; [`CONNECTION_LOST`](crate::CONNECTION_LOST);
    /// `CLOSED`.
    pub async fn request(&self, kind: &str, fields: Value) -> Result<Value> {
        Door::of(self.clone()).request(kind, fields).await
    }

    /// Follows a stored query: its result now, and whenever it changes.
    ///
    /// # Errors
    /// `QUERY_NOT_DEFINED`, `BUCKET_NOT_DEFINED`, `RATE_LIMITED`, and as
    /// [`request`](Self::request).
    pub async fn subscribe(&self, query: &str, params: Option<Value>) -> Result<Query> {
        Query::start(self.clone(), query, params).await
    }

    /// Follows the changes of buckets, commit by commit.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`, `RATE_LIMITED`, `RESYNC_REQUIRED` when the change
    /// log does not reach back to the asked revision, and as
    /// [`request`](Self::request).
    pub async fn changes(&self, options: ChangesOptions) -> Result<Changes> {
        Changes::start(self.clone(), options).await
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.link.status()
    }

    /// Waits until the status is another one than `than`.
    pub async fn status_change(&self, than: Status) -> Status {
        self.link.status_change(than).await
    }

    /// Closes the connection: what is not sent fails with `CLOSED`, what is not
    /// answered with [`CONNECTION_LOST`](crate::CONNECTION_LOST), subscriptions
    /// end, open transactions are rolled back by the server.
    pub async fn close(&self) {
        self.link.close().await;
    }

    pub(crate) fn options(&self) -> &Options {
        &self.link.options
    }
}

/// What a request goes through: the client, and the transaction if there is
/// one.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) client: Client,
    pub(crate) within: Option<Arc<Within>>,
}

/// A transaction's handle, and the connection on which it means something.
#[derive(Debug)]
pub(crate) struct Within {
    pub(crate) handle: String,
    pub(crate) session: u64,
}

impl Door {
    pub(crate) fn of(client: Client) -> Self {
        Self { client, within: None }
    }

    pub(crate) async fn request(&self, kind: &str, fields: Value) -> Result<Value> {
        self.reply(kind, fields).await.map(|reply| reply.data)
    }

    pub(crate) async fn reply(&self, kind: &str, fields: Value) -> Result<Reply> {
        let Value::Object(mut fields) = fields else {
            return Err(Error::invalid_request("The fields of a request are an object"));
        };
        if let Some(within) = &self.within {
            fields.insert("transaction".to_owned(), within.handle.as_str().into());
        }
        let session = self.within.as_ref().map(|within| within.session);
        self.client.call(kind, Arc::new(fields), session).await
    }
}

impl Client {
    pub(crate) async fn call(
        &self,
        kind: &str,
        fields: Arc<Map<String, Value>>,
        session: Option<u64>,
    ) -> Result<Reply> {
        let room = self.link.room.clone().acquire_owned().await.ok();
        let (reply, answered) = oneshot::channel();
        let kind = kind.to_owned();
        self.link.send(Command::Call(Call { kind, fields, session, reply, _room: room }));
        answered.await.unwrap_or_else(|_| Err(Error::closed("The client is closed")))
    }
}

/// A name that nobody has used before.
pub(crate) fn unique_name() -> String {
    format!("{:032x}", SystemRandom.next_u128())
}
