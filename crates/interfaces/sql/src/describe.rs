//! `PRAGMA table_info` and `table_xinfo`, answered by the table itself: of a virtual
//! table SQLite knows no more than names and types.

use std::sync::Arc;

use crate::output::{Output, OutputColumn};
use crate::schema::default_text;
use crate::scope::{Scope, answered};
use crate::table::Table;
use crate::value::Value;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Describe {
    pub(crate) table: String,
    /// Hidden columns too, and which are: `table_xinfo`.
    pub(crate) whole: bool,
}

impl Describe {
    /// A row for each column; none for a table that is not there, as in SQLite.
    pub(crate) fn run(&self, scope: &Scope<'_>) -> Output {
        let names = ["cid", "name", "type", "notnull", "dflt_value", "pk", "hidden"];
        let shown = if self.whole { names.len() } else { names.len() - 1 };
        let column = |name: &&str| OutputColumn { name: (*name).to_owned(), declared_type: None };
        let columns: Arc<[OutputColumn]> = names[..shown].iter().map(column).collect();
        let rows = scope.shared.table(&self.table).map(|table| self.rows(&table, shown));
        let rows = answered(&columns, rows.unwrap_or_default());
        Output { columns, rows, changes: 0, last_key: None }
    }

    fn rows(&self, table: &Table, shown: usize) -> Vec<Vec<Value>> {
        let columns = table.columns.iter().enumerate();
        let listed = columns.filter(|(_, column)| self.whole || !column.hidden);
        let row = |(at, column): (usize, &crate::table::Column)| {
            // NULL asks for the next number there.
            let draws = table.key == Some(at) && column.is_filled;
            let field = column.field().and_then(|field| table.bucket.schema.field(field));
            let default = default_text(
                column.default.as_deref(),
                field.and_then(|field| field.default.as_ref()),
            );
            let key = table.primary_key.iter().position(|part| *part == at);
            let mut row = vec![
                integer(at),
                Value::from(column.name.as_str()),
                Value::from(column.declared.as_str()),
                integer(usize::from(column.not_null && !draws)),
                default.map_or(Value::Null, Value::Text),
                integer(key.map_or(0, |place| place + 1)),
                integer(usize::from(column.hidden)),
            ];
            row.truncate(shown);
            row
        };
        listed.map(row).collect()
    }
}

fn integer(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
