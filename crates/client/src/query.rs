use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::changes::follow;
use crate::client::Client;
use crate::connection::Subject;
use crate::error::{Error, Result};

/// One thing that a query subscription has to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueryEvent {
    /// The whole result, as it is now. Results that the reader is too slow for
    /// are left out; the newest always comes.
    Result(Value),
    /// The query, or its bucket, is not there any more; or the server refuses
    /// to go on for this reason, such as `LIMIT_EXCEEDED` for a result that has
    /// become larger than a read may answer. The stream ends.
    Ended(Option<Error>),
}

/// The result of a stored query, whenever it changes; first the one of now.
/// Dropping it ends the subscription.
///
/// A [`Stream`]; [`next`](Self::next) is the same without an extension trait.
/// After a lost connection the newest result comes again, even if it is the
/// same one.
#[derive(Debug)]
pub struct Query {
    client: Client,
    /// What the driver knows it by.
    number: u64,
    events: mpsc::Receiver<QueryEvent>,
}

impl Query {
    pub(crate) async fn start(client: Client, query: &str, params: Option<Value>) -> Result<Self> {
        // One waits to be taken; the newest waits behind it.
        let (events, receiver) = mpsc::channel(1);
        let mut fields = Map::new();
        fields.insert("query".to_owned(), query.into());
        if let Some(params) = params {
            fields.insert("params".to_owned(), params);
        }
        let subject = Subject::Query { fields, events, held: None };
        let (number, _) = follow(&client, subject).await?;
        Ok(Self { client, number, events: receiver })
    }

    /// The next event; `None` when the client is closed or after
    /// [`QueryEvent::Ended`]. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<QueryEvent> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<QueryEvent>> {
        let event = std::task::ready!(self.events.poll_recv(context));
        self.client.link.drained.ring(self.number);
        Poll::Ready(event)
    }
}

impl Stream for Query {
    type Item = QueryEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<QueryEvent>> {
        self.get_mut().poll_event(context)
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        self.events.close();
        self.client.link.drained.ring(self.number);
    }
}
