//! What a plan costs, in units of one row passed by a sequential scan.
//!
//! The store keeps one statistic, the number of records of a bucket. How much
//! of it a condition selects is guessed by its kind alone. All guesses are in
//! this file.

use serde_json::Value;
use tandem_base::Result;
use tandem_record::catalog::Bucket;
use tandem_record::keys;
use tandem_transaction::Transaction;

use crate::execute::Access;
use crate::plan::constraint::{Constraint, Constraints, Interval};
use crate::plan::{Plan, Request, Served};

use std::ops::Bound as End;

/// A row fetched by key for an index entry, the entry included.
const FETCH: f64 = 3.0;
/// Keeping a row to sort it.
const SORT: f64 = 0.5;
/// Starting a scan.
const SEEK: f64 = 2.0;
/// A group of equal values in an index of many.
const GROUP: f64 = 0.01;
/// A bucket is taken to hold this many records at least. Small ones grow, and in
/// one that is nearly empty a scan would be the cheapest way to anything: all of
/// it would have been read, and every insert by another transaction conflict.
const FEWEST_RECORDS: f64 = 100.0;
/// A stream avoids to hold more rows than this at once, if it can.
const STREAM_ROWS: f64 = 10_000.0;

/// The part of a bucket that a condition of this kind selects.
pub(crate) fn selectivity(constraint: &Constraint) -> f64 {
    match constraint {
        Constraint::AnyOf(values) => {
            let one = |value: &Value| match value {
                Value::Bool(_) => 0.5,
                Value::Null => 0.1,
                _ => 0.01,
            };
            values.iter().map(one).sum::<f64>().min(1.0)
        }
        Constraint::Within(Interval { starts_with: Some(_), .. }) => 0.05,
        Constraint::Within(Interval { lower: End::Unbounded, .. })
        | Constraint::Within(Interval { upper: End::Unbounded, .. }) => 0.3,
        Constraint::Within(_) => 0.1,
    }
}

/// The part of the candidates that an unknown condition lets pass.
const UNKNOWN_CONDITION: f64 = 0.5;

/// What is known about a bucket.
pub(crate) struct Statistics {
    records: f64,
}

impl Statistics {
    /// Reads what is known. A guess needs no protection: nothing is remembered
    /// as read.
    pub(crate) fn read(tx: &Transaction, bucket: &Bucket) -> Result<Self> {
        let committed = tx.get_untracked(&keys::count(bucket.id))?;
        let committed = committed.and_then(|bytes| bytes.first_chunk().copied());
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let records = (committed.map_or(0, u64::from_be_bytes) + tx.writes().len() as u64) as f64;
        Ok(Self { records })
    }
}

/// How many rows match, as far as one can guess.
pub(crate) fn matching(plan: &Plan, constraints: &Constraints, statistics: &Statistics) -> f64 {
    if plan.one_record {
        return 1.0;
    }
    let unknown = UNKNOWN_CONDITION.powi(constraints.unknown_conditions().min(8).cast_signed());
    statistics.records.max(FEWEST_RECORDS) * constraints.selectivity() * unknown
}

/// What the plan costs for the request.
pub(crate) fn cost(
    plan: &Plan,
    constraints: &Constraints,
    statistics: &Statistics,
    request: &Request<'_>,
) -> f64 {
    let records = statistics.records.max(FEWEST_RECORDS);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (candidates, each, seeks) = match &plan.access {
        Access::Points(points) => (points.len() as f64, SEEK, 0.0),
        Access::Rows(_) => (records * plan.fraction, 1.0, SEEK),
        Access::Insertion { .. } => (records, FETCH, SEEK),
        Access::Index { ranges, .. } => {
            let candidates = if plan.one_record { 1.0 } else { records * plan.fraction };
            (candidates, FETCH, SEEK * ranges.len() as f64)
        }
    };
    let matching = matching(plan, constraints, statistics).min(candidates);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let wanted = request.wanted.map(|wanted| wanted as f64);
    let visited = match (plan.served, wanted) {
        (Served::Unordered, _) | (_, None) => candidates,
        (Served::Exact, Some(wanted)) => candidates * (wanted / matching.max(1.0)).min(1.0),
        (Served::Groups, Some(wanted)) => {
            (candidates * (wanted / matching.max(1.0) + GROUP)).min(candidates)
        }
    };
    let sorting = if plan.served == Served::Unordered { matching * SORT } else { 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let holds_too_much = plan.served == Served::Unordered
        && wanted.is_none_or(|wanted| wanted > request.max_sort_rows as f64)
        && (matching > request.max_sort_rows as f64 || request.streaming && matching > STREAM_ROWS);
    let penalty = if holds_too_much { 1e6 } else { 1.0 };
    (seeks + visited * each + sorting) * penalty
}
