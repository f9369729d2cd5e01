//! `xBestIndex`: which conditions and which order the record layer can serve.
//!
//! The choice is that of Tandem's planner, asked with a query of the same shape
//! whose unknown values are guesses; what it forecasts is what SQLite is told.

use std::ffi::c_int;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::vtab::{IndexConstraintOp, IndexFlags, IndexInfo};
use serde_json::{Map, Value as Json, json};
use tandem_base::Result;
use tandem_query::{Forecast, Hint, Query, QueryLimits, forecast};
use tandem_record::filter::Filter;

use crate::shared::Shared;
use crate::table::{Affinity, Table};
use crate::value::Value;
use crate::virtual_table::condition::{Condition, Operator, condition};

/// How a table is read; the values come with each run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReadPlan {
    /// In the order of the values.
    pub(crate) conditions: Vec<Narrowing>,
    /// The order in which rows come: fields, `-` before those that descend.
    pub(crate) sort: Vec<String>,
    pub(crate) index: Option<String>,
    /// The condition that gives the key of the one record.
    pub(crate) key: Option<usize>,
    /// Whether a LIMIT (and after it an OFFSET) comes after the other values.
    pub(crate) has_limit: bool,
    pub(crate) has_offset: bool,
    pub(crate) one_record: bool,
}

/// The plans of a table, by the numbers that compiled statements keep of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plans(Arc<Mutex<Vec<Arc<ReadPlan>>>>);

impl Plans {
    /// The number of a plan, which it may have already.
    pub(crate) fn number(&self, plan: &ReadPlan) -> usize {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.iter().position(|known| **known == *plan).unwrap_or_else(|| {
            plans.push(Arc::new(plan.clone()));
            plans.len() - 1
        })
    }

    pub(crate) fn get(&self, number: c_int) -> Option<Arc<ReadPlan>> {
        let plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(number).ok().and_then(|at| plans.get(at).cloned())
    }
}

/// A condition of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Narrowing {
    pub(crate) field: String,
    pub(crate) affinity: Affinity,
    pub(crate) operator: Operator,
}

/// A condition that SQLite offers.
struct Offered {
    at: usize,
    narrowing: Narrowing,
    known: Option<Value>,
}

pub(crate) fn choose(shared: &Shared, table: &Table, info: &mut IndexInfo) -> Result<ReadPlan> {
    let offered = offered(table, info);
    let (limit, offset) = bounds(info);
    let wanted = match (&limit, &offset) {
        (Some((_, Some(limit))), None) => Some(*limit),
        (Some((_, Some(limit))), Some((_, Some(offset)))) => Some(limit.saturating_add(*offset)),
        _ => None,
    };
    let mut query = Query::new(&*table.name);
    query.filter = guess(&offered)?;
    let plain = Query { limit: wanted, ..query.clone() };
    let mut chosen = ask(shared, &plain, true)?;
    let mut sort = natural(table, &chosen);
    let asked = order(table, info);
    let mut consumed = false;
    if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
        let ordered = Query { limit: wanted, ..query }.sort_json(&json!(asked))?;
        let forecast = ask(shared, &ordered, false)?;
        // What SQLite would have to do to sort, in rows passed.
        let sorting = chosen.rows * (chosen.rows.max(2.0)).log2() * 0.2;
        if forecast.is_ordered && forecast.cost <= chosen.cost + sorting {
            (chosen, sort, consumed) = (forecast, asked, true);
        } else if chosen.one_record {
            consumed = true;
        }
    }
    let key = offered.iter().position(|offered| {
        offered.narrowing.field == table.bucket.key_field
            && offered.narrowing.operator == Operator::Equal
            && !matches!(offered.narrowing.affinity, Affinity::Any | Affinity::Date)
    });
    let mut arguments = 0;
    for offer in &offered {
        arguments += 1;
        if offer.narrowing.operator == Operator::In {
            // All values of the list at once, so that rows come in one order.
            let _ = info.set_in_constraint(offer.at, true);
        }
        info.constraint_usage(offer.at).set_argv_index(arguments);
    }
    let has_limit = limit.is_some();
    let has_offset = has_limit && offset.is_some();
    for (at, _) in limit.into_iter().chain(offset.filter(|_| has_offset)) {
        arguments += 1;
        info.constraint_usage(at).set_argv_index(arguments);
    }
    info.set_order_by_consumed(consumed);
    info.set_estimated_cost(if chosen.one_record { 1.0 } else { chosen.cost.max(2.0) });
    #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
    info.set_estimated_rows(chosen.rows.clamp(1.0, 1e15) as i64);
    if chosen.one_record {
        info.set_idx_flags(IndexFlags::SQLITE_INDEX_SCAN_UNIQUE);
    }
    Ok(ReadPlan {
        conditions: offered.into_iter().map(|offered| offered.narrowing).collect(),
        sort,
        index: chosen.index.clone(),
        key,
        has_limit,
        has_offset,
        one_record: chosen.one_record,
    })
}

impl ReadPlan {
    /// The query that the plan is, for some conditions.
    pub(crate) fn query(
        &self,
        table: &Table,
        filter: Option<Filter>,
        limits: QueryLimits,
    ) -> Result<Query> {
        let mut query = Query::new(&*table.name).sort_json(&json!(self.sort))?;
        query.filter = filter;
        query.limits = limits;
        query.hint = self.index.clone().map(Hint::Index);
        Ok(query)
    }

    /// How many rows are read at first, if no LIMIT says.
    pub(crate) fn first_chunk(&self) -> usize {
        if self.one_record { 2 } else { 16 }
    }
}

/// The order in which rows are read when none is asked for: the one that the
/// access has by itself, so that they need not be held to be sorted. An index over
/// elements has none.
fn natural(table: &Table, chosen: &Forecast) -> Vec<String> {
    match chosen.index.as_ref().and_then(|name| table.bucket.index(name)) {
        None => vec![table.bucket.key_field.clone()],
        Some(index) if index.multi => Vec::new(),
        Some(index) => index.fields.clone(),
    }
}

fn ask(shared: &Shared, query: &Query, any_order: bool) -> Result<Forecast> {
    shared.transaction()?.statement(|records, tx| forecast(records, tx, query, any_order))
}

/// The conditions that can narrow a read.
fn offered(table: &Table, info: &IndexInfo) -> Vec<Offered> {
    let mut offered = Vec::new();
    for (at, constraint) in info.constraints().enumerate() {
        if !constraint.is_usable() {
            continue;
        }
        let Some((field, affinity)) = column(table, constraint.column()) else { continue };
        let Some(mut operator) = operator(&constraint.operator()) else { continue };
        let is_pattern = matches!(operator, Operator::Like | Operator::Glob);
        if !is_pattern && !info.collation(at).is_ok_and(|name| name.eq_ignore_ascii_case("BINARY"))
        {
            continue;
        }
        if operator == Operator::Equal && info.is_in_constraint(at).unwrap_or(false) {
            operator = Operator::In;
        }
        if !operator.applies_to(affinity) {
            continue;
        }
        let known = match operator {
            Operator::In => None,
            _ => info.rhs_value(at).ok().flatten().map(Value::of),
        };
        let narrowing = Narrowing { field: field.to_owned(), affinity, operator };
        offered.push(Offered { at, narrowing, known });
    }
    offered
}

/// The field that a column of a constraint is, and what its values are.
fn column(table: &Table, at: i32) -> Option<(&str, Affinity)> {
    match usize::try_from(at) {
        Ok(at) => {
            let column = table.columns.get(at)?;
            // A filter takes such a name for a path.
            let field = column.field().filter(|field| !field.contains('.'))?;
            Some((field, column.affinity))
        }
        Err(_) => Some((&table.bucket.key_field, Affinity::Integer)),
    }
}

fn operator(operator: &IndexConstraintOp) -> Option<Operator> {
    use IndexConstraintOp as Op;
    Some(match operator {
        Op::SQLITE_INDEX_CONSTRAINT_EQ => Operator::Equal,
        Op::SQLITE_INDEX_CONSTRAINT_LT => Operator::Less,
        Op::SQLITE_INDEX_CONSTRAINT_LE => Operator::LessOrEqual,
        Op::SQLITE_INDEX_CONSTRAINT_GT => Operator::Greater,
        Op::SQLITE_INDEX_CONSTRAINT_GE => Operator::GreaterOrEqual,
        Op::SQLITE_INDEX_CONSTRAINT_LIKE => Operator::Like,
        Op::SQLITE_INDEX_CONSTRAINT_GLOB => Operator::Glob,
        Op::SQLITE_INDEX_CONSTRAINT_IS => Operator::Is,
        Op::SQLITE_INDEX_CONSTRAINT_ISNULL => Operator::IsNull,
        _ => return None,
    })
}

type Bound = Option<(usize, Option<usize>)>;

/// Where LIMIT and OFFSET are among the constraints, and what they are if known.
fn bounds(info: &IndexInfo) -> (Bound, Bound) {
    let (mut limit, mut offset) = (None, None);
    for (at, constraint) in info.constraints().enumerate() {
        let place = match constraint.operator() {
            IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LIMIT => &mut limit,
            IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_OFFSET => &mut offset,
            _ => continue,
        };
        if constraint.is_usable() {
            let known = match info.rhs_value(at) {
                Ok(Some(rusqlite::types::ValueRef::Integer(number))) => {
                    usize::try_from(number).ok()
                }
                _ => None,
            };
            *place = Some((at, known));
        }
    }
    (limit, offset)
}

/// The order that is asked for, if the record layer has it too.
fn order(table: &Table, info: &IndexInfo) -> Option<Vec<String>> {
    info.order_bys()
        .map(|part| {
            let (field, affinity) = column(table, part.column())?;
            if matches!(affinity, Affinity::Json | Affinity::Any) {
                return None;
            }
            Some(format!("{}{field}", if part.is_order_by_desc() { "-" } else { "" }))
        })
        .collect()
}

/// A filter of the shape that the conditions will have.
fn guess(offered: &[Offered]) -> Result<Option<Filter>> {
    let conditions = offered.iter().filter_map(|Offered { narrowing, known, .. }| {
        let Narrowing { field, affinity, operator } = narrowing;
        let made = match (operator, known) {
            (Operator::In, _) => Condition::Filter(json!({ "$in": list(*affinity) })),
            (operator, Some(value)) => condition(*affinity, *operator, value),
            (operator, None) => condition(*affinity, *operator, &sample(*affinity, *operator)),
        };
        match made {
            Condition::Filter(made) => Some(json!({ field.as_str(): made })),
            Condition::Nothing | Condition::Everything => None,
        }
    });
    all_of(conditions.collect())
}

/// The filter that asks for all of some.
pub(crate) fn all_of(conditions: Vec<Json>) -> Result<Option<Filter>> {
    let filter = match conditions.len() {
        0 => return Ok(None),
        1 => conditions.into_iter().next().unwrap_or_default(),
        _ => Json::Object(Map::from_iter([("$and".to_owned(), Json::Array(conditions))])),
    };
    Filter::parse(&filter).map(Some)
}

/// A value that narrows as an unknown one probably will.
fn sample(affinity: Affinity, operator: Operator) -> Value {
    match (affinity, operator) {
        (_, Operator::Like | Operator::Glob) => Value::Text("0".to_owned()),
        (Affinity::Text | Affinity::Date | Affinity::Any, _) => Value::Text("0".to_owned()),
        _ => Value::Integer(1),
    }
}

fn list(affinity: Affinity) -> Vec<Json> {
    match affinity {
        Affinity::Boolean => vec![json!(true)],
        Affinity::Text | Affinity::Date | Affinity::Any => {
            ["0", "1", "2"].map(|text| json!(text)).to_vec()
        }
        _ => [0, 1, 2].map(|number| json!(number)).to_vec(),
    }
}

/// As `EXPLAIN QUERY PLAN` shows it: the index and what narrows it.
impl fmt::Display for ReadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.index, self.key) {
            (Some(index), _) => f.write_str(index)?,
            (None, Some(_)) => f.write_str("key")?,
            (None, None) => f.write_str("scan")?,
        }
        let mut separator = " (";
        for Narrowing { field, operator, .. } in &self.conditions {
            write!(f, "{separator}{field}{}", operator.symbol())?;
            separator = " AND ";
        }
        f.write_str(if self.conditions.is_empty() { "" } else { ")" })?;
        if !self.sort.is_empty() {
            write!(f, " in order of {}", self.sort.join(", "))?;
        }
        Ok(())
    }
}
