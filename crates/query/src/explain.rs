use serde_json::{Value, json};
use tandem_base::Result;
use tandem_record::Records;
use tandem_storage::Direction;
use tandem_transaction::Transaction;

use crate::execute::{Access, Examined};
use crate::plan::{Plan, Served};
use crate::query::Query;
use crate::read::{Prepared, Start};

/// Runs the query and says how:
///
/// ```json
/// {"bucket": "users", "access": "index", "index": "age",
///  "bounds": [{"field": "age", "condition": {"$gte": 18}}], "ranges": 1,
///  "direction": "forward", "sort": "index", "entriesExamined": 20,
///  "rowsExamined": 20, "rowsReturned": 20, "estimatedCost": 64.0}
/// ```
/// * `access`: `primaryKey` (records by key), `keyRange`, `index`,
///   `insertionOrder`, or `scan` (every row);
/// * `bounds`: what narrows it; `"arrays": true` where all records that have an
///   array there are read too;
/// * `sort`: `natural` or `index` when rows come in the order asked for,
///   `indexGroups` when equal sort values are put in order as they come,
///   `memory` when everything that matches is sorted.
///
/// # Errors
/// As [`rows`](crate::rows).
pub fn explain(records: &Records, tx: &mut Transaction, query: &Query) -> Result<Value> {
    tx.read_statement(|tx| {
        let prepared = Prepared::new(records, tx, query, false)?;
        let place = match prepared.start(tx)? {
            Start::Beginning => None,
            Start::After(place) => Some(place),
            Start::Nowhere => {
                return Ok(json!({
                    "bucket": query.bucket, "access": "primaryKey", "bounds": [],
                    "sort": "natural", "entriesExamined": 0, "rowsExamined": 1, "rowsReturned": 0,
                }));
            }
        };
        let wanted = query.limit.map(|limit| limit.saturating_add(query.offset));
        let plan = prepared.plan(tx, wanted, false, place.as_ref())?;
        let mut examined = Examined::default();
        let found = prepared.run(tx, &plan, wanted, place.as_ref(), &mut examined)?;
        let mut explained = describe(&plan, query);
        explained["entriesExamined"] = examined.entries.into();
        explained["rowsExamined"] = examined.rows.into();
        explained["rowsReturned"] = found.len().saturating_sub(query.offset).into();
        Ok(explained)
    })
}

pub(crate) fn describe(plan: &Plan, query: &Query) -> Value {
    let (access, ranges) = match &plan.access {
        Access::Points(points) => ("primaryKey", points.len()),
        Access::Rows(_) if plan.bounds.is_empty() => ("scan", 1),
        Access::Rows(_) => ("keyRange", 1),
        Access::Insertion { .. } => ("insertionOrder", 1),
        Access::Index { ranges, .. } => ("index", ranges.len()),
    };
    let sort = match plan.served {
        Served::Unordered => "memory",
        Served::Groups => "indexGroups",
        Served::Exact if query.sort.is_empty() => "natural",
        Served::Exact => "index",
    };
    let direction = match plan.direction {
        Direction::Forward => "forward",
        Direction::Reverse => "reverse",
    };
    let mut explained = json!({ "bucket": query.bucket, "access": access });
    if let Access::Index { index, .. } = &plan.access {
        explained["index"] = index.name.as_str().into();
    }
    explained["bounds"] = plan.bounds.iter().map(crate::plan::Bound::to_json).collect();
    explained["ranges"] = ranges.into();
    explained["direction"] = direction.into();
    explained["sort"] = sort.into();
    explained["estimatedCost"] = json!((plan.cost * 10.0).round() / 10.0);
    explained
}
