use std::collections::VecDeque;

use tandem_base::{Code, Result};
use tandem_record::Records;
use tandem_record::row::Row;
use tandem_transaction::Transaction;

use crate::execute::{Examined, Found};
use crate::plan::Served;
use crate::query::Query;
use crate::read::{Place, Prepared, Start};

/// A portion of a stream ends with the row, or the group of equal sort values,
/// that brings it to this many bytes.
pub(crate) const PORTION_BYTES: usize = 1 << 20;

/// How many rows are read at once to be skipped.
const SKIP_ROWS: usize = 1_024;

/// A query read piece by piece, with bounded memory.
///
/// Between two chunks it holds the place that it has come to and nothing of
/// the transaction, so the transaction may be used for other things: each
/// chunk goes on with what then comes later in the order. What has been read
/// ahead is held: the rest of a group of equal sort values, or the whole
/// result where no index has the order asked for (bounded by
/// [`sort_rows`](crate::QueryLimits::sort_rows) and
/// [`sort_bytes`](crate::QueryLimits::sort_bytes)).
#[derive(Debug)]
pub struct Stream {
    query: Query,
    skip: usize,
    left: Option<usize>,
    place: Option<Place>,
    ahead: VecDeque<Found>,
    /// The natural order has to be read as it is: too much to sort.
    only_natural: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Reading,
    /// Everything is in `ahead`, or was.
    Done,
}

impl Stream {
    /// A stream over the rows of `query`.
    #[must_use]
    pub fn new(mut query: Query) -> Self {
        // Nothing is answered at once, so only what is held to sort is bounded.
        query.limits.result_rows = query.limits.result_rows.max(query.limits.sort_rows);
        query.limits.result_bytes = query.limits.result_bytes.max(query.limits.sort_bytes);
        Self {
            skip: query.offset,
            left: query.limit,
            query,
            place: None,
            ahead: VecDeque::new(),
            only_natural: false,
            state: State::Fresh,
        }
    }

    /// The next rows, at most `n`, fewer when they are large; none when the
    /// stream is at its end.
    ///
    /// # Errors
    /// As [`rows`](crate::rows); the stream can be asked again.
    pub fn next_chunk(
        &mut self,
        records: &Records,
        tx: &mut Transaction,
        n: usize,
    ) -> Result<Vec<Row>> {
        let n = self.left.map_or(n, |left| left.min(n));
        loop {
            let skipped = self.skip.min(self.ahead.len());
            self.ahead.drain(..skipped);
            self.skip -= skipped;
            let enough = self.skip == 0 && (self.ahead.len() >= n || self.is_large());
            if enough || self.state == State::Done {
                break;
            }
            let missing = n.saturating_add(self.skip) - self.ahead.len();
            let wanted = missing.min(SKIP_ROWS.max(n));
            tx.read_statement(|tx| self.read_ahead(records, tx, wanted))?;
        }
        let rows: Vec<Row> =
            self.ahead.drain(..n.min(self.ahead.len())).map(|found| found.row).collect();
        if let Some(left) = &mut self.left {
            *left -= rows.len();
        }
        Ok(rows)
    }

    /// Whether what has been read ahead is a portion by its bytes.
    fn is_large(&self) -> bool {
        let mut bytes = 0;
        self.ahead.iter().any(|found| {
            bytes += found.bytes();
            bytes >= PORTION_BYTES
        })
    }

    fn read_ahead(&mut self, records: &Records, tx: &Transaction, wanted: usize) -> Result<()> {
        let prepared = Prepared::new(records, tx, &self.query, false)?;
        if self.state == State::Fresh {
            self.place = match prepared.start(tx)? {
                Start::Beginning => None,
                Start::After(place) => Some(place),
                Start::Nowhere => {
                    self.state = State::Done;
                    return Ok(());
                }
            };
        }
        let place = self.place.as_ref();
        let mut examined = Examined::default();
        // What is still to come in all decides the plan; a chunk is only a
        // part of it.
        let all = self.left.map(|left| left.saturating_add(self.skip));
        let mut plan = prepared.plan(tx, all, true, place)?;
        if plan.served == Served::Unordered && !self.only_natural {
            match prepared.collect(tx, &plan, all, false, place, &mut examined) {
                Ok(found) => {
                    self.ahead.extend(found);
                    self.state = State::Done;
                    return Ok(());
                }
                Err(error) if error.code() == Code::LimitExceeded && self.query.sort.is_empty() => {
                    self.only_natural = true;
                }
                Err(error) => return Err(error),
            }
        }
        if self.only_natural
            && let Some(natural) = prepared.natural_plan(place)
        {
            plan = natural;
        }
        let found = prepared.collect(tx, &plan, Some(wanted), true, place, &mut examined)?;
        let bytes: usize = found.iter().map(Found::bytes).sum();
        let is_portion = found.len() >= wanted || bytes >= PORTION_BYTES;
        self.state = if is_portion { State::Reading } else { State::Done };
        if let Some(last) = found.last() {
            self.place =
                Some(Place { order: last.order.clone(), primary_key: last.primary_key.clone() });
        }
        self.ahead.extend(found);
        Ok(())
    }
}
