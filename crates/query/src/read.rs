//! The reads of a bucket: pages, lists, single records, counts.
//!
//! A public function is one statement of the transaction that it is given. The
//! `*_inner` ones are the same inside a statement that is open already, such as
//! an update of everything that matches.

use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Code, Result};
use tandem_record::Records;
use tandem_record::catalog::Bucket;
use tandem_record::filter::Filter;
use tandem_record::key;
use tandem_record::keys;
use tandem_record::row::Row;
use tandem_transaction::Transaction;

use crate::cursor::{self, Cursor};
use crate::execute::{Bounds, Collection, Examined, Found, collect, for_each};
use crate::order::{Order, OrderKey};
use crate::plan::{Plan, Request, Served};
use crate::query::{After, Query, QueryPage};
use crate::stream::PORTION_BYTES;

use std::sync::Arc;

/// A place to go on from.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) order: OrderKey,
    pub(crate) primary_key: Bytes,
}

/// Where a read begins.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    Beginning,
    After(Place),
    /// After a record that does not exist: nothing comes after it.
    Nowhere,
}

/// A query made ready to be run in one statement.
pub(crate) struct Prepared<'a> {
    pub(crate) query: &'a Query,
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) order: Order,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(
        records: &Records,
        tx: &Transaction,
        query: &'a Query,
        reversed: bool,
    ) -> Result<Self> {
        let bucket = records.bucket(tx, &query.bucket)?;
        let order = Order::new(&bucket, &query.sort, reversed);
        Ok(Self { query, bucket, order })
    }

    /// Where the query says to begin.
    pub(crate) fn start(&self, tx: &Transaction) -> Result<Start> {
        let parsed;
        let (cursor, text) = match &self.query.after {
            None => return Ok(Start::Beginning),
            Some(After::Cursor(cursor)) => (Some(cursor), &Value::Null),
            Some(After::Text(text)) => {
                parsed = Cursor::parse(text);
                (parsed.as_ref(), text)
            }
        };
        if let Some(cursor) = cursor {
            let (order, primary_key) = cursor.place(self.bucket.id, &self.order)?;
            let mut place = Place { order: order.clone(), primary_key: primary_key.clone() };
            // A record that was not yet committed has got its position since.
            if self.order.is_pending(&place.order)
                && let Some(now) = self.place_of(tx, &place.primary_key)?
            {
                place = now;
            }
            return Ok(Start::After(place));
        }
        let place = match key::encode_key(text) {
            Ok(primary_key) => self.place_of(tx, &primary_key.into())?,
            Err(_) => None,
        };
        match place {
            Some(place) => Ok(Start::After(place)),
            None if Cursor::claims(text) => Err(cursor::invalid()),
            None => Ok(Start::Nowhere),
        }
    }

    fn place_of(&self, tx: &Transaction, primary_key: &Bytes) -> Result<Option<Place>> {
        let Some(row) = tx.get(&keys::row(self.bucket.id, primary_key))? else { return Ok(None) };
        let order = self.order.key(&Row::from_stored(row)?, primary_key);
        Ok(Some(Place { order, primary_key: primary_key.clone() }))
    }

    /// The rows of the query, `limit` at most.
    pub(crate) fn found(&self, tx: &Transaction, limit: Option<usize>) -> Result<Vec<Found>> {
        let place = match self.start(tx)? {
            Start::Beginning => None,
            Start::After(place) => Some(place),
            Start::Nowhere => return Ok(Vec::new()),
        };
        let offset = self.query.offset;
        let wanted = limit.map(|limit| limit.saturating_add(offset));
        let plan = self.plan(tx, wanted, false, place.as_ref())?;
        let mut found = self.run(tx, &plan, wanted, place.as_ref(), &mut Examined::default())?;
        found.drain(..offset.min(found.len()));
        Ok(found)
    }

    /// The plan for a read of `wanted` rows from `place` on.
    pub(crate) fn plan(
        &self,
        tx: &Transaction,
        wanted: Option<usize>,
        streaming: bool,
        place: Option<&Place>,
    ) -> Result<Plan> {
        let request = Request {
            filter: self.query.filter.as_ref(),
            order: Some(&self.order),
            wanted,
            streaming,
            max_sort_rows: self.query.limits.sort_rows,
            hint: self.query.hint.as_ref(),
        };
        let mut plan = Plan::choose(tx, &self.bucket, &request)?;
        if let Some(place) = place {
            plan.narrow(&self.order, &place.order, &place.primary_key);
        }
        Ok(plan)
    }

    /// Runs a plan. Should it hold too many rows although the order is the
    /// natural one, the rows are read in that order instead.
    pub(crate) fn run(
        &self,
        tx: &Transaction,
        plan: &Plan,
        wanted: Option<usize>,
        place: Option<&Place>,
        examined: &mut Examined,
    ) -> Result<Vec<Found>> {
        let result = self.collect(tx, plan, wanted, false, place, examined);
        if let Err(error) = &result
            && error.code() == Code::LimitExceeded
            && plan.served == Served::Unordered
            && let Some(natural) = self.natural_plan(place)
        {
            return self.collect(tx, &natural, wanted, false, place, examined);
        }
        result
    }

    /// The plan that reads in natural order, if that is the order asked for.
    pub(crate) fn natural_plan(&self, place: Option<&Place>) -> Option<Plan> {
        let mut plan = Plan::in_natural_order(&self.bucket, &self.order)?;
        if let Some(place) = place {
            plan.narrow(&self.order, &place.order, &place.primary_key);
        }
        Some(plan)
    }

    pub(crate) fn collect(
        &self,
        tx: &Transaction,
        plan: &Plan,
        wanted: Option<usize>,
        whole_groups: bool,
        place: Option<&Place>,
        examined: &mut Examined,
    ) -> Result<Vec<Found>> {
        let limits = &self.query.limits;
        let collection = Collection {
            filter: self.query.filter.as_ref(),
            order: &self.order,
            after: place.map(|place| &place.order),
            wanted: wanted.unwrap_or(usize::MAX),
            whole_groups,
            enough_bytes: if whole_groups { PORTION_BYTES } else { usize::MAX },
            result: Bounds { rows: limits.result_rows, bytes: limits.result_bytes },
            sort: Bounds { rows: limits.sort_rows, bytes: limits.sort_bytes },
        };
        collect(tx, &self.bucket, plan, &collection, examined)
    }
}

/// The rows of a query, without looking whether more follow.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for a cursor of another query;
/// `LIMIT_EXCEEDED` naming `sortRows`, `sortBytes`, `resultRows` or
/// `resultBytes`.
pub fn rows(records: &Records, tx: &mut Transaction, query: &Query) -> Result<Vec<Row>> {
    tx.read_statement(|tx| rows_inner(records, tx, query))
}

/// As [`rows`], inside a statement.
///
/// # Errors
/// As [`rows`].
pub fn rows_inner(records: &Records, tx: &Transaction, query: &Query) -> Result<Vec<Row>> {
    Ok(found(records, tx, query)?.into_iter().map(|found| found.row).collect())
}

/// The encoded primary keys of the rows of a query, inside a statement: what
/// an update or delete of everything that matches works on. The rows are
/// forgotten: they are held like those of a sort, not like an answer.
///
/// # Errors
/// As [`rows`].
pub fn keys_inner(records: &Records, tx: &Transaction, query: &Query) -> Result<Vec<Bytes>> {
    let mut limits = query.limits;
    limits.result_bytes = limits.result_bytes.max(limits.sort_bytes);
    let query = Query { limits, ..query.clone() };
    Ok(found(records, tx, &query)?.into_iter().map(|found| found.primary_key).collect())
}

fn found(records: &Records, tx: &Transaction, query: &Query) -> Result<Vec<Found>> {
    Prepared::new(records, tx, query, false)?.found(tx, query.limit)
}

/// A page: the rows of a query, whether more follow, and where to go on.
///
/// # Errors
/// As [`rows`].
pub fn run(records: &Records, tx: &mut Transaction, query: &Query) -> Result<QueryPage> {
    tx.read_statement(|tx| run_inner(records, tx, query))
}

/// As [`run`], inside a statement.
///
/// # Errors
/// As [`rows`].
pub fn run_inner(records: &Records, tx: &Transaction, query: &Query) -> Result<QueryPage> {
    let prepared = Prepared::new(records, tx, query, false)?;
    let mut found = prepared.found(tx, query.limit.map(|limit| limit.saturating_add(1)))?;
    let has_more = query.limit.is_some_and(|limit| found.len() > limit);
    if let Some(limit) = query.limit {
        found.truncate(limit);
    }
    let next_cursor = found.last().map(|last| {
        let (place, primary_key) = (last.order.clone(), last.primary_key.clone());
        Cursor::new(prepared.bucket.id, &prepared.order, place, primary_key)
    });
    let rows = found.into_iter().map(|found| found.row).collect();
    Ok(QueryPage { rows, has_more, next_cursor })
}

/// The first record of a query, or `None`.
///
/// # Errors
/// As [`rows`].
pub fn find_one(records: &Records, tx: &mut Transaction, query: &Query) -> Result<Option<Row>> {
    let one = Query { limit: Some(1), ..query.clone() };
    Ok(rows(records, tx, &one)?.into_iter().next())
}

/// The first `n` records of a query in its order.
///
/// # Errors
/// As [`rows`].
pub fn first(records: &Records, tx: &mut Transaction, query: &Query, n: usize) -> Result<Vec<Row>> {
    if n == 0 {
        return Ok(Vec::new());
    }
    rows(records, tx, &Query { limit: Some(n), ..query.clone() })
}

/// The last `n` records of a query, in its order. Offset, limit and `after` of
/// the query are not looked at.
///
/// # Errors
/// As [`rows`].
pub fn last(records: &Records, tx: &mut Transaction, query: &Query, n: usize) -> Result<Vec<Row>> {
    if n == 0 {
        return Ok(Vec::new());
    }
    tx.read_statement(|tx| {
        let prepared = Prepared::new(records, tx, query, true)?;
        let plan = prepared.plan(tx, Some(n), false, None)?;
        let found = prepared.run(tx, &plan, Some(n), None, &mut Examined::default())?;
        Ok(found.into_iter().rev().map(|found| found.row).collect())
    })
}

/// How many records match. Without a filter, a look at the bucket's counter
/// and the own writes.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`.
pub fn count(
    records: &Records,
    tx: &mut Transaction,
    bucket: &str,
    filter: Option<&Filter>,
) -> Result<u64> {
    tx.read_statement(|tx| {
        let Some(filter) = filter else {
            return records.count_inner(tx, &*records.bucket(tx, bucket)?);
        };
        let mut count = 0;
        for_each_inner(records, tx, bucket, Some(filter), &mut |_, _| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    })
}

/// Calls `each` with the primary key and row of every record that matches, in
/// no particular order, inside a statement. Holds one row at a time.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`, and what `each` answers.
pub fn for_each_inner(
    records: &Records,
    tx: &Transaction,
    bucket: &str,
    filter: Option<&Filter>,
    each: &mut dyn FnMut(Bytes, Row) -> Result<()>,
) -> Result<()> {
    let bucket = &*records.bucket(tx, bucket)?;
    let request = Request {
        filter,
        order: None,
        wanted: None,
        streaming: false,
        max_sort_rows: usize::MAX,
        hint: None,
    };
    let plan = Plan::choose(tx, bucket, &request)?;
    for_each(tx, bucket, &plan, filter, &mut Examined::default(), each)
}
