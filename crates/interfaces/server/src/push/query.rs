use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout;

use super::{CUT_AFTER, Turn, event};
use crate::frame;
use crate::limits::HeldName;
use crate::live::{LiveSubscription, LiveText, Standing};
use crate::outbox::Outbox;
use crate::shared::Shared;

/// A subscribed query.
pub(crate) struct Watched {
    live: LiveSubscription,
    _name: HeldName,
    /// The number and the fingerprint of the last result that was sent.
    seen: u64,
    last: u128,
    /// The revision that it was evaluated at for this subscriber alone.
    seen_at: u64,
}

impl Watched {
    /// A query whose result `first` has been answered, at the revision
    /// `seen_at` if nobody else has it.
    pub(crate) fn new(
        live: LiveSubscription,
        name: HeldName,
        first: &LiveText,
        seen_at: u64,
    ) -> Self {
        Self { live, _name: name, seen: first.number, last: first.fingerprint, seen_at }
    }

    /// Sends the results that have come since the last turn.
    pub(super) async fn push(&mut self, id: u64, shared: &Arc<Shared>, outbox: &Outbox) -> Turn {
        let entry = self.live.entry().clone();
        let (queries, store) = (&shared.feed.queries, &shared.store);
        let advanced = entry.advance(queries, store, &shared.workers, Some(self.seen_at)).await;
        let results = match advanced {
            Ok(Standing::Kept) => entry.results_after(self.seen),
            Ok(Standing::Alone(result, revision)) => {
                self.seen_at = revision;
                vec![result]
            }
            Ok(Standing::Same) => Vec::new(),
            Ok(Standing::Ended(ending)) => {
                let end = event(&ending.event(entry.bucket()));
                outbox.forget(id);
                outbox.send(frame::shared_push("subscription", id, end));
                return Turn::Ended;
            }
            Err(error) => {
                // It is still due; the next try may find it well again.
                tracing::warn!(subscription = id, %error, "a subscribed query failed");
                return Turn::Failed;
            }
        };
        for LiveText { number, text, fingerprint } in results {
            self.seen = number;
            if std::mem::replace(&mut self.last, fingerprint) == fingerprint {
                continue;
            }
            if !send(id, text, shared, outbox).await {
                return Turn::Overflow;
            }
        }
        Turn::Done
    }
}

/// Whether the client takes it.
async fn send(id: u64, text: Bytes, shared: &Arc<Shared>, outbox: &Outbox) -> bool {
    let counters = &shared.feed.queries.counters;
    counters.pushes.add(1);
    let pushed = match outbox.push_newest(id, frame::shared_push("subscription", id, text)) {
        Ok(replaced) => Ok(replaced),
        Err(push) => {
            // Above the limit: the client gets a moment to catch up.
            let _in_time = timeout(CUT_AFTER, outbox.below_limit()).await;
            outbox.push_newest(id, push)
        }
    };
    counters.coalesced.add(usize::from(pushed == Ok(true)));
    pushed.is_ok()
}
