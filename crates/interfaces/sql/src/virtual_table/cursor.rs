//! `xFilter` and what follows: a query of the record layer, row by row.

use std::ffi::c_int;
use std::sync::Arc;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::vtab::{Context, Filters, VTabCursor};
use serde_json::json;
use tandem_base::Result;
use tandem_query::{QueryLimits, Stream};
use tandem_record::row::Row;

use crate::shared::Shared;
use crate::table::Table;
use crate::value::Value;
use crate::virtual_table::condition::{Condition, Operator, condition, equals, one_of};
use crate::virtual_table::guarded;
use crate::virtual_table::plan::{Plans, ReadPlan, all_of};

/// No more rows than this are read ahead of what SQLite asks for.
const LARGEST_CHUNK: usize = 512;

/// One access to a table.
#[repr(C)]
pub(crate) struct Cursor {
    /// SQLite's part of it, which has to be the first.
    base: rusqlite::ffi::sqlite3_vtab_cursor,
    shared: Arc<Shared>,
    table: Arc<Table>,
    plans: Plans,
    stream: Option<Stream>,
    chunk: std::vec::IntoIter<Row>,
    current: Option<Row>,
    next_chunk: usize,
}

impl Cursor {
    pub(crate) fn new(shared: Arc<Shared>, table: Arc<Table>, plans: Plans) -> Self {
        Self {
            base: rusqlite::ffi::sqlite3_vtab_cursor::default(),
            shared,
            table,
            plans,
            stream: None,
            chunk: Vec::new().into_iter(),
            current: None,
            next_chunk: 0,
        }
    }

    fn begin(&mut self, plan: Option<&ReadPlan>, arguments: &[Argument]) -> Result<()> {
        let Some(plan) = plan else {
            return Err(crate::output::sql_error("The plan of a statement is unknown"));
        };
        (self.stream, self.current) = (None, None);
        self.chunk = Vec::new().into_iter();
        if let Some(key) = plan.key {
            return self.read_one(plan, key, arguments);
        }
        let mut filter = Vec::with_capacity(plan.conditions.len());
        for (narrowing, argument) in plan.conditions.iter().zip(arguments) {
            let made = match argument {
                Argument::List(values) => one_of(narrowing.affinity, values),
                Argument::One(value) => condition(narrowing.affinity, narrowing.operator, value),
            };
            match made {
                Condition::Nothing => return Ok(()),
                Condition::Everything => {}
                Condition::Filter(made) => filter.push(json!({ narrowing.field.as_str(): made })),
            }
        }
        let bounds = &arguments[plan.conditions.len().min(arguments.len())..];
        let bound = |at: usize| match bounds.get(at) {
            Some(Argument::One(Value::Integer(number))) => usize::try_from(*number).ok(),
            _ => None,
        };
        self.next_chunk = match (plan.has_limit, plan.has_offset) {
            (true, false) => bound(0),
            (true, true) => {
                bound(0).zip(bound(1)).map(|(limit, offset)| limit.saturating_add(offset))
            }
            _ => None,
        }
        .map_or(plan.first_chunk(), |wanted| wanted.clamp(1, LARGEST_CHUNK));
        let query = plan.query(&self.table, all_of(filter)?, self.limits()?)?;
        self.stream = Some(Stream::new(query));
        self.advance()
    }

    /// The record whose key is known, if it is there.
    fn read_one(&mut self, plan: &ReadPlan, key: usize, arguments: &[Argument]) -> Result<()> {
        let Some(Argument::One(value)) = arguments.get(key) else { return Ok(()) };
        let keys = equals(plan.conditions[key].affinity, value);
        // A number that is no text of a key: SQLite compares with them all.
        let Some(keys) = keys else {
            let every = ReadPlan { key: None, ..plan.clone() };
            let query = every.query(&self.table, None, self.limits()?)?;
            self.next_chunk = LARGEST_CHUNK;
            self.stream = Some(Stream::new(query));
            return self.advance();
        };
        let Some(key) = keys.first() else { return Ok(()) };
        let name = &*self.table.name;
        self.current =
            self.shared.transaction()?.statement(|records, tx| records.get(tx, name, key))?;
        Ok(())
    }

    /// What a read of the store may hold.
    fn limits(&self) -> Result<QueryLimits> {
        Ok(self.shared.transaction()?.store().limits().query)
    }

    fn advance(&mut self) -> Result<()> {
        self.current = self.chunk.next();
        if self.current.is_some() {
            return Ok(());
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let n = self.next_chunk;
        let rows = self
            .shared
            .transaction()?
            .statement(|records, tx| stream.next_chunk(records, tx, n))?;
        self.next_chunk = n.saturating_mul(4).min(LARGEST_CHUNK);
        self.chunk = rows.into_iter();
        self.current = self.chunk.next();
        if self.current.is_none() {
            self.stream = None;
        }
        Ok(())
    }
}

/// What comes with a run for one condition.
enum Argument {
    One(Value),
    List(Vec<Value>),
}

// SAFETY: the structure is laid out as C has it and begins with
// `sqlite3_vtab_cursor`.
#[expect(unsafe_code, reason = "the trait asks for that layout")]
unsafe impl VTabCursor for Cursor {
    fn filter(
        &mut self,
        number: c_int,
        _name: Option<&str>,
        values: &Filters<'_>,
    ) -> rusqlite::Result<()> {
        let plan = self.plans.get(number);
        let mut arguments = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let operator = plan
                .as_ref()
                .and_then(|plan| plan.conditions.get(at))
                .map(|narrowing| narrowing.operator);
            arguments.push(match operator {
                Some(Operator::In) => Argument::List(
                    values
                        .in_values(at)?
                        .map(|value: ValueRef<'_>| Ok(Value::of(value)))
                        .collect()?,
                ),
                _ => Argument::One(Value::of(value)),
            });
        }
        let shared = self.shared.clone();
        guarded(&shared, || self.begin(plan.as_deref(), &arguments))
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        let shared = self.shared.clone();
        guarded(&shared, || self.advance())
    }

    fn eof(&self) -> bool {
        self.current.is_none()
    }

    fn column(&self, context: &mut Context, at: c_int) -> rusqlite::Result<()> {
        guarded(&self.shared, || {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            Ok(match &self.current {
                Some(row) if at < self.table.columns.len() => {
                    self.table.with_value(row, at, |value| {
                        context.set_result(ToSqlOutput::Borrowed(value))
                    })
                }
                _ => context.set_result(Null),
            })
        })?
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        guarded(&self.shared, || {
            self.current.as_ref().map_or(Ok(0), |row| self.table.row_number(row))
        })
    }
}
