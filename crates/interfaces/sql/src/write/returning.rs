//! RETURNING: expressions over each row that was written.

use std::sync::Arc;

use tandem_base::Result;
use tandem_record::row::Row;

use crate::output::{OutputColumn, sql_error};
use crate::scope::Scope;
use crate::table::{Table, quoted};
use crate::value::Value;
use crate::write::parse::{Item, Writing};
use crate::write::row::RowText;

/// What is answered of a row.
pub(crate) struct Returning {
    pub(crate) columns: Arc<[OutputColumn]>,
    what: What,
}

enum What {
    /// Columns alone; `None` = the row number.
    Columns(Vec<Option<usize>>),
    Expressions {
        sql: String,
        row: RowText,
    },
}

impl Returning {
    pub(crate) fn new(
        scope: &Scope<'_>,
        table: &Table,
        writing: &Writing,
        items: &[Item],
    ) -> Result<Self> {
        let mut columns = Vec::new();
        let mut list = Vec::new();
        let mut plain = Some(Vec::new());
        for item in items {
            match item {
                Item::Star => {
                    for (at, column) in table.visible() {
                        columns.push(named(&column.name, Some(&column.declared)));
                        list.push(quoted(&column.name));
                        plain.iter_mut().for_each(|plain| plain.push(Some(at)));
                    }
                }
                Item::Column { name, alias } => {
                    let at = table.column(name);
                    if at.is_none() && !table.is_rowid_name(name) {
                        return Err(sql_error(format!("no such column: {name}"))
                            .with("field", name.as_str()));
                    }
                    let column = at.map(|at| &table.columns[at]);
                    // The row number is called what the key is called.
                    let called = at.or(table.key).map(|at| &table.columns[at]);
                    let shown =
                        alias.as_ref().or(called.map(|column| &column.name)).unwrap_or(name);
                    columns.push(named(shown, column.map(|column| &column.declared)));
                    list.push(column.map_or_else(|| quoted(name), |column| quoted(&column.name)));
                    match (&mut plain, at) {
                        (Some(plain), Some(at)) => plain.push(Some(at)),
                        (Some(plain), None) if table.is_rowid_name(name) => plain.push(None),
                        _ => plain = None,
                    }
                }
                Item::Expression { text, name } => {
                    columns.push(named(name, None));
                    list.push(text.clone());
                    plain = None;
                }
            }
        }
        let what = match plain {
            Some(plain) => What::Columns(plain),
            None => {
                let list = list.join(", ");
                let row = RowText::new(table, &list, writing.parameters.count());
                let sql = format!("SELECT {list} FROM {}", row.named(&writing.alias));
                // That they can be evaluated is seen before anything is written.
                scope.prepare(&sql)?;
                What::Expressions { sql, row }
            }
        };
        Ok(Self { columns: columns.into(), what })
    }

    /// What is answered of `row`.
    pub(crate) fn of(&self, scope: &Scope<'_>, table: &Table, row: &Row) -> Result<Vec<Value>> {
        let value = |at: Option<usize>| match at {
            Some(at) => table.value(row, at),
            None => Value::Integer(table.rowid(row)),
        };
        match &self.what {
            What::Columns(columns) => Ok(columns.iter().map(|at| value(*at)).collect()),
            What::Expressions { sql, row } => scope.evaluate_with(sql, row.values(value)),
        }
    }
}

fn named(name: &str, declared: Option<&String>) -> OutputColumn {
    OutputColumn {
        name: name.to_owned(),
        declared_type: declared.filter(|declared| !declared.is_empty()).cloned(),
    }
}
