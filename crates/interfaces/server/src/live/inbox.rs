use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tandem_record::row::Row;

/// Commits that wait to be applied to one query; beyond it the query is run
/// again.
const OFFERED_COMMITS: usize = 64;

/// Bytes of rows in them.
const OFFERED_BYTES: usize = 256 << 10;

/// A change of a record that the query matches before or after; each side is
/// there only if it matches.
#[derive(Clone, Debug)]
pub(super) struct MatchedChange {
    pub(super) key: Bytes,
    pub(super) before: Option<Row>,
    pub(super) after: Option<Row>,
}

/// The changes of one commit that matter to a query.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) revision: u64,
    pub(super) changes: Vec<MatchedChange>,
}

/// What happened to a query that nobody has looked at yet.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) offered: VecDeque<Offered>,
    bytes: usize,
    /// What happened is not known in full.
    pub(super) stale: bool,
    /// The newest revision that it heard of.
    pub(super) newest: u64,
}

/// See [`News`]. Bounded: who does not look finds a query to run again.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<News>);

impl Inbox {
    pub(super) fn offer(&self, offered: Offered) {
        let mut news = self.lock();
        news.newest = news.newest.max(offered.revision);
        if news.stale {
            return;
        }
        let side = |row: &Option<Row>| row.as_ref().map_or(0, |row| row.bytes().len());
        let bytes = |change: &MatchedChange| side(&change.before) + side(&change.after);
        news.bytes += offered.changes.iter().map(bytes).sum::<usize>();
        news.offered.push_back(offered);
        if news.offered.len() > OFFERED_COMMITS || news.bytes > OFFERED_BYTES {
            news.forget();
        }
    }

    /// Something happened up to `revision` that cannot be applied.
    pub(super) fn stale(&self, revision: u64) {
        let mut news = self.lock();
        news.newest = news.newest.max(revision);
        news.forget();
    }

    pub(super) fn take(&self) -> News {
        let mut news = self.lock();
        let newest = news.newest;
        std::mem::replace(&mut *news, News { newest, ..News::default() })
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    fn forget(&mut self) {
        self.stale = true;
        self.offered = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_what_nobody_takes_is_forgotten_and_the_query_run_again() {
        let inbox = Inbox::default();
        for revision in 1..=OFFERED_COMMITS as u64 {
            inbox.offer(Offered { revision, changes: Vec::new() });
        }
        inbox.offer(Offered { revision: 99, changes: Vec::new() });
        inbox.offer(Offered { revision: 100, changes: Vec::new() });
        let news = inbox.take();
        assert!(news.stale && news.offered.is_empty() && news.newest == 100);
        inbox.offer(Offered { revision: 101, changes: Vec::new() });
        assert_eq!(inbox.take().offered.len(), 1);
    }
}
