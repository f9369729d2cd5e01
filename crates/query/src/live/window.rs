use std::collections::BTreeMap;

use tandem_base::{Code, Result};
use tandem_record::Records;
use tandem_transaction::Transaction;

use crate::execute::Found;
use crate::live::{Applied, LiveQuery, Placed, shown};
use crate::query::Query;
use crate::read::Prepared;

/// Rows kept beyond those that are shown, so that a few may go before the
/// query has to be run again: as many as are shown, within these bounds.
const LEAST_SPARE: usize = 8;
const MOST_SPARE: usize = 256;

/// What a row costs beyond its bytes.
const ROW_OVERHEAD: usize = 96;

/// The first rows of a result: all of them up to a bound.
#[derive(Clone, Debug)]
pub(super) struct Window {
    rows: BTreeMap<Vec<u8>, Box<[u8]>>,
    /// The place up to which every row is kept; `None` = there are no others.
    bound: Option<Vec<u8>>,
    offset: usize,
    /// `None` = no limit.
    limit: Option<usize>,
    bytes: usize,
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
        let bound = found.last().filter(|_| !is_complete).map(|last| last.order.bytes.clone());
        let mut window = Self {
            rows: BTreeMap::new(),
            bound,
            offset: query.offset,
            limit: query.limit,
            bytes: 0,
        };
        for Found { order, row, .. } in found {
            window.insert(order.bytes, shown(query, &row));
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
            let text = self.remove(&place)?;
            Some((place, text))
        });
        let kept = after.filter(|(_, place)| self.covers(place));
        let added = kept.map(|(row, place)| (place, shown(&live.query, row)));
        let same = removed == added;
        if let Some((place, text)) = added {
            self.insert(place, text);
            self.let_go();
        } else if removed.is_none() {
            return Applied::Unchanged;
        }
        if same {
            Applied::Unchanged
        } else if self.shows_all() {
            Applied::Changed
        } else {
            Applied::Stale
        }
    }

    pub(super) fn to_json_text(&self) -> Vec<u8> {
        let mut text = vec![b'['];
        let rows = self.rows.values().skip(self.offset).take(self.limit.unwrap_or(usize::MAX));
        for (index, row) in rows.enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend_from_slice(row);
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

    fn insert(&mut self, place: Vec<u8>, text: Box<[u8]>) {
        self.bytes += place.len() + text.len() + ROW_OVERHEAD;
        let twice = self.rows.insert(place, text);
        debug_assert!(twice.is_none(), "no two records have one place");
    }

    fn remove(&mut self, place: &[u8]) -> Option<Box<[u8]>> {
        let text = self.rows.remove(place)?;
        self.bytes -= place.len() + text.len() + ROW_OVERHEAD;
        Some(text)
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
