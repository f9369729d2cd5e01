//! CREATE, ALTER, DROP.
//!
//! A definition changes Tandem's catalog and nothing else: it is isolated, rolled
//! back and made durable as rows are, and the tables of SQLite are made anew from
//! the catalog before the next statement. What is refused, and in which words, is
//! for the greater part SQLite's affair: a statement is first run by a
//! [`scratch`] SQLite that has the same tables, all of them empty, so that what
//! gets here is known to be meant well.
//!
//! ```text
//! text ──> scratch: would SQLite take it? ──> plan of columns ──> bucket config
//!                                             CHECK, DEFAULT  ──> its "sql" part
//!                                             WHERE of an index ──> filter
//! ```

mod alter;
mod column;
mod config;
mod constant;
mod create_index;
mod create_table;
mod drop;
mod filter;
mod names;
mod rename;
mod scratch;

use sqlparser::ast::{ObjectType, Statement};
use tandem_base::{Error, Result};

use crate::output::{Output, sql_error};
use crate::scope::Scope;

/// Carries out a defining statement.
pub(crate) fn run(scope: &Scope<'_>, statement: &Statement, text: &str) -> Result<Output> {
    match statement {
        Statement::CreateTable(create) => create_table::run(scope, create, text)?,
        Statement::CreateIndex(create) => create_index::run(scope, create, text)?,
        Statement::AlterTable(alter) => alter::run(scope, alter, text)?,
        Statement::Drop { object_type, if_exists, names, .. } => {
            // What follows the name (CASCADE, ON t) SQLite does not know.
            let run = match object_type {
                ObjectType::Table => drop::table,
                ObjectType::Index => drop::index,
                other => return Err(unsupported(&format!("DROP {other}"))),
            };
            run(scope, names, *if_exists, text)?;
        }
        Statement::CreateVirtualTable { .. } => {
            return Err(unsupported("CREATE VIRTUAL TABLE"));
        }
        other => {
            let words: Vec<String> =
                other.to_string().split_whitespace().take(2).map(str::to_uppercase).collect();
            return Err(unsupported(&words.join(" ")));
        }
    }
    Ok(Output::default())
}

fn unsupported(what: &str) -> Error {
    sql_error(format!("{what} is not supported")).with("feature", what)
}
