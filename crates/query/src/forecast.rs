//! What a read would cost, without running it: for a planner above this one,
//! such as SQL's, which chooses among reads of several buckets.

use tandem_base::Result;
use tandem_record::Records;
use tandem_transaction::Transaction;

use crate::execute::Access;
use crate::plan::{Plan, Request, Served};
use crate::query::Query;
use crate::read::Prepared;

/// How a query would be run, as far as that can be told without its values:
/// what depends on them are guesses, the same that the planner goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The index that would serve it; `None` = records by key, a range of keys,
    /// or all of them.
    pub index: Option<String>,
    /// Whether it looks at every row.
    pub is_scan: bool,
    /// The paths of what narrows it, in the order of the index's parts.
    pub narrowed_by: Vec<String>,
    /// Whether rows come in the order asked for, without being sorted.
    pub is_ordered: bool,
    /// Whether at most one record is found.
    pub one_record: bool,
    /// How many rows match.
    pub rows: f64,
    /// Units of one row passed by a scan.
    pub cost: f64,
}

/// The plan that `query` would be run by; `any_order`: if its order did not matter.
/// Nothing is remembered as read but the bucket's definition.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`; `STORAGE_ERROR`.
pub fn forecast(
    records: &Records,
    tx: &Transaction,
    query: &Query,
    any_order: bool,
) -> Result<Forecast> {
    let prepared = Prepared::new(records, tx, query, false)?;
    let plan = if any_order {
        let request = Request {
            filter: query.filter.as_ref(),
            order: None,
            wanted: query.limit,
            streaming: false,
            max_sort_rows: usize::MAX,
            hint: None,
        };
        Plan::choose(tx, &prepared.bucket, &request)?
    } else {
        prepared.plan(tx, query.limit, false, None)?
    };
    let index = match &plan.access {
        Access::Index { index, .. } => Some(index.name.clone()),
        _ => None,
    };
    let points = matches!(&plan.access, Access::Points(points) if points.len() <= 1);
    Ok(Forecast {
        index,
        is_scan: matches!(plan.access, Access::Rows(_) | Access::Insertion { .. })
            && plan.bounds.is_empty(),
        narrowed_by: plan.bounds.iter().map(|bound| bound.path.clone()).collect(),
        is_ordered: plan.served != Served::Unordered,
        one_record: plan.one_record || points,
        rows: if points { 1.0 } else { plan.matching },
        cost: plan.cost,
    })
}
