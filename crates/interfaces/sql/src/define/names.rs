//! Names of tables, columns and indexes.

use std::sync::Arc;

use sqlparser::ast::{Expr, Ident, ObjectName};
use tandem_base::{Code, Error, Result};

use crate::define::unsupported;
use crate::output::sql_error;
use crate::scope::Scope;
use crate::table::Table;

/// The names by which SQLite knows the row number, the preferred first.
pub(super) const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// The name without its schema, which can only be `main`.
pub(super) fn of_object(name: &ObjectName) -> Result<String> {
    let mut parts = Vec::with_capacity(2);
    for part in &name.0 {
        let ident = part.as_ident().ok_or_else(|| sql_error(format!("no such table: {name}")))?;
        parts.push(ident.value.as_str());
    }
    match parts.as_slice() {
        [name] => Ok((*name).to_owned()),
        [schema, name] if schema.eq_ignore_ascii_case("main") => Ok((*name).to_owned()),
        [schema, _] if schema.eq_ignore_ascii_case("temp") => Err(unsupported("TEMP TABLE")),
        [schema, ..] => Err(sql_error(format!("unknown database {schema}"))),
        [] => Err(sql_error("A name is missing")),
    }
}

/// Refuses a name of a column that a record's field cannot have, or that would
/// be read as something else.
pub(super) fn check_column(name: &str) -> Result<()> {
    const TAKEN: [&str; 5] = ["_version", "_createdAt", "_updatedAt", "_expiresAt", "_record"];
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.starts_with('$') {
        "names that begin with \"$\" are operators"
    } else if name.starts_with('-') {
        "names that begin with \"-\" are descending orders"
    } else if name.contains('.') {
        "names with \".\" are paths"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        "every record has its own"
    } else {
        return Ok(());
    };
    Err(sql_error(format!("Invalid column name \"{name}\": {problem}")).with("column", name))
}

/// The column that a part of a key or an index is.
pub(super) fn of_column(expression: &Expr, what: &str) -> Result<String> {
    match expression {
        Expr::Identifier(Ident { value, .. }) => Ok(value.clone()),
        Expr::Collate { expr, collation } => {
            check_collation(&collation.to_string())?;
            of_column(expr, what)
        }
        _ => Err(unsupported(&format!("An expression in {what}"))),
    }
}

/// Texts are compared byte by byte, and no other way.
pub(super) fn check_collation(name: &str) -> Result<()> {
    if name.trim_matches('"').eq_ignore_ascii_case("BINARY") {
        return Ok(());
    }
    Err(unsupported(&format!("COLLATE {name}")))
}

pub(super) fn table_exists(name: &str) -> Error {
    Error::new(Code::AlreadyExists, format!("table {name} already exists")).with("bucket", name)
}

/// Refuses what SQLite keeps for itself.
pub(super) fn check_reserved(name: &str) -> Result<()> {
    if name.to_ascii_lowercase().starts_with("sqlite_") {
        return Err(sql_error(format!("object name reserved for internal use: {name}")));
    }
    Ok(())
}

/// An index of some table.
pub(super) struct Found {
    pub(super) table: Arc<Table>,
    pub(super) index: String,
    /// A constraint of the table made it.
    pub(super) is_constraint: bool,
}

/// The indexes of that name, whatever its case. Names of indexes are a database's
/// to SQL and a bucket's to Tandem, so there may be several.
pub(super) fn indexes(scope: &Scope<'_>, name: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for table in scope.shared.tables().values() {
        for index in &table.bucket.indexes {
            if !index.internal && index.name.eq_ignore_ascii_case(name) {
                let is_constraint = is_constraint(table, &index.name);
                let (table, index) = (table.clone(), index.name.clone());
                found.push(Found { table, index, is_constraint });
            }
        }
    }
    found.sort_by(|one, other| one.table.name.cmp(&other.table.name));
    found
}

/// Whether a constraint of the table (UNIQUE, PRIMARY KEY) made the index.
pub(super) fn is_constraint(table: &Table, index: &str) -> bool {
    let made = &table.bucket.config["sql"]["constraints"];
    table.bucket.schema.is_unique(index)
        || made.as_array().is_some_and(|made| made.iter().any(|name| name == index))
}
