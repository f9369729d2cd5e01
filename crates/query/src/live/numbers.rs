use serde_json::Value;
use tandem_base::Result;
use tandem_record::Records;
use tandem_record::row::Row;
use tandem_transaction::Transaction;

use crate::aggregate::{Accumulator, Groups};
use crate::live::{Applied, LiveAggregate, Placed};
use crate::order::Order;
use crate::query::Query;
use crate::read::for_each_inner;

/// Roughly what an accumulator takes, and a group with its key.
const ONE_BYTES: usize = 128;
const GROUP_BYTES: usize = 512;

/// Numbers about records.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    One(Accumulator),
    Groups(Groups),
}

impl Numbers {
    pub(super) fn run(
        records: &Records,
        tx: &Transaction,
        query: &Query,
        aggregate: &LiveAggregate,
        order: &Order,
    ) -> Result<Self> {
        let mut numbers = match aggregate {
            LiveAggregate::One { function, field } => {
                Self::One(Accumulator::new(*function, field.as_ref())?)
            }
            LiveAggregate::Groups(by) => Self::Groups(Groups::new(by, &query.limits)?),
        };
        let filter = query.filter.as_ref();
        for_each_inner(records, tx, &query.bucket, filter, &mut |primary_key, row| {
            match &mut numbers {
                Self::One(accumulator) => accumulator.add(&row),
                Self::Groups(groups) => {
                    groups.add(order.key(&row, &primary_key).bytes.into_vec(), &row)?
                }
            }
            Ok(())
        })?;
        Ok(numbers)
    }

    pub(super) fn apply(&mut self, before: Placed<'_>, after: Placed<'_>) -> Applied {
        let certain = match (before, after) {
            (None, None) => return Applied::Unchanged,
            (Some((before, old)), Some((after, new))) if old == new => {
                if self.sees_the_same(before, after) {
                    return Applied::Unchanged;
                }
                match self {
                    Self::One(accumulator) => {
                        accumulator.remove(before) && accumulator.add_surely(after)
                    }
                    Self::Groups(groups) => groups.replace(&new, before, after),
                }
            }
            (before, after) => {
                before.is_none_or(|(row, place)| self.remove(&place, row))
                    && after.is_none_or(|(row, place)| self.add(place, row))
            }
        };
        if certain { Applied::Changed } else { Applied::Stale }
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Self::One(accumulator) => accumulator.clone().finish(),
            Self::Groups(groups) => groups.finish().into(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::One(_) => ONE_BYTES,
            Self::Groups(groups) => ONE_BYTES + groups.len() * GROUP_BYTES,
        }
    }

    fn sees_the_same(&self, before: &Row, after: &Row) -> bool {
        match self {
            Self::One(accumulator) => accumulator.sees_the_same(before, after),
            Self::Groups(groups) => groups.sees_the_same(before, after),
        }
    }

    fn remove(&mut self, place: &[u8], row: &Row) -> bool {
        match self {
            Self::One(accumulator) => accumulator.remove(row),
            Self::Groups(groups) => groups.remove(place, row),
        }
    }

    fn add(&mut self, place: Vec<u8>, row: &Row) -> bool {
        match self {
            Self::One(accumulator) => accumulator.add_surely(row),
            Self::Groups(groups) => groups.add_surely(place, row),
        }
    }
}
