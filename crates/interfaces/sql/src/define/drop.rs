//! DROP TABLE, DROP INDEX.

use sqlparser::ast::ObjectName;
use tandem_base::{Code, Error, Result};

use crate::define::names;
use crate::define::scratch::Scratch;
use crate::output::sql_error;
use crate::scope::Scope;
use crate::table::quoted;

/// The one name that a statement drops.
fn only(names: &[ObjectName]) -> Result<String> {
    match names {
        [name] => names::of_object(name),
        _ => Err(sql_error("near \",\": syntax error")),
    }
}

pub(super) fn table(
    scope: &Scope<'_>,
    names: &[ObjectName],
    if_exists: bool,
    text: &str,
) -> Result<()> {
    let name = only(names)?;
    if if_exists && scope.shared.table(&name).is_none() {
        return Ok(());
    }
    let table = scope.table(&name)?;
    let scratch = Scratch::new(scope)?;
    scratch.run(&format!("CREATE TABLE {} (a)", quoted(&table.name)))?;
    scratch.run(text)?;
    scope.transaction.drop_bucket(&table.name)
}

pub(super) fn index(
    scope: &Scope<'_>,
    names: &[ObjectName],
    if_exists: bool,
    text: &str,
) -> Result<()> {
    let name = only(names)?;
    let found = names::indexes(scope, &name);
    let of_constraint = found.iter().any(|found| found.is_constraint);
    let droppable: Vec<_> = found.into_iter().filter(|found| !found.is_constraint).collect();
    match droppable.as_slice() {
        [found] => {
            let scratch = Scratch::new(scope)?;
            scratch.run(&format!("CREATE TABLE t (a); CREATE INDEX {} ON t (a)", quoted(&name)))?;
            scratch.run(text)?;
            scope.transaction.drop_index(&found.table.name, &found.index)
        }
        [] if of_constraint => Err(sql_error(
            "index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped",
        )
        .with("index", name)),
        [] if if_exists => Ok(()),
        [] => Err(Error::new(Code::NotFound, format!("no such index: {name}")).with("index", name)),
        several => {
            let tables: Vec<_> = several.iter().map(|found| found.table.name.to_string()).collect();
            Err(sql_error(format!("Several tables have an index {name}: {}", tables.join(", ")))
                .with("index", name)
                .with("buckets", tables))
        }
    }
}
