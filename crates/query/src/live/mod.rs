//! A result that follows the commits.
//!
//! A [`LiveResult`] is what a query answered at one revision, kept in a form
//! that the changes of later commits can be applied to. Applying a change gives
//! the result that running the query anew would give, or says that it cannot be
//! known ([`Applied::Stale`]): then it is run anew. There is no third outcome.
//!
//! | query | kept | stale when |
//! |---|---|---|
//! | all that match | every row's text, in order | they are more than a read may answer |
//! | the first n, from an offset | some rows more than are shown, up to a *bound* | too many of them are gone, or they are more than a read may answer |
//! | count, sum, avg | the accumulator | a double is taken out |
//! | min, max | the extreme | it is taken out |
//! | groups | an accumulator each, and the place of its first record | that record leaves a group that stays, or one of the above |
//!
//! ```text
//! rows in order   a b c d e f g h i …        shown: limit 3, offset 1 = b c d
//! kept            a b c d e f │              bound = f: everything up to it is kept
//! b is deleted    a   c d e f │              shown: c d e
//! bb comes        a bb c d e f│              shown: bb c d
//! x comes                     │ x            beyond the bound: nobody's business
//! ```
//! Nothing here reads storage or knows of subscribers; who owns the result
//! hands in each change of the bucket once, in the order of revisions.

mod numbers;
mod window;

use serde_json::Value;
use tandem_base::Result;
use tandem_record::Records;
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_record::value::Path;
use tandem_transaction::Transaction;

use crate::aggregate::{Function, GroupBy};
use crate::order::Order;
use crate::query::Query;

use numbers::Numbers;
use window::Window;

/// What is followed: a query, or numbers about the records that match it.
#[derive(Clone, Debug)]
pub struct LiveQuery {
    /// Bucket, filter, sort, limit, offset and fields. With an aggregate only
    /// the first two are looked at; `after` and `hint` never are.
    pub query: Query,
    /// What is computed of the records.
    pub aggregate: Option<LiveAggregate>,
}

/// A number, or one per group.
#[derive(Clone, Debug)]
pub enum LiveAggregate {
    /// One number about all records that match.
    One {
        /// What is computed.
        function: Function,
        /// Of which field; a count needs none.
        field: Option<Path>,
    },
    /// One number per group.
    Groups(GroupBy),
}

/// What became of a result by a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Applied {
    /// It is what it was.
    Unchanged,
    /// It may be another one.
    Changed,
    /// It is of no use any more: run the query again.
    Stale,
}

/// The result of a subscribed query, kept up with what commits change.
#[derive(Clone, Debug)]
pub struct LiveResult {
    order: Order,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    Rows(Window),
    Numbers(Box<Numbers>),
}

impl LiveQuery {
    /// Whether the record is one of those that the query is about.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        self.query.filter.as_ref().is_none_or(|filter| filter.matches(row))
    }

    /// The filter, if there is one.
    #[must_use]
    pub fn filter(&self) -> Option<&Filter> {
        self.query.filter.as_ref()
    }
}

impl LiveResult {
    /// Runs the query, as one statement.
    ///
    /// # Errors
    /// As [`rows`](crate::rows), [`aggregate`](crate::aggregate()) and
    /// [`group_by`](crate::group_by()).
    pub fn run(records: &Records, tx: &mut Transaction, live: &LiveQuery) -> Result<Self> {
        tx.read_statement(|tx| {
            let bucket = records.bucket(tx, &live.query.bucket)?;
            let sort: &[_] = if live.aggregate.is_some() { &[] } else { &live.query.sort };
            let order = Order::new(&bucket, sort, false);
            let kept = match &live.aggregate {
                None => Kept::Rows(Window::run(records, tx, &live.query)?),
                Some(aggregate) => {
                    let numbers = Numbers::run(records, tx, &live.query, aggregate, &order)?;
                    Kept::Numbers(Box::new(numbers))
                }
            };
            Ok(Self { order, kept })
        })
    }

    /// Applies one change of a record of the bucket. `before` and `after` are
    /// given where the record [matches](LiveQuery::matches), and only there.
    pub fn apply(
        &mut self,
        live: &LiveQuery,
        primary_key: &[u8],
        before: Option<&Row>,
        after: Option<&Row>,
    ) -> Applied {
        let place =
            |row: Option<&Row>| row.map(|row| self.order.key(row, primary_key).bytes.into_vec());
        let (before, after) = (before.zip(place(before)), after.zip(place(after)));
        match &mut self.kept {
            Kept::Rows(window) => window.apply(live, before, after),
            Kept::Numbers(numbers) => numbers.apply(before, after),
        }
    }

    /// The result as JSON text. Cost: its size.
    #[must_use]
    pub fn to_json_text(&self) -> Vec<u8> {
        match &self.kept {
            Kept::Rows(window) => window.to_json_text(),
            Kept::Numbers(numbers) => numbers.value().to_string().into_bytes(),
        }
    }

    /// Roughly the bytes of memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.kept {
            Kept::Rows(window) => window.bytes(),
            Kept::Numbers(numbers) => numbers.bytes(),
        }
    }
}

/// A record that matches, and its place in the order.
type Placed<'a> = Option<(&'a Row, Vec<u8>)>;

/// What is shown of a row, as JSON text.
fn shown(query: &Query, row: &Row) -> Box<[u8]> {
    match &query.fields {
        None => {
            let mut text = Vec::new();
            row.write_json(&mut text);
            text.into()
        }
        Some(fields) => {
            let fields = crate::query::project(row, fields);
            Value::Object(fields).to_string().into_bytes().into()
        }
    }
}
