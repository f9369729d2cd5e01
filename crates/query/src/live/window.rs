use std::collections::BTreeMap;

use tandem_base::{Code, Result};
use tandem_record::Records;
use tandem_record::row::Row;
use tandem_transaction::Transaction;

use crate::execute::Found;
use crate::live::{Applied, LiveQuery, Placed, shown};
use crate::query::{Query, QueryLimits};
use crate::read::Prepared;

/// Rows kept beyond those that are shown, so that a few may go before the
/// query has to be run again: as many as are shown, within these bounds.
const LEAST_SPARE: usize = 8;
const MOST_SPARE: usize = 256;

/// What a row costs beyond its bytes.
const ROW_OVERHEAD: usize = 104;

/// The first rows of a result: all of them up to a bound.
#[derive(Clone, Debug)]
pub(super) struct Window {
    rows: BTreeMap<Vec<u8>, KeptRow>,
    /// The place up to which every row is kept; `None` = there are no others.
    bound: Option<Vec<u8>>,
    offset: usize,
    /// `None` = no limit.
    limit: Option<usize>,
    bytes: usize,
    /// The rows as they are stored, which is what `result_bytes` bounds.
    stored_bytes: usize,
}

/// What is kept of a row.
#[derive(Clone, Debug)]
struct KeptRow {
    text: Box<[u8]>,
    stored_bytes: usize,
}

impl KeptRow {
    fn of(query: &Query, row: &Row) -> Self {
        Self { text: shown(query, row), stored_bytes: row.bytes().len() }
    }
}

impl Window {
    pub(super) fn run(records: &Records, tx: &Transaction, query: &Query) -> Result<Self> {
        let needed = query.limit.map(|limit| limit.saturating_add(query.offset));
        let spare = query.limit.map_or(0, |limit| limit.clamp(LEAST_SPARE, MOST_SPARE));
        let wanted = needed.map(|needed| needed.saturating_add(spare));
        let (found, wanted) = match first(records, tx, query, wanted) {
            // The spare rows are ours: the query itself may be within its bounds.
            Err(error) if error.code() == Code::LimitExceeded && wanted != needed => {
                (first(records, tx, query, needed)?, needed)
            }
            found => (found?, wanted),
        };
        let is_complete = wanted.is_none_or(|wanted| found.len() < wanted);
        let bound = found.last().filter(|_| !is_complete).map(|last| last.order.bytes.to_vec());
        let mut window = Self {
            rows: BTreeMap::new(),
            bound,
            offset: query.offset,
            limit: query.limit,
            bytes: 0,
            stored_bytes: 0,
        };
        for Found { order, row, .. } in found {
            window.insert(order.bytes.into_vec(), KeptRow::of(query, &row));
        }
        Ok(window)
    }

    pub(super) fn apply(
        &mut self,
        live: &LiveQuery,
        before: Placed<'_>,
        after: Placed<'_>,
    ) -> Applied {
        let removed = before.and_then(|(_, place)| {
            let row = self.remove(&place)?;
            Some((place, row))
        });
        let kept = after.filter(|(_, place)| self.covers(place));
        let added = kept.map(|(row, place)| (place, KeptRow::of(&live.query, row)));
        let same = match (&removed, &added) {
            (Some((old, before)), Some((new, after))) => old == new && before.text == after.text,
            (removed, added) => removed.is_none() && added.is_none(),
        };
        if let Some((place, row)) = added {
            self.insert(place, row);
            self.let_go();
        } else if removed.is_none() {
            return Applied::Unchanged;
        }
        if !self.shows_all() || !self.is_within(&live.query.limits) {
            Applied::Stale
        } else if same {
            Applied::Unchanged
        } else {
            Applied::Changed
        }
    }

    /// Whether running the query surely would answer. The spare rows count,
    /// too: without them it may answer, which running it tells.
    fn is_within(&self, limits: &QueryLimits) -> bool {
        self.rows.len() <= limits.result_rows && self.stored_bytes <= limits.result_bytes
    }

    pub(super) fn to_json_text(&self) -> Vec<u8> {
        let mut text = vec![b'['];
        let rows = self.rows.values().skip(self.offset).take(self.limit.unwrap_or(usize::MAX));
        for (index, row) in rows.enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&row.text);
        }
        text.push(b']');
        text
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn covers(&self, place: &[u8]) -> bool {
        self.bound.as_deref().is_none_or(|bound| place <= bound)
    }

    /// Whether every row that is to be shown is kept.
    fn shows_all(&self) -> bool {
        let needed = self.limit.map(|limit| limit.saturating_add(self.offset));
        self.bound.is_none() || needed.is_some_and(|needed| self.rows.len() >= needed)
    }

    /// Lets go of what is kept beyond need, so that a window does not grow.
    fn let_go(&mut self) {
        let Some(limit) = self.limit else { return };
        let spare = limit.clamp(LEAST_SPARE, MOST_SPARE);
        let most = limit.saturating_add(self.offset).saturating_add(spare);
        while self.rows.len() > most {
            let Some(last) = self.rows.keys().next_back().cloned() else { return };
            self.remove(&last);
            self.bound = self.rows.keys().next_back().cloned();
        }
    }

    fn insert(&mut self, place: Vec<u8>, row: KeptRow) {
        self.bytes += place.len() + row.text.len() + ROW_OVERHEAD;
        self.stored_bytes += row.stored_bytes;
        let twice = self.rows.insert(place, row);
        debug_assert!(twice.is_none(), "no two records have one place");
    }

    fn remove(&mut self, place: &[u8]) -> Option<KeptRow> {
        let row = self.rows.remove(place)?;
        self.bytes -= place.len() + row.text.len() + ROW_OVERHEAD;
        self.stored_bytes -= row.stored_bytes;
        Some(row)
    }
}

/// The first `wanted` rows, those of the offset included.
fn first(
    records: &Records,
    tx: &Transaction,
    query: &Query,
    wanted: Option<usize>,
) -> Result<Vec<Found>> {
    let from_the_start = Query { offset: 0, after: None, limit: wanted, ..query.clone() };
    Prepared::new(records, tx, &from_the_start, false)?.found(tx, wanted)
}
