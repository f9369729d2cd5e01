use serde_json::Value;
use tandem_base::{Code, Result};
use tandem_record::Records;
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_transaction::Transaction;

use crate::execute::{Ahead, Examined, Step};
use crate::explain::describe;
use crate::order::SortPart;
use crate::plan::{Plan, Request, Served};
use crate::query::{Query, QueryLimits};
use crate::read::Prepared;

/// What a pipeline reads: the part of it that one read does.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) filter: Option<Filter>,
    pub(super) sort: Vec<SortPart>,
    pub(super) skip: usize,
    pub(super) limit: Option<usize>,
    /// Whether nothing that follows can tell in which order rows come.
    pub(super) any_order: bool,
}

impl Source {
    /// Hands the rows to `each`, in order, until it has enough. `explained`, if
    /// there is one, is told how.
    #[expect(clippy::too_many_arguments, reason = "one step of a pipeline's run")]
    pub(super) fn visit(
        &self,
        records: &Records,
        tx: &Transaction,
        bucket: &str,
        extra: Option<&Filter>,
        limits: &QueryLimits,
        examined: &mut Examined,
        explained: &mut Option<Value>,
        each: &mut dyn FnMut(Row) -> Result<Step>,
    ) -> Result<()> {
        let filter = match (&self.filter, extra) {
            (Some(filter), Some(extra)) => Some(Filter::every(&[extra.clone(), filter.clone()])),
            (filter, extra) => filter.as_ref().or(extra).cloned(),
        };
        let query = Query {
            filter,
            sort: self.sort.clone(),
            limit: self.limit,
            offset: self.skip,
            // What passes through is not answered; what is sorted is held.
            limits: QueryLimits {
                result_rows: limits.sort_rows,
                result_bytes: limits.sort_bytes,
                ..*limits
            },
            ..Query::new(bucket)
        };
        let prepared = Prepared::new(records, tx, &query, false)?;
        let wanted = self.limit.map(|limit| limit.saturating_add(self.skip));
        let mut plan = if self.any_order {
            let request = Request {
                filter: query.filter.as_ref(),
                order: None,
                wanted: None,
                streaming: true,
                max_sort_rows: usize::MAX,
                hint: None,
            };
            Plan::choose(tx, &prepared.bucket, &request)?
        } else {
            prepared.plan(tx, wanted, true, None)?
        };
        if let Some(explained) = explained {
            *explained = describe(&plan, &query);
        }
        if plan.served != Served::Exact {
            let found = prepared.collect(tx, &plan, wanted, false, None, examined);
            match (found, prepared.natural_plan(None)) {
                (Ok(found), _) => {
                    for found in found.into_iter().skip(self.skip) {
                        if each(found.row)? == Step::Enough {
                            break;
                        }
                    }
                    return Ok(());
                }
                // Too many to be sorted: read in the order that is wanted.
                (Err(error), Some(natural)) if error.code() == Code::LimitExceeded => {
                    plan = natural;
                }
                (Err(error), _) => return Err(error),
            }
        }
        let (mut skip, mut left) = (self.skip, self.limit.unwrap_or(usize::MAX));
        // Nobody knows what the stages after it will want.
        let ahead = Ahead::new(1);
        plan.access.visit(
            tx,
            &prepared.bucket,
            plan.direction,
            &ahead,
            examined,
            &mut |candidate| {
                let row = candidate.row;
                if let Some(filter) = &query.filter
                    && !filter.try_matches(&row)?
                {
                    return Ok(Step::More);
                }
                if skip > 0 {
                    skip -= 1;
                    return Ok(Step::More);
                }
                left -= 1;
                let step = each(row)?;
                Ok(if left == 0 { Step::Enough } else { step })
            },
        )
    }
}
