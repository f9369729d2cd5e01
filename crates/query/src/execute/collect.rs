use bytes::Bytes;
use tandem_base::{Error, Result};
use tandem_record::catalog::Bucket;
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_transaction::Transaction;

use crate::execute::access::{Examined, Step};
use crate::execute::top::Top;
use crate::order::{Order, OrderKey};
use crate::plan::{Plan, Served};

/// A matching row and its place in the order.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) order: OrderKey,
    pub(crate) primary_key: Bytes,
    pub(crate) row: Row,
}

/// What an ordered read asks for.
pub(crate) struct Collection<'a> {
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) order: &'a Order,
    /// Only rows after this place.
    pub(crate) after: Option<&'a OrderKey>,
    /// How many rows, at most.
    pub(crate) wanted: usize,
    /// Whether a group of equal sort values that has been begun is to be
    /// delivered whole, beyond `wanted`: it was paid for already.
    pub(crate) whole_groups: bool,
    /// How many rows may be answered.
    pub(crate) max_rows: usize,
    /// How many rows may be held to sort them.
    pub(crate) max_sort_rows: usize,
}

/// The matching rows in order, and what was read to find them.
pub(crate) fn collect(
    tx: &Transaction,
    bucket: &Bucket,
    plan: &Plan,
    collection: &Collection<'_>,
    examined: &mut Examined,
) -> Result<Vec<Found>> {
    let Collection { filter, order, after, wanted, whole_groups, max_rows, max_sort_rows } =
        *collection;
    let mut out: Vec<Found> = Vec::new();
    if wanted == 0 {
        return Ok(out);
    }
    let sorting_wanted = if whole_groups { usize::MAX } else { wanted };
    let mut group = Top::new(sorting_wanted, max_sort_rows);
    let mut group_values: Option<Vec<u8>> = None;
    let mut take = |primary_key: Bytes, row: Row| -> Result<Step> {
        if let Some(filter) = filter
            && !filter.try_matches(&row)?
        {
            // The last group needed may be over although nothing matches any more.
            let enough = plan.served == Served::Groups
                && group.len() > 0
                && out.len() + group.len() >= wanted
                && group_values.as_deref() != Some(order.key(&row, &primary_key).sort_bytes());
            return Ok(if enough { Step::Enough } else { Step::More });
        }
        let order = order.key(&row, &primary_key);
        if after.is_some_and(|after| order.bytes <= after.bytes) {
            return Ok(Step::More);
        }
        let found = Found { order, primary_key, row };
        match plan.served {
            Served::Exact => {
                out.push(found);
                check_rows(&out, max_rows)?;
                if out.len() >= wanted {
                    return Ok(Step::Enough);
                }
            }
            Served::Groups => {
                if group_values.as_deref() != Some(found.order.sort_bytes()) {
                    let rest = Top::new(sorting_wanted, max_sort_rows);
                    out.extend(std::mem::replace(&mut group, rest).into_sorted());
                    check_rows(&out, max_rows)?;
                    if out.len() >= wanted {
                        return Ok(Step::Enough);
                    }
                    group_values = Some(found.order.sort_bytes().to_vec());
                }
                group.push(found)?;
            }
            Served::Unordered => group.push(found)?,
        }
        Ok(Step::More)
    };
    plan.access.visit(tx, bucket, plan.direction, examined, &mut take)?;
    out.extend(group.into_sorted());
    if !whole_groups {
        out.truncate(wanted);
    }
    check_rows(&out, max_rows)?;
    Ok(out)
}

fn check_rows(out: &[Found], max_rows: usize) -> Result<()> {
    if out.len() > max_rows {
        return Err(Error::limit("resultRows", max_rows as u64, out.len() as u64));
    }
    Ok(())
}

/// Calls `each` with every matching row, in no particular order.
pub(crate) fn for_each(
    tx: &Transaction,
    bucket: &Bucket,
    plan: &Plan,
    filter: Option<&Filter>,
    examined: &mut Examined,
    each: &mut dyn FnMut(Bytes, Row) -> Result<()>,
) -> Result<()> {
    plan.access.visit(tx, bucket, plan.direction, examined, &mut |primary_key, row| {
        let matches = match filter {
            Some(filter) => filter.try_matches(&row)?,
            None => true,
        };
        if matches {
            each(primary_key, row)?;
        }
        Ok(Step::More)
    })
}
