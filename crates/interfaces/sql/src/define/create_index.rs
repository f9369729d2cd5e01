//! CREATE INDEX.

use serde_json::{Map, Value as Json, json};
use sqlparser::ast;
use sqlparser::ast::OrderBySort;
use tandem_base::{Code, Error, Result};
use tandem_record::IndexState;

use crate::define::scratch::Scratch;
use crate::define::{filter, names};
use crate::output::sql_error;
use crate::scope::Scope;
use crate::table::{Table, quoted};

pub(super) fn run(scope: &Scope<'_>, create: &ast::CreateIndex, text: &str) -> Result<()> {
    let Some(name) = &create.name else {
        return Err(sql_error("near \"ON\": syntax error"));
    };
    let name = names::of_object(name)?;
    let table = scope.table(&names::of_object(&create.table_name)?)?;
    names::check_reserved(&name)?;
    if scope.shared.table(&name).is_some() {
        return Err(Error::new(
            Code::AlreadyExists,
            format!("there is already a table named {name}"),
        )
        .with("name", name));
    }
    // One that a constraint of another table has made has its name from there.
    let is_taken = names::indexes(scope, &name)
        .iter()
        .any(|found| !found.is_constraint || found.table.name == table.name);
    if is_taken {
        if create.if_not_exists {
            return Ok(());
        }
        return Err(Error::new(Code::AlreadyExists, format!("index {name} already exists"))
            .with("name", name));
    }
    let fields = fields(&table, &create.columns)?;
    let filter =
        create.predicate.as_ref().map(|part| filter::of(scope, &table, part)).transpose()?;
    let scratch = Scratch::new(scope)?;
    let columns: Vec<String> = table.visible().map(|(_, column)| quoted(&column.name)).collect();
    scratch.run(&format!("CREATE TABLE {} ({})", quoted(&table.name), columns.join(", ")))?;
    scratch.run(text)?;

    let mut config = Map::new();
    config.insert("name".to_owned(), json!(name));
    config.insert("fields".to_owned(), json!(fields));
    if create.unique {
        config.insert("unique".to_owned(), json!(true));
    }
    config.extend(filter.map(|filter| ("filter".to_owned(), filter)));
    let config = Json::Object(config);
    let created = scope
        .transaction
        .statement(|records, tx| records.create_index(tx, &table.name, &config, IndexState::Ready));
    created.map(|_| ()).map_err(|error| match error.code() {
        Code::AlreadyExists => duplicates(&table, &fields, &error),
        _ => error,
    })
}

/// Two records have the same value, as SQLite words it.
fn duplicates(table: &Table, fields: &[String], error: &Error) -> Error {
    let columns: Vec<String> = fields
        .iter()
        .map(|field| format!("{}.{}", table.name, field.trim_start_matches('-')))
        .collect();
    let message = format!("UNIQUE constraint failed: {}", columns.join(", "));
    let details = error.details().cloned().unwrap_or_default();
    Error::new(Code::AlreadyExists, message).with_details(details)
}

fn fields(table: &Table, columns: &[ast::IndexColumn]) -> Result<Vec<String>> {
    columns
        .iter()
        .map(|part| {
            let name = names::of_column(&part.column.expr, "an index")?;
            let found = table.column(&name).and_then(|at| table.columns[at].field());
            let field = found.ok_or_else(|| {
                sql_error(format!("table {} has no column named {name}", table.name))
                    .with("column", name.as_str())
            })?;
            let descending = matches!(part.column.options.sort, Some(OrderBySort::Desc));
            Ok(format!("{}{field}", if descending { "-" } else { "" }))
        })
        .collect()
}
