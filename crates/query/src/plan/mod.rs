//! Choosing how to read: which access path, and what its order is worth.
//!
//! Each way to reach the rows is a *candidate*: records by key, a range of
//! keys, each ready index, insertion order, all rows. A candidate visits a
//! superset of the matching rows; its estimated cost decides, and nothing but
//! cost depends on the choice.
//!
//! ```text
//! filter ──constraints──> bounds per candidate ──┐
//! sort   ──directions───> order served or not  ──┴─ estimate ──> cheapest
//! ```

mod bounds;
mod candidate;
mod constraint;
mod estimate;
mod narrow;
mod order;

use tandem_base::Result;
use tandem_record::catalog::Bucket;
use tandem_record::filter::Filter;
use tandem_storage::Direction;
use tandem_transaction::Transaction;

use crate::execute::Access;
use crate::order::{Order, SortValues};
use crate::query::Hint;

pub(crate) use bounds::Bound;
use constraint::Constraints;
pub(crate) use order::{IndexOrder, Served};

/// What a plan is made for.
pub(crate) struct Request<'a> {
    pub(crate) filter: Option<&'a Filter>,
    /// `None`: any order will do.
    pub(crate) order: Option<&'a Order>,
    /// How many rows are wanted; `None` = all.
    pub(crate) wanted: Option<usize>,
    /// Whether rows are handed on as they come, so that holding them all to
    /// sort them should be avoided.
    pub(crate) streaming: bool,
    pub(crate) max_sort_rows: usize,
    pub(crate) hint: Option<&'a Hint>,
}

/// One way to read.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) access: Access,
    pub(crate) direction: Direction,
    pub(crate) served: Served,
    /// For a person: what narrows the access, part by part.
    pub(crate) bounds: Vec<Bound>,
    /// How rows of an order served by an index are found by their sort values.
    pub(crate) index_order: Option<IndexOrder>,
    /// The part of the bucket that the access covers, as a guess.
    pub(crate) fraction: f64,
    /// Whether the filter holds for exactly the rows that the access leads to, so that it
    /// need not be checked on them.
    pub(crate) decides_filter: bool,
    /// Whether the access leads to one record at most.
    pub(crate) one_record: bool,
    /// See [`estimate`].
    pub(crate) cost: f64,
    /// How many rows match, as a guess.
    pub(crate) matching: f64,
}

impl Plan {
    /// The cheapest plan for `request`.
    pub(crate) fn choose(tx: &Transaction, bucket: &Bucket, request: &Request<'_>) -> Result<Self> {
        let constraints = Constraints::of(request.filter);
        let statistics = estimate::Statistics::read(tx, bucket)?;
        let mut candidates =
            candidate::all(tx, bucket, request.filter, &constraints, request.order);
        if let Some(hint) = request.hint
            && candidates.iter().any(|plan| plan.is_hinted(hint))
        {
            candidates.retain(|plan| plan.is_hinted(hint));
        }
        for plan in &mut candidates {
            plan.cost = estimate::cost(plan, &constraints, &statistics, request);
            plan.matching = estimate::matching(plan, &constraints, &statistics);
        }
        let cheapest = candidates.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost));
        Ok(cheapest.unwrap_or_else(|| candidate::scan(bucket, request.order)))
    }

    /// The sort values of a record by the values in the entry that led to it, if they can
    /// be told from that.
    pub(crate) fn sort_values<'e>(&self, values: &'e [u8]) -> Option<SortValues<'e>> {
        self.index_order.as_ref()?.sort_values(values)
    }

    fn is_hinted(&self, hint: &Hint) -> bool {
        match (hint, &self.access) {
            (Hint::Scan, Access::Rows(_)) => self.bounds.is_empty(),
            (Hint::Index(name), Access::Index { index, .. }) => index.name == *name,
            _ => false,
        }
    }

    /// The plan that reads in natural order without holding rows, for when a
    /// cheaper one turned out to hold too many. `None` if the order is no
    /// natural one.
    pub(crate) fn in_natural_order(bucket: &Bucket, order: &Order) -> Option<Self> {
        candidate::natural(bucket, order).filter(|_| order.parts.is_empty())
    }
}
