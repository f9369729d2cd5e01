//! A SQLite of its own for each definition, to learn what SQLite says to it.
//!
//! It gets the table that the statement is about, empty, and then the statement
//! itself. What it refuses is refused in its words; what it takes, Tandem still
//! has to be able to do. Nothing that could run for long is run there: tables are
//! empty, and no statement with a query gets here.

use rusqlite::Connection;
use tandem_base::Result;

use crate::define::names;
use crate::scope::Scope;
use crate::table::{Check, Table, quoted};

/// See the [module](self).
pub(super) struct Scratch<'a> {
    sqlite: Connection,
    scope: &'a Scope<'a>,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(scope: &'a Scope<'a>) -> Result<Self> {
        let sqlite =
            Connection::open_in_memory().map_err(|error| crate::error::of(error, scope.shared))?;
        Ok(Self { sqlite, scope })
    }

    /// One that has the table, as far as SQL can know it.
    pub(super) fn with(scope: &'a Scope<'a>, table: &Table) -> Result<Self> {
        let scratch = Self::new(scope)?;
        scratch.run(&create_statement(table))?;
        Ok(scratch)
    }

    pub(super) fn run(&self, text: &str) -> Result<()> {
        self.sqlite.execute_batch(text).map_err(|error| crate::error::of(error, self.scope.shared))
    }
}

/// Types are left out: nothing that is refused depends on them.
fn create_statement(table: &Table) -> String {
    let list =
        |names: &mut dyn Iterator<Item = &str>| names.map(quoted).collect::<Vec<_>>().join(", ");
    let name = |at: &usize| table.columns[*at].name.as_str();
    let mut parts: Vec<String> = table
        .visible()
        .map(|(_, column)| {
            let not_null = if column.not_null { " NOT NULL" } else { "" };
            let own = |check: &&Check| check.column.as_ref() == Some(&column.name);
            let checks = table.checks.iter().filter(own).map(check_text);
            format!("{}{not_null}{}", quoted(&column.name), checks.collect::<String>())
        })
        .collect();
    if !table.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(&mut table.primary_key.iter().map(name))));
    }
    for index in &table.bucket.indexes {
        let is_column = |field: &&String| table.column(field).is_some();
        if names::is_constraint(table, &index.name) && index.fields.iter().all(|f| is_column(&f)) {
            let fields = list(&mut index.fields.iter().map(String::as_str));
            parts.push(format!("UNIQUE ({fields})"));
        }
    }
    parts.extend(table.checks.iter().filter(|check| check.column.is_none()).map(check_text));
    format!("CREATE TABLE {} ({})", quoted(&table.name), parts.join(", "))
}

fn check_text(check: &Check) -> String {
    format!(" CHECK ({})", check.expression)
}
