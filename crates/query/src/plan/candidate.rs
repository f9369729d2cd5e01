use bytes::Bytes;
use tandem_record::catalog::Bucket;
use tandem_record::filter::Filter;
use tandem_record::key;
use tandem_record::keys;
use tandem_storage::{Direction, KeyRange};

use tandem_transaction::Transaction;

use crate::execute::{Access, own_view_differs};
use crate::order::{Natural, Order};
use crate::plan::Plan;
use crate::plan::bounds::{Bound, IndexBounds, value_range};
use crate::plan::constraint::{Constraint, Constraints};
use crate::plan::order::{Served, by_index, by_insertion, by_key, is_key};

/// Every way to reach all matching rows, each with its cost still open.
pub(crate) fn all(
    tx: &Transaction,
    bucket: &Bucket,
    filter: Option<&Filter>,
    constraints: &Constraints,
    order: Option<&Order>,
) -> Vec<Plan> {
    let mut plans = Vec::with_capacity(4);
    plans.extend(by_primary_key(bucket, constraints, order));
    plans.extend(by_indexes(tx, bucket, filter, constraints, order));
    plans.push(scan(bucket, order));
    plans.extend(order.and_then(|order| natural(bucket, order)));
    plans
}

/// All rows, in key order.
pub(crate) fn scan(bucket: &Bucket, order: Option<&Order>) -> Plan {
    let (served, direction) = by_key(bucket, order);
    let access = Access::Rows(KeyRange::prefix(&keys::row_prefix(bucket.id)));
    plan(access, served, direction, Vec::new(), 1.0)
}

/// All rows, in natural order.
pub(crate) fn natural(bucket: &Bucket, order: &Order) -> Option<Plan> {
    match (order.natural, bucket.order_index) {
        (Natural::Position, Some(order_index)) => {
            let (served, direction) = by_insertion(Some(order));
            let range = KeyRange::prefix(&keys::index_prefix(order_index));
            Some(plan(Access::Insertion { order_index, range }, served, direction, Vec::new(), 1.0))
        }
        _ => Some(scan(bucket, Some(order))),
    }
}

fn plan(
    access: Access,
    served: Served,
    direction: Direction,
    bounds: Vec<Bound>,
    fraction: f64,
) -> Plan {
    Plan {
        access,
        direction,
        served,
        bounds,
        index_order: None,
        fraction,
        decides_filter: false,
        one_record: false,
        cost: 0.0,
        matching: 0.0,
    }
}

fn by_primary_key(
    bucket: &Bucket,
    constraints: &Constraints,
    order: Option<&Order>,
) -> Option<Plan> {
    let path = constraints.paths().find(|path| is_key(bucket, path.as_str()))?;
    // Keys are scalars, so both bounds of a range are bounds of one value.
    let constraint = constraints.best(path, false)?;
    let bound =
        Bound { path: path.as_str().to_owned(), condition: constraint.clone(), arrays: false };
    let (mut served, direction) = by_key(bucket, order);
    let access = match &constraint {
        Constraint::AnyOf(values) => {
            // What cannot be a key is nobody's key.
            let mut points: Vec<Bytes> = values
                .iter()
                .filter_map(|value| key::encode_key(value).ok())
                .map(Bytes::from)
                .collect();
            points.sort_unstable();
            points.dedup();
            if points.len() <= 1 {
                served = Served::Exact;
            }
            Access::Points(points)
        }
        Constraint::Within(interval) => {
            Access::Rows(value_range(&keys::row_prefix(bucket.id), interval, false))
        }
    };
    Some(plan(access, served, direction, vec![bound], constraint.selectivity()))
}

fn by_indexes<'a>(
    tx: &Transaction,
    bucket: &'a Bucket,
    filter: Option<&'a Filter>,
    constraints: &'a Constraints,
    order: Option<&'a Order>,
) -> impl Iterator<Item = Plan> + 'a {
    let own_view_differs = own_view_differs(tx, bucket);
    bucket.indexes.iter().filter(|index| index.is_ready()).filter_map(move |index| {
        // A partial index must have every record that the filter can match.
        let has_all = index
            .filter
            .as_ref()
            .is_none_or(|partial| filter.is_some_and(|filter| filter.implies(partial)));
        if !has_all {
            return None;
        }
        // Neither narrowed nor in the order asked for: it would be of no use.
        let first = &index.parts[0].path;
        let in_order = order.and_then(|order| order.parts.first());
        if !constraints.mention(first) && in_order.is_none_or(|part| part.path != *first) {
            return None;
        }
        let found = IndexBounds::of(index, constraints)?;
        let (mut served, direction, index_order) =
            by_index(index, found.fixed_parts, found.fixed_prefix, order);
        if index.unique && own_view_differs {
            if !found.one_record {
                return None;
            }
            served = Served::Unordered;
        } else if found.one_record && found.ranges.len() == 1 {
            served = Served::Exact;
        }
        if found.bounds.is_empty() && index_order.is_none() {
            return None;
        }
        let access =
            Access::Index { index: index.clone(), ranges: found.ranges, key_at: found.key_at };
        let mut plan = plan(access, served, direction, found.bounds, found.selectivity);
        plan.decides_filter = found.decides_filter;
        plan.index_order = index_order;
        plan.one_record = found.one_record;
        Some(plan)
    })
}
